// The simulated physical memory that page tables live in: zeroed tables, each with a physical address of its own, so that
// the entries of a table hold real addresses of real tables. drivers/iommu/iommu-pages.c in Linux.

import { allocation } from "../faults/faults.js";
import { Errno } from "../uapi/errno.js";

/** Tables are addressed in frames of 4 KiB, whatever the granule of the format that they belong to. */
export const TABLE_FRAME_LG2 = 12;
const FRAME_WORDS_LG2 = TABLE_FRAME_LG2 - 2;

/** Memory grows by slabs of 4 MiB. A table lies within one, so that a walk seldom has to change from one to another. */
export const SLAB_FRAMES_LG2 = 10;
const SLAB_FRAMES = 1 << SLAB_FRAMES_LG2;

/**
 * 4 GiB: above what a guest of the small machines has as RAM, so that a table and a page of the client are told apart at
 * sight, and below 2^39, so that every format (Sv39, a 39-bit VT-d host address width) can hold it.
 */
const DEFAULT_BASE_FRAME = 1 << (32 - TABLE_FRAME_LG2);
/** The frame at 512 GiB: the number of a frame is a small integer, and within the 39 bits of the narrowest address. */
const END_FRAME = 1 << (39 - TABLE_FRAME_LG2);
/**
 * 1 GiB, enough for 512 GiB in pages of 4 KiB. These tables are real memory, while what they map need never have been touched: a
 * client could have us use up the host's memory with a mapping that costs itself nothing. Linux would run out of memory, too.
 */
const MOST_FRAMES = 1 << (30 - TABLE_FRAME_LG2);

export interface TableMemoryOptions {
	/** Frame of the first table, a multiple of 1024 (4 MiB). */
	baseFrame?: number;
	/** How much there is, in frames. */
	mostFrames?: number;
}

/** What was freed is handed out again, but goes back to the system only with the whole. */
export class TableMemory {
	readonly baseFrame: number;
	readonly #endFrame: number;
	/** By number: the words of all tables, in the order of their frames. */
	readonly slabs: Uint32Array[] = [];
	/** By frame from baseFrame on, the part of a slab that is a table. One larger than a frame stands at its first. */
	readonly #tables: Uint32Array[] = [];
	/** By lg2 of the size in bytes: frames of tables that were freed, and of memory that never was one. */
	readonly #free: number[][] = [];
	#tablesInUse = 0;
	#bytesInUse = 0;

	constructor(options: TableMemoryOptions = {}) {
		this.baseFrame = options.baseFrame ?? DEFAULT_BASE_FRAME;
		this.#endFrame = Math.min(END_FRAME, this.baseFrame + (options.mostFrames ?? MOST_FRAMES));
		if (this.baseFrame % SLAB_FRAMES !== 0)
			throw new RangeError(`table memory begins at a multiple of ${SLAB_FRAMES} frames, not at ${this.baseFrame}`);
	}

	get tablesInUse(): number {
		return this.#tablesInUse;
	}

	get bytesInUse(): number {
		return this.#bytesInUse;
	}

	/**
	 * A zeroed table of 2^bytesLg2 bytes, aligned to its size.
	 * @returns its frame
	 * @throws ENOMEM
	 */
	allocate(bytesLg2: number): number {
		allocation("a page table", "fail_page_alloc");
		const freed = this.#free[bytesLg2]?.pop();
		const frame = freed ?? this.#newTable(bytesLg2);
		if (freed !== undefined) this.tableAt(frame).fill(0);
		this.#tablesInUse++;
		this.#bytesInUse += 1 << bytesLg2;
		return frame;
	}

	/** The words of the table at a frame: entry n is the word 2n (bits 31:0) and the word 2n + 1 (bits 63:32). */
	tableAt(frame: number): Uint32Array {
		return this.#tables[frame - this.baseFrame]!;
	}

	free(frame: number): void {
		const { byteLength } = this.tableAt(frame);
		this.#freeList(31 - Math.clz32(byteLength)).push(frame);
		this.#tablesInUse--;
		this.#bytesInUse -= byteLength;
	}

	#freeList(bytesLg2: number): number[] {
		this.#free[bytesLg2] ??= [];
		return this.#free[bytesLg2];
	}

	/** Behind all that there are. */
	#newTable(bytesLg2: number): number {
		const tables = this.#tables;
		const framesLg2 = Math.max(0, bytesLg2 - TABLE_FRAME_LG2);
		// The frames that alignment skips serve later tables of one frame.
		while (tables.length & ((1 << framesLg2) - 1)) this.#freeList(TABLE_FRAME_LG2).push(this.#addFrames(0, 12));
		return this.#addFrames(framesLg2, bytesLg2);
	}

	#addFrames(framesLg2: number, bytesLg2: number): number {
		const tables = this.#tables;
		const number = tables.length;
		if (this.baseFrame + number + (1 << framesLg2) > this.#endFrame)
			throw new Errno("ENOMEM", `page tables have used up their memory, which is ${number} frames`, "table-memory");
		if (number % SLAB_FRAMES === 0) this.slabs.push(new Uint32Array(SLAB_FRAMES << FRAME_WORDS_LG2));
		const slab = this.slabs[number >>> SLAB_FRAMES_LG2]!;
		const start = (number % SLAB_FRAMES) << FRAME_WORDS_LG2;
		const table = slab.subarray(start, start + (1 << (bytesLg2 - 2)));
		for (let n = 0; n < 1 << framesLg2; n++) tables.push(table);
		return this.baseFrame + number;
	}
}
