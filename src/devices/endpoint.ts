// What a PCI function that does DMA is to the machine around it, and what the machine is to it.
//
// A model doesn't know where it runs: in a thread of its own under the supervisor, or in process, in a test or a replay. Everything
// here is synchronous within that thread, and a model is called by one caller at a time.

import type { Pasid } from "../iommu/core/pasid.js";
import type { DmaFault } from "../iommu/translation/dma-fault.js";
import type { RemoteFunction } from "./remote.js";

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
	/** Has `work()` called soon, though no register was accessed: something came from elsewhere. */
	wake(): void;
	/**
	 * The memory behind pages that the model calls "memory", shared with those who map them.
	 * @param offset in the BAR, in bytes, as in PageBehaviour
	 */
	memoryOf(bar: number, offset: number): Uint8Array;
	/**
	 * Gives a word of a "doorbell" page a value of the function's own. Only what differs from it is a write from then on, so a program that
	 * stores what it stored before, to a queue that has been made anew since, is heard.
	 * @param offset in the BAR, in bytes, a multiple of 4
	 */
	setDoorbell(bar: number, offset: number, value: number): void;
	/** Says something to whoever watches, in a sentence: why a command of the program's failed. */
	tell(message: string): void;
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
	/**
	 * What reading a register would give, without what reading it does. Where a model hasn't this, registers are read in its place.
	 * For programs whose accesses can't be heard of: they see memory in which that is shown.
	 */
	peekRegister?(bar: number, offset: number, size: number): bigint;
	/**
	 * Writes a register; what can't be written is ignored. It only takes note of what takes longer than a few microseconds,
	 * and work() does it.
	 */
	writeRegister(bar: number, offset: number, size: number, value: bigint): void;
	/**
	 * A store of 64 bytes at once, at a multiple of 64, as MOVDIR64B and ENQCMD make it. Where a model hasn't this, it gets writes
	 * of 8 bytes, in their order.
	 * @param from is the caller's again afterwards
	 */
	writeBlock?(bar: number, offset: number, from: Uint8Array): void;
	/**
	 * Does a piece of what registers have asked for, of about a millisecond at most. Called after accesses and after wake(), again and
	 * again while there is more; accesses may come in between.
	 * @returns whether there is more to do now
	 */
	work?(): boolean;
	/** Files of the host's, by their fds: when one of them can be read, work() is to be called. The same array as long as they are the same. */
	readonly fds?: readonly number[];
	/** What a function has to be told that is somebody else's. */
	readonly remote?: RemoteFunction;
	/** Function Level Reset: back to how it was when the machine was switched on. What is under way ends without a trace. */
	reset(): void;
	/** All that it knows, so that another one of its kind, with the same options, can go on from there. Between two pieces of work. */
	save?(): Uint8Array;
	/** Takes over what `save` gave. @throws Error that says what doesn't fit, with nothing changed: the bytes may be anybody's */
	restore?(state: Uint8Array): void;
	/** Gives back what it holds: files, wires. Called once, and nothing after it. */
	close?(): void;
}

/**
 * How a stretch of a BAR behaves when a program maps it. Where nothing is said each load and store is an access of its own, in its
 * order and width. "doorbell": words of 32 bits that only tell their last value: a store may be seen late, and those before it not at
 * all; reading gives what was stored. "memory": plain memory, which the model sees by EndpointPort.memoryOf().
 */
export interface PageBehaviour {
	readonly bar: number;
	/** In the BAR, in bytes: a multiple of 4096, as the length. */
	readonly offset: number;
	readonly length: number;
	readonly kind: "doorbell" | "memory";
}

/** What a read gives that nobody answers. */
export function allOnes(size: number): bigint {
	return (1n << BigInt(8 * size)) - 1n;
}
