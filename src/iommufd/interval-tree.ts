// Intervals of IOVA that don't overlap, in order, a million of them as easily as ten.
//
// A B+ tree of two levels: sorted blocks of up to BLOCK intervals, in a sorted list. Where an interval begins and ends is kept
// in the block as page number and offset in the page: all are exact doubles, so a search compares no bigint, and looks at no
// interval.

import { offsetInPage, pageOf } from "../memory/page-number.js";

/** Both ends are in bytes, and belong to the interval. */
export interface Interval {
	readonly first: bigint;
	readonly last: bigint;
}

const BLOCK = 128;
const OFFSET_BITS = 12;
const OFFSET = 0xfff;

class Block<T> {
	readonly firstPages = new Float64Array(BLOCK);
	readonly lastPages = new Float64Array(BLOCK);
	/** Of the first byte, and, above OFFSET_BITS, of the last one. */
	readonly offsets = new Uint32Array(BLOCK);
	readonly values: T[] = [];

	/** Whether the interval at a place begins at or before a place in the address space. */
	beginsBy(at: number, page: number, offset: number): boolean {
		const first = this.firstPages[at];
		return first < page || (first === page && (this.offsets[at] & OFFSET) <= offset);
	}

	/** Whether it ends before a place in the address space. */
	endsBefore(at: number, page: number, offset: number): boolean {
		const last = this.lastPages[at];
		return last < page || (last === page && this.offsets[at] >>> OFFSET_BITS < offset);
	}

	/** Moves what is from one place on to another one. */
	move(to: number, from: number): void {
		const end = this.values.length;
		this.firstPages.copyWithin(to, from, end);
		this.lastPages.copyWithin(to, from, end);
		this.offsets.copyWithin(to, from, end);
	}
}

export class IntervalTree<T extends Interval> {
	/** None before the first insert; after that at least one, and only a single one can be empty. */
	readonly #blocks: Block<T>[] = [];
	#size = 0;
	// Where the last search ended: the block, and the place in it.
	#block = 0;
	#place = 0;

	get size(): number {
		return this.#size;
	}

	/** Adds an interval that overlaps none of the others. */
	insert(value: T): void {
		const page = pageOf(value.first);
		const offset = offsetInPage(value.first);
		if (this.#blocks.length === 0) this.#blocks.push(new Block());
		this.#seek(page, offset);
		// After the one at or before it; before everything when there is none.
		let block = this.#blocks[this.#block];
		let place = this.#place + 1;
		if (block.values.length === BLOCK) {
			place = this.#makeRoom(place);
			block = this.#blocks[this.#block];
		}
		if (place < block.values.length) {
			block.move(place + 1, place);
			block.values.splice(place, 0, value);
		} else block.values.push(value);
		block.firstPages[place] = page;
		block.lastPages[place] = pageOf(value.last);
		block.offsets[place] = offset | (offsetInPage(value.last) << OFFSET_BITS);
		this.#size++;
	}

	/** Takes an interval out that is in. */
	remove(value: T): void {
		this.#find(value);
		const block = this.#blocks[this.#block];
		const place = this.#place;
		if (place === block.values.length - 1) block.values.pop();
		else {
			block.move(place, place + 1);
			block.values.splice(place, 1);
		}
		if (block.values.length === 0 && this.#blocks.length > 1) this.#blocks.splice(this.#block, 1);
		this.#size--;
	}

	/** The first interval that has a byte in first..last. */
	firstIn(first: bigint, last: bigint): T | undefined {
		if (this.#blocks.length === 0) return undefined;
		const page = pageOf(first);
		const offset = offsetInPage(first);
		this.#seek(page, offset);
		const block = this.#blocks[this.#block];
		if (this.#place >= 0 && !block.endsBefore(this.#place, page, offset)) return block.values[this.#place];
		return this.#after(last);
	}

	/** The interval that follows this one, if it begins at or before `last`. */
	next(value: T, last: bigint): T | undefined {
		this.#find(value);
		return this.#after(last);
	}

	/** All of them, in order. The tree must not change meanwhile. */
	*[Symbol.iterator](): Iterator<T> {
		for (const block of this.#blocks) yield* block.values;
	}

	/** The interval after the place of the last search, if it begins at or before `last`. */
	#after(last: bigint): T | undefined {
		let block: Block<T> | undefined = this.#blocks[this.#block];
		let place = this.#place + 1;
		if (place === block.values.length) {
			block = this.#blocks[this.#block + 1];
			place = 0;
		}
		if (block === undefined || !block.beginsBy(place, pageOf(last), offsetInPage(last))) return undefined;
		return block.values[place];
	}

	/** Has the last search end at an interval that is in. Often it has ended there anyway. */
	#find(value: T): void {
		if (this.#blocks[this.#block]?.values[this.#place] === value) return;
		this.#seek(pageOf(value.first), offsetInPage(value.first));
	}

	/** Finds the last interval that begins at or before a place; #place is -1 (in block 0) when there is none. */
	#seek(page: number, offset: number): void {
		const blocks = this.#blocks;
		let low = 0;
		let high = blocks.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			if (blocks[middle].beginsBy(0, page, offset)) low = middle;
			else high = middle - 1;
		}
		this.#block = low;
		const block = blocks[low];
		let from = 0;
		let to = block.values.length;
		while (from < to) {
			const middle = (from + to) >>> 1;
			if (block.beginsBy(middle, page, offset)) from = middle + 1;
			else to = middle;
		}
		this.#place = from - 1;
	}

	/** Splits the full block of the last search. @returns the place that stood for `place` before, now in #block */
	#makeRoom(place: number): number {
		// Who inserts in ascending order leaves full blocks behind, not halves.
		const from = place === BLOCK && this.#block === this.#blocks.length - 1 ? BLOCK : BLOCK / 2;
		this.#split(this.#block, from);
		if (place < from || (place === from && from < BLOCK)) return place;
		this.#block++;
		return place - from;
	}

	#split(at: number, from: number): void {
		const lower = this.#blocks[at];
		const upper = new Block<T>();
		upper.firstPages.set(lower.firstPages.subarray(from));
		upper.lastPages.set(lower.lastPages.subarray(from));
		upper.offsets.set(lower.offsets.subarray(from));
		upper.values.push(...lower.values.splice(from));
		this.#blocks.splice(at + 1, 0, upper);
	}
}
