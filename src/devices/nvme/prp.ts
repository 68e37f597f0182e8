// Physical Region Pages: where data is, page by page.
// NVM Express Base Specification 1.4, 4.3 "Physical Region Page Entry and List".

import { type Command, DataPointer } from "./command.js";
import type { Extents } from "./extents.js";
import type { HostMemory } from "./host-memory.js";
import { Status } from "./status.js";

const ENTRY = 8;
/** More lists than that, for at most 512 KiB, are a chain that leads nowhere. */
const MOST_LISTS = 256;

export class PrpReader {
	readonly #memory: HostMemory;
	/** Room for the entries of one list, as far as a command needs them. */
	readonly #list: Uint8Array;
	readonly #view: DataView;

	/** @param mostBytes how much data a command can have */
	constructor(memory: HostMemory, mostBytes: number) {
		this.#memory = memory;
		this.#list = new Uint8Array((mostBytes / 4096 + 1) * ENTRY);
		this.#view = new DataView(this.#list.buffer);
	}

	/**
	 * Finds the stretches of a command's data.
	 * @param length of the data in bytes
	 * @param pageSize CC.MPS, in bytes
	 * @returns a status
	 */
	read(command: Command, length: number, pageSize: number, extents: Extents): number {
		const page = command.page(DataPointer.PRP1);
		const offset = command.offset(DataPointer.PRP1);
		if (offset % 4 !== 0)
			return this.#badOffset(command, `PRP Entry 1 ends with ${hexOffset(offset)}: it must be a multiple of 4`, 1);
		const first = Math.min(length, pageSize - offsetIn(pageSize, page, offset));
		extents.add(page, offset, first);
		const left = length - first;
		if (left === 0) return Status.SUCCESS;
		const page2 = command.page(DataPointer.PRP2);
		const offset2 = command.offset(DataPointer.PRP2);
		if (left > pageSize) return this.#readLists(command, page2, offset2, left, pageSize, extents);
		if (offsetIn(pageSize, page2, offset2) !== 0)
			return this.#badOffset(command, `PRP Entry 2 is not at the start of a page of ${pageSize} bytes`, 2);
		extents.add(page2, 0, left);
		return Status.SUCCESS;
	}

	/** A list fills its page to the end if it must; its last entry leads to the next one then. */
	#readLists(
		command: Command,
		page: number,
		offset: number,
		length: number,
		pageSize: number,
		extents: Extents,
	): number {
		let left = length;
		for (let lists = 0; lists < MOST_LISTS; lists++) {
			if (offset % ENTRY !== 0)
				return this.#badOffset(
					command,
					`a PRP list begins at ${hexOffset(offset)} of its page: not at a multiple of 8`,
					2,
				);
			const needed = Math.ceil(left / pageSize);
			const room = (pageSize - offsetIn(pageSize, page, offset)) / ENTRY;
			const entries = Math.min(needed, room);
			const fault = this.#memory.read(page, offset, this.#list.subarray(0, entries * ENTRY));
			if (fault !== undefined) return command.fail(Status.DATA_TRANSFER_ERROR, `of its PRP list: ${fault.message}`);
			const ofData = needed > room ? room - 1 : entries;
			for (let i = 0; i < ofData; i++) {
				const entry = this.#pageAt(i);
				if (offsetIn(pageSize, entry, this.#offsetAt(i)) !== 0)
					return this.#badOffset(
						command,
						`entry ${i} of a PRP list is not at the start of a page of ${pageSize} bytes`,
						2,
					);
				const size = Math.min(left, pageSize);
				extents.add(entry, 0, size);
				left -= size;
			}
			if (left === 0) return Status.SUCCESS;
			page = this.#pageAt(room - 1);
			offset = this.#offsetAt(room - 1);
		}
		return this.#badOffset(command, `its PRP lists lead from one to the next, ${MOST_LISTS} times`, 2);
	}

	#pageAt(index: number): number {
		return this.#view.getUint32(index * ENTRY + 4, true) * 2 ** 20 + (this.#view.getUint32(index * ENTRY, true) >>> 12);
	}

	#offsetAt(index: number): number {
		return this.#view.getUint32(index * ENTRY, true) & 0xfff;
	}

	#badOffset(command: Command, reason: string, entry: 1 | 2): number {
		return command.fail(Status.PRP_OFFSET_INVALID, reason, entry === 1 ? DataPointer.PRP1 : DataPointer.PRP2);
	}
}

/** Where in its page, of any size, an address is. */
export function offsetIn(pageSize: number, page: number, offset: number): number {
	return (page % (pageSize / 4096)) * 4096 + offset;
}

function hexOffset(offset: number): string {
	return `0x${offset.toString(16)}`;
}
