// Unmapping a range. pt_iommu_unmap_range() of Linux's generic_pt: leaves are never split, so a range that ends inside of
// one takes all of it, one that starts inside of one stops there, and so does one that meets a hole.

import { worked } from "../uapi/slices.js";
import { alignDown, isAligned } from "./bits.js";
import { clearItems, firstNoLeaf, indexOf, isEmpty, isTable } from "./table-level.js";
import type { Tree } from "./tree.js";

/** @returns how many frames were unmapped, from `va` on: fewer than asked for if it stopped, more if a leaf was larger */
export function unmapRange(tree: Tree, va: number, count: number): number {
	const last = va + count - 1;
	if (count === 0 || va + count > tree.spaceFrames || !tree.inRange(va, last)) return 0;
	// The path has the tables on the way to `next`, from the top down to `number`.
	const { path, levels, topLevel } = tree;
	let number = topLevel;
	path[number] = tree.topWords;
	let next = va;
	while (next <= last) {
		let level = levels[number]!;
		let words = path[number]!;
		let index = indexOf(level, next);
		while (isTable(level, words, index)) {
			words = tree.tableBelow(number, words, index);
			path[--number] = words;
			level = levels[number]!;
			index = indexOf(level, next);
		}
		if (isEmpty(level, words, index)) break;
		if (next === va && !isAligned(va, tree.leafSize(number, words[2 * index]!, words[2 * index + 1]!))) break;

		const lastItem = index + Math.floor((last - alignDown(next, level.itemSize)) * level.itemsPerFrame);
		const after = endOfLeaves(tree, number, words, index, Math.min(lastItem + 1, level.items));
		clearItems(level, words, index, after);
		next += (after - index) * level.itemFrames;
		worked(after - index + 20);

		while (number < topLevel && isAligned(next, levels[number]!.tableSize)) {
			number++;
			// At the end of the table below, which is freed if the range covers all of it: it is empty by now.
			const { itemSize, itemFrames } = levels[number]!;
			const tableVa = alignDown(next - 1, itemSize);
			if (tableVa >= va && tableVa + itemFrames - 1 <= last)
				tree.freeTable(number, path[number]!, indexOf(levels[number]!, tableVa));
		}
	}
	return next - va;
}

/** The index after the leaves that follow one another from `index` on, up to before `end` or the end of the last of them. */
function endOfLeaves(tree: Tree, number: number, words: Uint32Array, index: number, end: number): number {
	const level = tree.levels[number]!;
	const after = firstNoLeaf(level, words, index, end);
	const size = tree.leafSize(number, words[2 * after - 2]!, words[2 * after - 1]!);
	const itemsOfLast = 1 << (size - level.itemSize);
	return (after + itemsOfLast - 1) & -itemsOfLast;
}
