// Reading, and clearing, which leaves a write went through. read_and_clear_dirty() of Linux's generic_pt.

import { Errno } from "../uapi/errno.js";
import type { ContiguousMark, DirtyBits } from "./format.js";
import type { Tree } from "./tree.js";

/** Is told each stretch of dirty frames, in order. */
export type DirtyReport = (va: number, frames: number) => void;

/**
 * Reports the dirty leaves of a range as stretches, so that an all dirty range is a few calls. A leaf is reported whole,
 * even where the range covers only a part of it, because the hardware knows no more.
 * @throws EOPNOTSUPP where the format knows no dirty pages, ERANGE
 */
export function readDirty(tree: Tree, va: number, count: number, clear: boolean, report: DirtyReport): void {
	const bits = tree.format.dirty;
	if (bits === undefined)
		throw new Errno("EOPNOTSUPP", `Linux has no dirty tracking with page tables of the format ${tree.format.name}`);
	const last = va + count - 1;
	tree.checkLength(va, count);
	if (!tree.inRange(va, last)) throw tree.outOfRange(va, last);
	const scan = new DirtyScan(tree, bits, va, last, clear, report);
	scan.table(tree.topWords, tree.topLevel, tree.topVa(va), true, true);
	scan.flush();
}

/** A device wrote through the leaf that translates `va`. Returns whether the leaf is marked dirty now. */
export function setDirty(tree: Tree, va: number): boolean {
	const bits = tree.format.dirty;
	if (bits === undefined || !tree.find(va)) return false;
	const { leafWords: words, leafAt: at } = tree;
	if ((words[at + 1]! & bits.trackedIfHigh) !== bits.trackedIfHigh) return false;
	words[at] = (words[at]! & ~bits.mask) | bits.dirty;
	return true;
}

/** A device accessed memory through the leaf that translates `va`. Returns whether the leaf is marked so now. */
export function setAccessed(tree: Tree, va: number): boolean {
	const { accessed } = tree.format;
	if (accessed === 0 || !tree.find(va)) return false;
	tree.leafWords[tree.leafAt] = tree.leafWords[tree.leafAt]! | accessed;
	return true;
}

class DirtyScan {
	readonly #tree: Tree;
	readonly #bits: DirtyBits;
	readonly #contiguous: ContiguousMark | undefined;
	readonly #va: number;
	readonly #last: number;
	readonly #clear: boolean;
	readonly #report: DirtyReport;
	/** The stretch that is being gathered. */
	#first = 0;
	#end = 0;

	constructor(tree: Tree, bits: DirtyBits, va: number, last: number, clear: boolean, report: DirtyReport) {
		this.#tree = tree;
		this.#bits = bits;
		this.#contiguous = tree.format.contiguous;
		this.#va = va;
		this.#last = last;
		this.#clear = clear;
		this.#report = report;
	}

	/**
	 * @param tableVa the first address that the table translates
	 * @param atStart the range starts in this table, rather than before it
	 * @param atEnd the range ends in this table
	 */
	table(words: Uint32Array, level: number, tableVa: number, atStart: boolean, atEnd: boolean): void {
		const tree = this.#tree;
		const { items, itemFrames } = tree.levels[level]!;
		let from = atStart ? tree.indexOf(this.#va, level) : 0;
		let end = atEnd ? tree.indexOf(this.#last, level) + 1 : items;
		// Any item of a leaf may be the one that the hardware marked.
		if (this.#isContiguous(words, from)) from &= -this.#itemsOfLeaf(words, from, level);
		if (this.#isContiguous(words, end - 1)) end = ((end - 1) | (this.#itemsOfLeaf(words, end - 1, level) - 1)) + 1;
		let index = from;
		while (index < end) {
			if (level > 0 && tree.isTable(words, index, level)) {
				const startsHere = atStart && index === from;
				const endsHere = atEnd && index === end - 1;
				this.table(tree.tableBelow(words, index), level - 1, tableVa + index * itemFrames, startsHere, endsHere);
				index++;
			} else {
				index = this.#leaves(words, index, end, level, tableVa);
			}
		}
	}

	flush(): void {
		if (this.#end > this.#first) this.#report(this.#first, this.#end - this.#first);
		this.#end = this.#first;
	}

	/** Goes on until an item is a table; returns its index. */
	#leaves(words: Uint32Array, from: number, end: number, level: number, tableVa: number): number {
		const { tableMask, tableValue, itemFrames } = this.#tree.levels[level]!;
		const { mask, dirty } = this.#bits;
		let index = from;
		while (index < end) {
			if (level === 0) {
				// Most items are clean, and four at a time are passed over at the speed of memory.
				for (let at = 2 * index; index + 4 <= end; index += 4, at += 8) {
					const differences =
						(words[at]! ^ dirty) & (words[at + 2]! ^ dirty) & (words[at + 4]! ^ dirty) & (words[at + 6]! ^ dirty);
					if ((differences & mask) === 0) break;
				}
				if (index === end) break;
			} else if ((words[2 * index]! & tableMask) === tableValue) break;
			if (!this.#isDirty(words, index)) {
				index++;
				continue;
			}
			let first = index;
			let after = index + 1;
			if (this.#isContiguous(words, index)) {
				const items = this.#itemsOfLeaf(words, index, level);
				first = index & -items;
				after = first + items;
			} else if (level === 0) {
				while (after < end && this.#isDirty(words, after) && !this.#isContiguous(words, after)) after++;
			}
			if (this.#clear) this.#makeClean(words, first, after);
			this.#gather(tableVa + first * itemFrames, tableVa + after * itemFrames);
			index = after;
		}
		return index;
	}

	#isDirty(words: Uint32Array, index: number): boolean {
		const { mask, dirty, trackedIfHigh } = this.#bits;
		return (words[2 * index]! & mask) === dirty && (words[2 * index + 1]! & trackedIfHigh) === trackedIfHigh;
	}

	#makeClean(words: Uint32Array, from: number, to: number): void {
		const { mask, clean } = this.#bits;
		for (let at = 2 * from; at < 2 * to; at += 2) words[at] = (words[at]! & ~mask) | clean;
	}

	#isContiguous(words: Uint32Array, index: number): boolean {
		const mark = this.#contiguous;
		return mark !== undefined && (words[2 * index + mark.word]! & mark.mask) === mark.mask;
	}

	#itemsOfLeaf(words: Uint32Array, index: number, level: number): number {
		const size = this.#tree.format.leafSize(level, words[2 * index]!, words[2 * index + 1]!);
		return 1 << (size - this.#tree.levels[level]!.itemSize);
	}

	#gather(first: number, end: number): void {
		if (first !== this.#end) {
			this.flush();
			this.#first = first;
		}
		this.#end = end;
	}
}
