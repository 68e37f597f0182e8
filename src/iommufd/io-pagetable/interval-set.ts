// Intervals of IOVA that don't overlap, in order, a million of them as easily as ten: what ALLOW_IOVAS has allowed. struct
// io_pagetable's allowed_itree.
//
// A B+ tree of two levels, as in area-tree.ts. An interval is two numbers of 64 bits, each as two words, the low one first: as they
// stand in a program's array, so no bigint is made to add one.

import { MemoryBudget, type Share } from "../../faults/memory-budget.js";
import type { Interval } from "./iova-ranges.js";

const BLOCK = 128;
/** first, last */
const WORDS = 4;
/** What a block takes, in bytes. */
const BLOCK_BYTES = BLOCK * WORDS * 4 + 300;

class Block {
	readonly words = new Uint32Array(BLOCK * WORDS);
	length = 0;

	/** The number at a word, as a bigint. */
	value(word: number): bigint {
		return (BigInt(this.words[word + 1]) << 32n) | BigInt(this.words[word]);
	}

	interval(place: number): Interval {
		return { first: this.value(place * WORDS), last: this.value(place * WORDS + 2) };
	}

	/** Whether the interval at a place begins at or before a number. */
	beginsBy(place: number, low: number, high: number): boolean {
		const at = place * WORDS;
		const ownHigh = this.words[at + 1];
		return ownHigh < high || (ownHigh === high && this.words[at] <= low);
	}

	/** Whether it ends before a number. */
	endsBefore(place: number, low: number, high: number): boolean {
		const at = place * WORDS + 2;
		const ownHigh = this.words[at + 1];
		return ownHigh < high || (ownHigh === high && this.words[at] < low);
	}
}

export class IntervalSet {
	readonly #blocks: Block[] = [];
	readonly #budget: Share;
	#size = 0;

	/** @param budget what they are charged to */
	constructor(budget = new MemoryBudget().ranges) {
		this.#budget = budget;
	}

	get size(): number {
		return this.#size;
	}

	/** Gives back what it takes; it is empty then. */
	dispose(): void {
		this.#budget.uncharge(this.#blocks.length * BLOCK_BYTES);
		this.#blocks.length = 0;
		this.#size = 0;
	}

	/**
	 * Adds first..last, unless it overlaps one that is in.
	 * @returns whether it was added
	 * @throws ENOMEM
	 */
	add(firstLow: number, firstHigh: number, lastLow: number, lastHigh: number): boolean {
		if (this.#blocks.length === 0) this.#addBlock(0);
		let at = this.#blockOf(firstLow, firstHigh);
		let block = this.#blocks[at];
		let place = placeOf(block, firstLow, firstHigh);
		if (place >= 0 && !block.endsBefore(place, firstLow, firstHigh)) return false;
		if (this.#beginsBy(at, place + 1, lastLow, lastHigh)) return false;
		place++;
		if (block.length === BLOCK) {
			// Who adds in ascending order leaves full blocks behind, not halves.
			const from = place === BLOCK && at === this.#blocks.length - 1 ? BLOCK : place === 0 && at === 0 ? 0 : BLOCK / 2;
			this.#split(at, from);
			if (place > from || (place === from && from === BLOCK)) {
				block = this.#blocks[++at];
				place -= from;
			}
		}
		const { words } = block;
		const word = place * WORDS;
		if (place < block.length) words.copyWithin(word + WORDS, word, block.length * WORDS);
		words[word] = firstLow;
		words[word + 1] = firstHigh;
		words[word + 2] = lastLow;
		words[word + 3] = lastHigh;
		block.length++;
		this.#size++;
		return true;
	}

	/** The first that has a number of first..last. */
	firstIn(first: bigint, last: bigint): Interval | undefined {
		if (this.#size === 0) return undefined;
		const [low, high] = [Number(first & 0xffffffffn), Number(first >> 32n)];
		const at = this.#blockOf(low, high);
		const block = this.#blocks[at];
		const place = placeOf(block, low, high);
		if (place >= 0 && !block.endsBefore(place, low, high)) return block.interval(place);
		const next = place + 1 < block.length ? block.interval(place + 1) : this.#blocks[at + 1]?.interval(0);
		return next !== undefined && next.first <= last ? next : undefined;
	}

	/** All of them, in order. None must be added meanwhile. */
	*[Symbol.iterator](): Iterator<Interval> {
		for (const block of this.#blocks) for (let place = 0; place < block.length; place++) yield block.interval(place);
	}

	/** Whether there is one at a place, or behind the block's end, that begins at or before a number. */
	#beginsBy(at: number, place: number, low: number, high: number): boolean {
		const block = this.#blocks[at];
		if (place < block.length) return block.beginsBy(place, low, high);
		return this.#blocks[at + 1]?.beginsBy(0, low, high) ?? false;
	}

	/** The last block that begins at or before a number; the first one if there is none. */
	#blockOf(low: number, high: number): number {
		let from = 0;
		let to = this.#blocks.length - 1;
		while (from < to) {
			const middle = (from + to + 1) >>> 1;
			if (this.#blocks[middle].beginsBy(0, low, high)) from = middle;
			else to = middle - 1;
		}
		return from;
	}

	#addBlock(at: number): Block {
		this.#budget.charge(BLOCK_BYTES);
		const block = new Block();
		this.#blocks.splice(at, 0, block);
		return block;
	}

	/** Moves what is from a place on in a full block into a new one behind it. */
	#split(at: number, from: number): void {
		const rest = this.#addBlock(at + 1);
		const block = this.#blocks[at];
		rest.words.set(block.words.subarray(from * WORDS));
		rest.length = block.length - from;
		block.length = from;
	}
}

/** The last place of a block whose interval begins at or before a number; -1 if there is none. */
function placeOf(block: Block, low: number, high: number): number {
	let from = 0;
	let to = block.length;
	while (from < to) {
		const middle = (from + to) >>> 1;
		if (block.beginsBy(middle, low, high)) from = middle + 1;
		else to = middle;
	}
	return from - 1;
}
