// What a PCI function that does DMA is to the machine around it, and what the machine is to it.

import type { DmaFault } from "../iommu/dma-fault.js";
import type { Pasid } from "../iommu/domain.js";

/** What a function can do of its own accord. */
export interface EndpointPort {
	/**
	 * Reads memory, as far as the IOMMU lets it.
	 * @param iova in bytes
	 * @returns undefined when all of it was read, else why not
	 */
	readMemory(iova: bigint, into: Uint8Array, pasid?: Pasid): DmaFault | undefined;
	writeMemory(iova: bigint, from: Uint8Array, pasid?: Pasid): DmaFault | undefined;
	/** Sends an interrupt message, or asserts its pin. @param vector 0 for the first or only one */
	interrupt(vector: number): void;
	/** Its pin isn't asserted any more: what it interrupted for has been acknowledged. */
	deassert(): void;
}

/** A function's registers, as accesses to its BARs meet them. Little-endian, like PCI. */
export interface Endpoint {
	/**
	 * Reads a register.
	 * @param bar number of the BAR
	 * @param offset in it, in bytes
	 * @param size 1, 2, 4 or 8 bytes
	 * @returns all ones for what can't be read, as a bus without an answer gives
	 */
	readRegister(bar: number, offset: number, size: number): bigint;
	/** Writes a register; what can't be written is ignored. */
	writeRegister(bar: number, offset: number, size: number, value: bigint): void;
	/** Function Level Reset: back to how it was when the machine was switched on. */
	reset(): void;
}

/** What a read gives that nobody answers. */
export function allOnes(size: number): bigint {
	return (1n << BigInt(8 * size)) - 1n;
}
