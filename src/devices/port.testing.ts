// A machine around a model, for its tests: some memory at IOVA 0, all else refused, and whatever the model says written down.

import type { Device } from "../iommu/core/iommu.js";
import type { Pasid } from "../iommu/core/pasid.js";
import { DmaFault } from "../iommu/translation/dma-fault.js";
import type { EndpointPort } from "./endpoint.js";

export class TestPort implements EndpointPort {
	/** What IOVA 0 and the following lead to. */
	readonly memory: Uint8Array;
	readonly view: DataView;
	/** The vectors of the interrupts so far, in order. */
	readonly interrupts: number[] = [];
	/** Of INTx: whether it has been asserted since it was last deasserted. */
	isAsserted = false;
	wakes = 0;
	/** What the model said, in order. */
	readonly told: string[] = [];
	/** Of "doorbell" pages: the words that the model has set, "BAR:offset" to value. */
	readonly doorbells = new Map<string, number>();
	readonly #shared = new Map<string, Uint8Array>();

	/** @param size of the memory, in bytes */
	constructor(size = 1024 * 1024) {
		this.memory = new Uint8Array(size);
		this.view = new DataView(this.memory.buffer);
	}

	readMemory(iova: bigint, into: Uint8Array, pasid: Pasid = 0): DmaFault | undefined {
		if (iova + BigInt(into.length) > BigInt(this.memory.length)) return refused(iova, pasid, false);
		into.set(this.memory.subarray(Number(iova), Number(iova) + into.length));
		return undefined;
	}

	writeMemory(iova: bigint, from: Uint8Array, pasid: Pasid = 0): DmaFault | undefined {
		if (iova + BigInt(from.length) > BigInt(this.memory.length)) return refused(iova, pasid, true);
		this.memory.set(from, Number(iova));
		return undefined;
	}

	interrupt(vector: number): void {
		this.interrupts.push(vector);
		this.isAsserted = true;
	}

	deassert(): void {
		this.isAsserted = false;
	}

	wake(): void {
		this.wakes++;
	}

	setDoorbell(bar: number, offset: number, value: number): void {
		this.doorbells.set(`${bar}:${offset}`, value);
	}

	tell(message: string): void {
		this.told.push(message);
	}

	memoryOf(bar: number, offset: number): Uint8Array {
		const key = `${bar}:${offset}`;
		const memory = this.#shared.get(key) ?? new Uint8Array(64 * 1024);
		this.#shared.set(key, memory);
		return memory;
	}
}

function refused(iova: bigint, pasid: Pasid, write: boolean): DmaFault {
	const device = { name: "the device under test" } as Device;
	return new DmaFault({ device, pasid, iova, write }, "page table", "not-present", "nothing is mapped there");
}
