// The client's memory as its own tables address it: by guest-physical addresses, which the second stage translates.

import { addressOf } from "../../memory/page-number.js";
import type { PhysicalMemory } from "../../memory/physical-memory.js";
import { hex } from "../../uapi/errno.js";
import { DmaFault, type DmaRequest } from "./dma-fault.js";
import type { PagingStage, Words } from "./paging-stage.js";

const entry = new Int32Array(2);
const lowHalf = new Int32Array(1);
const lowHalfBytes = new Uint8Array(lowHalf.buffer);

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
	 * @param page of 4 KiB, in which it is at `offset`
	 * @returns its two halves, good until the next one is read
	 * @throws DmaFault of the second stage
	 */
	readEntry(page: number, offset: number, what: Words): Int32Array {
		const { secondStage } = this;
		secondStage.translateAt(page, offset, false, what, this.#marks);
		if (!this.#memory.readEntry(secondStage.frame, secondStage.offset, entry))
			throw this.noMemory(addressOf(page, offset), what);
		return entry;
	}

	/**
	 * Words of 32 bits, the lower halves of entries first.
	 * @param address in bytes; what is read lies within one page
	 * @param what it is, for the reason: "PTE 5"
	 * @throws DmaFault of the second stage
	 */
	read(address: bigint, words: number, what: Words): Uint32Array {
		this.secondStage.translate(address, false, what, this.#marks);
		const into = new Uint32Array(words);
		const bytes = new Uint8Array(into.buffer);
		if (this.#memory.read(this.secondStage.physical, bytes) < bytes.length) throw this.noMemory(address, what);
		return into;
	}

	/** Writes the lower half of an entry. @throws DmaFault */
	writeLow(page: number, offset: number, low: number, what: Words): void {
		this.secondStage.translateAt(page, offset, true, `${what}, to mark it`, this.#marks);
		lowHalf[0] = low;
		if (this.#memory.write(this.secondStage.physical, lowHalfBytes) < lowHalfBytes.length)
			throw this.noMemory(addressOf(page, offset), what);
	}

	/** Why nothing can be read there. */
	protected noMemory(address: bigint, what: Words): DmaFault {
		const reason = `${hex(address)} (${what}) leads to physical address ${hex(this.secondStage.physical)}, where there is no memory`;
		return new DmaFault(this.request, "memory", "no-memory", reason);
	}
}
