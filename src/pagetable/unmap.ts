// Unmapping a range. pt_iommu_unmap_range() of Linux's generic_pt: leaves are never split, so a range that ends inside of
// one takes all of it, one that starts inside of one stops there, and so does one that meets a hole.

import { isAligned } from "./bits.js";
import type { Tree } from "./tree.js";

/** @returns how many frames were unmapped, from `va` on: fewer than asked for if it stopped, more if a leaf was larger */
export function unmapRange(tree: Tree, va: number, count: number): number {
	const last = va + count - 1;
	if (count === 0 || va + count > tree.spaceFrames || !tree.inRange(va, last)) return 0;
	const unmapping = new Unmapping(tree, va, last);
	unmapping.table(tree.topWords, tree.topLevel, true, true);
	return unmapping.unmapped;
}

class Unmapping {
	readonly #tree: Tree;
	readonly #va: number;
	readonly #last: number;
	unmapped = 0;

	constructor(tree: Tree, va: number, last: number) {
		this.#tree = tree;
		this.#va = va;
		this.#last = last;
	}

	/**
	 * @param atStart the range starts in this table, rather than before it
	 * @param atEnd the range ends in this table
	 * @returns whether to go on after the table
	 */
	table(words: Uint32Array, level: number, atStart: boolean, atEnd: boolean): boolean {
		const tree = this.#tree;
		const { items } = tree.levels[level]!;
		const from = atStart ? tree.indexOf(this.#va, level) : 0;
		const end = atEnd ? tree.indexOf(this.#last, level) + 1 : items;
		if (atStart && this.#startsInsideLeaf(words, from, level)) return false;
		let index = from;
		while (index < end) {
			if (tree.isEmpty(words, index, level)) return false;
			if (tree.isTable(words, index, level)) {
				const startsHere = atStart && index === from;
				const endsHere = atEnd && index === end - 1;
				if (!this.table(tree.tableBelow(words, index), level - 1, startsHere, endsHere)) return false;
				if (this.#covers(level, startsHere, endsHere)) this.#freeTable(words, index, level);
				index++;
			} else {
				index = this.#clearLeaves(words, index, end, level);
			}
		}
		return true;
	}

	#startsInsideLeaf(words: Uint32Array, index: number, level: number): boolean {
		const tree = this.#tree;
		if (tree.isEmpty(words, index, level) || tree.isTable(words, index, level)) return false;
		return !isAligned(this.#va, tree.format.leafSize(level, words[2 * index]!, words[2 * index + 1]!));
	}

	/** Is the item of a table that the range starts or ends in covered by the range? */
	#covers(level: number, startsHere: boolean, endsHere: boolean): boolean {
		const { itemSize } = this.#tree.levels[level]!;
		if (startsHere && !isAligned(this.#va, itemSize)) return false;
		return !endsHere || isAligned(this.#last + 1, itemSize);
	}

	/** The table is empty by now. */
	#freeTable(words: Uint32Array, index: number, level: number): void {
		this.#tree.memory.free(this.#tree.tableFrame(words, index));
		this.#tree.clear(words, index, index + 1, level);
	}

	/** Clears the leaves that follow one another from `index` on; returns the index after them. */
	#clearLeaves(words: Uint32Array, index: number, end: number, level: number): number {
		const tree = this.#tree;
		const { itemFrames, itemSize } = tree.levels[level]!;
		let after = this.#endOfLeaves(words, index, end, level);
		if (tree.format.contiguous !== undefined) {
			const low = words[2 * after - 2]!;
			const high = words[2 * after - 1]!;
			const itemsOfLeaf = 1 << (tree.format.leafSize(level, low, high) - itemSize);
			after = (after + itemsOfLeaf - 1) & -itemsOfLeaf;
		}
		tree.clear(words, index, after, level);
		this.unmapped += (after - index) * itemFrames;
		return after;
	}

	#endOfLeaves(words: Uint32Array, index: number, end: number, level: number): number {
		const { emptyMask, emptyValue, tableMask, tableValue } = this.#tree.levels[level]!;
		let after = index;
		while (after < end) {
			const low = words[2 * after]!;
			if ((low & emptyMask) === emptyValue || (low & tableMask) === tableValue) break;
			after++;
		}
		return after;
	}
}
