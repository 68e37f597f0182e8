// The simulated physical memory that page tables live in: zeroed tables, each with a physical address of its own, so that
// the entries of a table hold real addresses of real tables. drivers/iommu/iommu-pages.c in Linux.

import { allocation } from "../faults/faults.js";
import { inWords, MemoryBudget, type Share } from "../faults/memory-budget.js";
import { Errno } from "../uapi/errno.js";

/** Tables are addressed in frames of 4 KiB, whatever the granule of the format that they belong to. */
export const TABLE_FRAME_LG2 = 12;
const FRAME_WORDS_LG2 = TABLE_FRAME_LG2 - 2;

/** Memory grows by slabs of 4 MiB. A table lies within one, so that a walk seldom has to change from one to another. */
export const SLAB_FRAMES_LG2 = 10;
const SLAB_FRAMES = 1 << SLAB_FRAMES_LG2;
const SLAB_BYTES = SLAB_FRAMES << TABLE_FRAME_LG2;
/** What a slab takes besides itself: for each frame the array that is a table. */
const SLAB_OVERHEAD = SLAB_FRAMES * 128;

/**
 * 4 GiB: above what a guest of the small machines has as RAM, so that a table and a page of the client are told apart at
 * sight, and below 2^39, so that every format (Sv39, a 39-bit VT-d host address width) can hold it.
 */
const DEFAULT_BASE_FRAME = 1 << (32 - TABLE_FRAME_LG2);
/** The frame at 64 GiB, where the client's memory begins (FIRST_FRAME in memory/frames.ts). */
const DEFAULT_END_FRAME = 1 << (36 - TABLE_FRAME_LG2);
/** The frame at 512 GiB: the number of a frame is a small integer, and within the 39 bits of the narrowest address. */
const END_FRAME = 1 << (39 - TABLE_FRAME_LG2);

/**
 * Gives the memory of an array back to the system, and leaves it zeroed.
 * @returns false where that can't be done
 */
export type Discard = (words: Uint32Array) => boolean;

export interface TableMemoryOptions {
	/** Frame of the first table, a multiple of 1024 (4 MiB). */
	baseFrame?: number;
	/** What slabs are charged to. */
	budget?: Share;
	/** Where it is absent the garbage collector does it. */
	discard?: Discard | undefined;
}

/** A slab, as far as it isn't its words. */
class Slab {
	/** Frames that belong to tables. */
	inUse = 0;
	/** Frames from this one on have never belonged to one since the slab was empty. */
	fresh = 0;
	/** Frames from this one on are known to be zero. */
	zeroFrom = 0;
	/** Frames before `fresh` that don't belong to a table: the last one of so many is used first. */
	readonly freed = new Uint16Array(SLAB_FRAMES);
	freedCount = 0;

	get hasRoom(): boolean {
		return this.freedCount > 0 || this.fresh < SLAB_FRAMES;
	}
}

/** No slab: one that was empty and has been given back. */
const GIVEN_BACK = new Uint32Array(0);

export class TableMemory {
	readonly baseFrame: number;
	readonly #endFrame: number;
	readonly #budget: Share;
	readonly #discard: Discard | undefined;
	/** By number: the words of all tables, in the order of their frames. */
	readonly slabs: Uint32Array[] = [];
	readonly #slabs: Slab[] = [];
	/** By frame from baseFrame on, the part of a slab that is a table. One larger than a frame stands at its first. */
	readonly #tables: Uint32Array[] = [];
	/** By lg2 of the size in bytes: frames of tables larger than a frame that were freed. */
	readonly #freeLarge: number[][] = [];
	/** No slab before this one has room for a frame. */
	#roomFrom = 0;
	/** An empty slab that is kept, because what was just freed is often allocated again; -1 for none. */
	#idle = -1;
	#tablesInUse = 0;
	#bytesInUse = 0;

	constructor(options: TableMemoryOptions = {}) {
		this.baseFrame = options.baseFrame ?? DEFAULT_BASE_FRAME;
		this.#endFrame = options.baseFrame === undefined ? DEFAULT_END_FRAME : END_FRAME;
		this.#budget = options.budget ?? new MemoryBudget().pageTables;
		this.#discard = options.discard;
		if (this.baseFrame % SLAB_FRAMES !== 0)
			throw new RangeError(`table memory begins at a multiple of ${SLAB_FRAMES} frames, not at ${this.baseFrame}`);
	}

	get tablesInUse(): number {
		return this.#tablesInUse;
	}

	get bytesInUse(): number {
		return this.#bytesInUse;
	}

	/** @throws ENOMEM when there can't be so many bytes of tables in all */
	requireRoom(bytes: number): void {
		this.#budget.requireRoom(bytes);
	}

	/**
	 * A zeroed table of 2^bytesLg2 bytes (up to 4 MiB), aligned to its size.
	 * @returns its frame
	 * @throws ENOMEM
	 */
	allocate(bytesLg2: number): number {
		allocation("a page table", "fail_page_alloc");
		const frame = bytesLg2 > TABLE_FRAME_LG2 ? this.#takeLarge(bytesLg2) : this.#takeFrame();
		const number = frame >>> SLAB_FRAMES_LG2;
		const slab = this.#slabs[number]!;
		const words = this.slabs[number]!;
		const first = frame & (SLAB_FRAMES - 1);
		const frames = 1 << Math.max(0, bytesLg2 - TABLE_FRAME_LG2);
		const start = first << FRAME_WORDS_LG2;
		if (first < slab.zeroFrom) words.fill(0, start, start + (frames << FRAME_WORDS_LG2));
		slab.zeroFrom = Math.max(slab.zeroFrom, first + frames);
		slab.inUse += frames;
		if (this.#idle === number) this.#idle = -1;
		let table = this.#tables[frame]!;
		if (table.byteLength !== 1 << bytesLg2) {
			table = words.subarray(start, start + (1 << (bytesLg2 - 2)));
			for (let n = 0; n < frames; n++) this.#tables[frame + n] = table;
		}
		this.#tablesInUse++;
		this.#bytesInUse += 1 << bytesLg2;
		return this.baseFrame + frame;
	}

	/** The words of the table at a frame: entry n is the word 2n (bits 31:0) and the word 2n + 1 (bits 63:32). */
	tableAt(frame: number): Uint32Array {
		return this.#tables[frame - this.baseFrame]!;
	}

	free(frame: number): void {
		const at = frame - this.baseFrame;
		const { byteLength } = this.#tables[at]!;
		const number = at >>> SLAB_FRAMES_LG2;
		const slab = this.#slabs[number]!;
		this.#tablesInUse--;
		this.#bytesInUse -= byteLength;
		if (byteLength <= 1 << TABLE_FRAME_LG2) {
			slab.inUse--;
			slab.freed[slab.freedCount++] = at & (SLAB_FRAMES - 1);
			if (number < this.#roomFrom) this.#roomFrom = number;
		} else {
			slab.inUse -= byteLength >>> TABLE_FRAME_LG2;
			const bytesLg2 = 31 - Math.clz32(byteLength);
			this.#freeLarge[bytesLg2] ??= [];
			this.#freeLarge[bytesLg2].push(at);
		}
		if (slab.inUse === 0) this.#emptied(number, slab);
	}

	/** A frame of the first slab that has room. @returns it, counted from baseFrame on */
	#takeFrame(): number {
		const slabs = this.#slabs;
		let number = this.#roomFrom;
		while (number < slabs.length && !slabs[number]!.hasRoom) number++;
		this.#roomFrom = number;
		this.#prepare(number);
		const slab = slabs[number]!;
		const first = number << SLAB_FRAMES_LG2;
		return slab.freedCount > 0 ? first + slab.freed[--slab.freedCount]! : first + slab.fresh++;
	}

	/** Frames that follow one another, of a table that was freed, of the last slab, or of an empty one. */
	#takeLarge(bytesLg2: number): number {
		const freed = this.#freeLarge[bytesLg2]?.pop();
		if (freed !== undefined) return freed;
		const frames = 1 << (bytesLg2 - TABLE_FRAME_LG2);
		const last = this.#slabs.length - 1;
		const hasRoom = last >= 0 && ((this.#slabs[last]!.fresh + frames - 1) & -frames) + frames <= SLAB_FRAMES;
		const empty = hasRoom ? -1 : this.#slabs.findIndex(({ inUse }) => inUse === 0);
		const number = hasRoom ? last : empty >= 0 ? empty : last + 1;
		this.#prepare(number);
		const slab = this.#slabs[number]!;
		const first = (slab.fresh + frames - 1) & -frames;
		// The frames that alignment skips serve later tables of one frame.
		while (slab.fresh < first) slab.freed[slab.freedCount++] = slab.fresh++;
		slab.fresh += frames;
		return (number << SLAB_FRAMES_LG2) + first;
	}

	/** Sees to it that a slab has its memory. @throws ENOMEM */
	#prepare(number: number): void {
		const isNew = number === this.#slabs.length;
		if (!isNew && (this.#slabs[number]!.inUse > 0 || number === this.#idle)) return;
		if (this.baseFrame + ((number + 1) << SLAB_FRAMES_LG2) > this.#endFrame)
			throw new Errno(
				"ENOMEM",
				`page tables have used up their physical memory, which is ${inWords(number * SLAB_BYTES)}`,
				"table-memory",
			);
		this.#budget.charge(SLAB_BYTES + SLAB_OVERHEAD);
		if (isNew) {
			this.#slabs.push(new Slab());
			this.slabs.push(new Uint32Array(SLAB_FRAMES << FRAME_WORDS_LG2));
			for (let n = 0; n < SLAB_FRAMES; n++) this.#tables.push(GIVEN_BACK);
		} else if (this.slabs[number] === GIVEN_BACK) this.slabs[number] = new Uint32Array(SLAB_FRAMES << FRAME_WORDS_LG2);
	}

	/** Nothing of a slab is in use any more. */
	#emptied(number: number, slab: Slab): void {
		if (slab.fresh > 0) this.#forgetLargeOf(number);
		slab.fresh = 0;
		slab.freedCount = 0;
		if (number < this.#roomFrom) this.#roomFrom = number;
		const before = this.#idle;
		this.#idle = number;
		if (before !== -1 && before !== number) this.#giveBack(before);
	}

	#giveBack(number: number): void {
		const slab = this.#slabs[number]!;
		this.#budget.uncharge(SLAB_BYTES + SLAB_OVERHEAD);
		slab.zeroFrom = 0;
		if (this.#discard?.(this.slabs[number]!)) return;
		this.slabs[number] = GIVEN_BACK;
		this.#tables.fill(GIVEN_BACK, number << SLAB_FRAMES_LG2, (number + 1) << SLAB_FRAMES_LG2);
	}

	#forgetLargeOf(number: number): void {
		for (const frames of this.#freeLarge) {
			if (frames === undefined || frames.length === 0) continue;
			const kept = frames.filter((frame) => frame >>> SLAB_FRAMES_LG2 !== number);
			frames.splice(0, frames.length, ...kept);
		}
	}
}
