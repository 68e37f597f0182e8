// Intervals of IOVA that don't overlap, in order, a million of them as easily as ten.
//
// A B+ tree of two levels: sorted blocks of up to BLOCK intervals, in a sorted list. An interval's key is its first byte, kept
// as page number and offset in the page: both are exact doubles, so a search compares no bigint.

/** Both ends are in bytes, and belong to the interval. */
export interface Interval {
	readonly first: bigint;
	readonly last: bigint;
}

const BLOCK = 128;

class Block<T> {
	readonly pages = new Float64Array(BLOCK);
	readonly offsets = new Uint16Array(BLOCK);
	readonly values: T[] = [];
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
		const page = Number(value.first >> 12n);
		const offset = Number(value.first & 0xfffn);
		if (this.#blocks.length === 0) this.#blocks.push(new Block());
		this.#seek(page, offset);
		// After the one at or before it; before everything when there is none.
		let block = this.#blocks[this.#block];
		let place = this.#place + 1;
		if (block.values.length === BLOCK) {
			this.#split(this.#block);
			if (place > BLOCK / 2) {
				this.#block++;
				place -= BLOCK / 2;
			}
			block = this.#blocks[this.#block];
		}
		block.pages.copyWithin(place + 1, place, block.values.length);
		block.offsets.copyWithin(place + 1, place, block.values.length);
		block.pages[place] = page;
		block.offsets[place] = offset;
		block.values.splice(place, 0, value);
		this.#size++;
	}

	/** Takes an interval out that is in. */
	remove(value: T): void {
		this.#seekTo(value.first);
		const block = this.#blocks[this.#block];
		block.pages.copyWithin(this.#place, this.#place + 1, block.values.length);
		block.offsets.copyWithin(this.#place, this.#place + 1, block.values.length);
		block.values.splice(this.#place, 1);
		if (block.values.length === 0 && this.#blocks.length > 1) this.#blocks.splice(this.#block, 1);
		this.#size--;
	}

	/** The first interval that has a byte in first..last. */
	firstIn(first: bigint, last: bigint): T | undefined {
		if (this.#blocks.length === 0) return undefined;
		this.#seekTo(first);
		const before = this.#blocks[this.#block].values[this.#place];
		if (before !== undefined && before.last >= first) return before;
		const after = this.#valueAfter();
		return after !== undefined && after.first <= last ? after : undefined;
	}

	/** The interval that follows this one, if it begins at or before `last`. */
	next(value: T, last: bigint): T | undefined {
		this.#seekTo(value.first);
		const after = this.#valueAfter();
		return after !== undefined && after.first <= last ? after : undefined;
	}

	/** All of them, in order. The tree must not change meanwhile. */
	*[Symbol.iterator](): Iterator<T> {
		for (const block of this.#blocks) yield* block.values;
	}

	#valueAfter(): T | undefined {
		const values = this.#blocks[this.#block].values;
		if (this.#place + 1 < values.length) return values[this.#place + 1];
		return this.#blocks[this.#block + 1]?.values[0];
	}

	#seekTo(iova: bigint): void {
		this.#seek(Number(iova >> 12n), Number(iova & 0xfffn));
	}

	/** Finds the last interval that begins at or before a place; #place is -1 (in block 0) when there is none. */
	#seek(page: number, offset: number): void {
		const blocks = this.#blocks;
		let low = 0;
		let high = blocks.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			const block = blocks[middle];
			if (block.pages[0] < page || (block.pages[0] === page && block.offsets[0] <= offset)) low = middle;
			else high = middle - 1;
		}
		this.#block = low;
		const block = blocks[low];
		let from = 0;
		let to = block.values.length;
		while (from < to) {
			const middle = (from + to) >>> 1;
			if (block.pages[middle] < page || (block.pages[middle] === page && block.offsets[middle] <= offset))
				from = middle + 1;
			else to = middle;
		}
		this.#place = from - 1;
	}

	#split(at: number): void {
		const lower = this.#blocks[at];
		const upper = new Block<T>();
		upper.pages.set(lower.pages.subarray(BLOCK / 2));
		upper.offsets.set(lower.offsets.subarray(BLOCK / 2));
		upper.values.push(...lower.values.splice(BLOCK / 2));
		this.#blocks.splice(at + 1, 0, upper);
	}
}
