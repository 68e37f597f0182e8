// The client's memory as its own tables address it: by guest-physical addresses, which the second stage translates.

import { PAGE_SIZE } from "../memory/address-space.js";
import { hex } from "../uapi/errno.js";
import { DmaFault, type DmaRequest } from "./dma-fault.js";
import type { PagingStage } from "./paging-stage.js";
import type { PhysicalMemory } from "./physical-memory.js";

const entry = new Uint32Array(2);
const entryBytes = new Uint8Array(entry.buffer);

export class GuestMemory {
	readonly secondStage: PagingStage;
	readonly #memory: PhysicalMemory;
	protected readonly request: DmaRequest;
	/** Whether reading leaves its marks in the second stage, as the hardware's does. */
	readonly #marks: boolean;

	constructor(secondStage: PagingStage, memory: PhysicalMemory, request: DmaRequest, marks: boolean) {
		this.secondStage = secondStage;
		this.#memory = memory;
		this.request = request;
		this.#marks = marks;
	}

	/**
	 * An entry of a table.
	 * @param address in bytes, below 2^53, where all that an entry can point to is
	 * @returns its two halves, good until the next one is read
	 * @throws DmaFault of the second stage
	 */
	readEntry(address: number, what: string): Uint32Array {
		this.secondStage.translateAt(Math.floor(address / PAGE_SIZE), address % PAGE_SIZE, false, what, this.#marks);
		if (this.#memory.read(this.secondStage.physical, entryBytes) < entryBytes.length)
			throw this.noMemory(address, what);
		return entry;
	}

	/**
	 * Words of 32 bits, the lower halves of entries first.
	 * @param address in bytes; what is read lies within one page
	 * @param what it is, for the reason: "PTE 5"
	 * @throws DmaFault of the second stage
	 */
	read(address: bigint, words: number, what: string): Uint32Array {
		this.secondStage.translate(address, false, what, this.#marks);
		const into = new Uint32Array(words);
		const bytes = new Uint8Array(into.buffer);
		if (this.#memory.read(this.secondStage.physical, bytes) < bytes.length) throw this.noMemory(address, what);
		return into;
	}

	/** Writes the lower half of an entry. @throws DmaFault */
	writeLow(address: number, low: number, what: string): void {
		const page = Math.floor(address / PAGE_SIZE);
		this.secondStage.translateAt(page, address % PAGE_SIZE, true, `${what}, to mark it`, this.#marks);
		const bytes = new Uint8Array(Uint32Array.of(low).buffer);
		if (this.#memory.write(this.secondStage.physical, bytes) < bytes.length) throw this.noMemory(address, what);
	}

	/** Why nothing can be read there. */
	protected noMemory(address: bigint | number, what: string): DmaFault {
		const reason = `${hex(address)} (${what}) leads to physical address ${hex(this.secondStage.physical)}, where there is no memory`;
		return new DmaFault(this.request, "memory", "no-memory", reason);
	}
}
