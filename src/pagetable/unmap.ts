// Unmapping a range. pt_iommu_unmap_range() of Linux's generic_pt: leaves are never split, so a range that ends inside of
// one takes all of it, one that starts inside of one stops there, and so does one that meets a hole.

import { alignDown, isAligned } from "./bits.js";
import type { Tree } from "./tree.js";

/** @returns how many frames were unmapped, from `va` on: fewer than asked for if it stopped, more if a leaf was larger */
export function unmapRange(tree: Tree, va: number, count: number): number {
	const last = va + count - 1;
	if (count === 0 || va + count > tree.spaceFrames || !tree.inRange(va, last)) return 0;
	// The path has the tables on the way to `next`, from the top down to `level`.
	const { path, levels, topLevel } = tree;
	let level = topLevel;
	path[level] = tree.topWords;
	let next = va;
	while (next <= last) {
		let index = tree.indexOf(next, level);
		while (tree.isTable(path[level]!, index, level)) {
			path[level - 1] = tree.tableBelow(path[level]!, index);
			index = tree.indexOf(next, --level);
		}
		const words = path[level]!;
		if (tree.isEmpty(words, index, level)) break;
		if (next === va && !isAligned(va, tree.leafSize(level, words[2 * index]!, words[2 * index + 1]!))) break;

		const { items, itemSize, itemFrames, itemsPerFrame } = levels[level]!;
		const itemsLeft = (last - alignDown(next, itemSize)) * itemsPerFrame;
		const end = itemsLeft < items - index ? index + Math.floor(itemsLeft) + 1 : items;
		const after = endOfLeaves(tree, words, index, end, level);
		tree.clear(words, index, after, level);
		next += (after - index) * itemFrames;

		while (level < topLevel && (next > last || isAligned(next, levels[level]!.tableSize))) {
			level++;
			// Done with the table below. Only a table that the range covers as a whole is freed, as it is empty by now.
			const { itemSize, itemFrames } = levels[level]!;
			const tableVa = alignDown(next - 1, itemSize);
			if (tableVa >= va && tableVa + itemFrames - 1 <= last) freeTable(tree, path[level]!, tableVa, level);
		}
	}
	return next - va;
}

/** The index after the leaves that follow one another from `index` on, up to before `end` or the end of the last of them. */
function endOfLeaves(tree: Tree, words: Uint32Array, index: number, end: number, level: number): number {
	const after = tree.firstNoLeaf(words, index, end, level);
	const size = tree.leafSize(level, words[2 * after - 2]!, words[2 * after - 1]!);
	const itemsOfLast = 1 << (size - tree.levels[level]!.itemSize);
	return (after + itemsOfLast - 1) & -itemsOfLast;
}

function freeTable(tree: Tree, words: Uint32Array, va: number, level: number): void {
	const index = tree.indexOf(va, level);
	tree.memory.free(tree.tableFrame(words, index));
	tree.clear(words, index, index + 1, level);
}
