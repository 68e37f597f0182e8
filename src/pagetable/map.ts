// Mapping a range. pt_iommu_map_range() of Linux's generic_pt (drivers/iommu/generic_pt/iommu_pt.h), without its locks. SMMUv3 and
// s390 have code of their own: arm_lpae_map_pages(), s390_iommu_map_pages(). Where a caller can tell, the format says so.

import { Errno } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";
import { isAligned, powerOfTwo, trailingZeros } from "./bits.js";
import { READ, WRITE } from "./format.js";
import type { PageSizes } from "./page-sizes.js";
import { clearItems, firstInUse, indexOf, isEmpty, isTable, storeTable, tableFrame } from "./table-level.js";
import type { Tree } from "./tree.js";
import { unmapRange } from "./unmap.js";

/**
 * Maps `count` frames at `va` to those at `pa` with the largest leaves that fit. On an error nothing stays mapped.
 * The checks are in Linux's order, which decides which errno wins.
 */
export function mapRange(
	tree: Tree,
	va: number,
	pa: number,
	count: number,
	protection: number,
	sizes: PageSizes,
): void {
	if (tree.format.needsPermission && (protection & (READ | WRITE)) === 0)
		throw new Errno(
			"EINVAL",
			"a mapping permits to read, to write or both: its protection has neither",
			"map-permission",
		);
	if (pa + count > tree.outputFrames) throw outputOutOfRange(tree, pa, count);
	tree.format.checkProtection(protection);
	tree.checkLength(va, count);

	// How far va and pa are alike never changes along a mapping.
	const alignment = trailingZeros(Math.abs(va - pa));
	const end = va + count;
	let size = sizes.best(va, count, alignment);
	if (size < 0) throw noSizeFits(tree, va, pa, count);
	if (tree.growsTop) tree.growTop(va, end - 1, tree.levelOfSize(size));
	if (!tree.inRange(va, end - 1)) throw tree.outOfRange(va, end - 1);

	// One run of leaves of the same size after the other; one table of a run after the other. The path has the tables on the
	// way to `next`, from the top down to `level`, so that no table is looked up twice.
	const { path, levels, topLevel } = tree;
	let level = topLevel;
	path[level] = tree.topWords;
	let next = va;
	try {
		for (;;) {
			const leafLevel = tree.levelOfSize(size);
			let leaves = sizes.countOf(size, next, end - next, alignment);
			while (leaves > 0) {
				for (; level > leafLevel; level--) path[level - 1] = tableOnTheWay(tree, level, path[level]!, next);
				const stored = storeLeaves(tree, level, path[level]!, next, pa + (next - va), size, leaves, protection);
				leaves -= stored;
				next += stored * powerOfTwo(size);
				worked(stored + 20);
				while (level < topLevel && isAligned(next, levels[level]!.tableSize)) level++;
			}
			if (next === end) return;
			size = sizes.best(next, end - next, alignment);
			if (size < 0) throw noSizeFits(tree, next, pa + (next - va), end - next);
		}
	} catch (error) {
		unmapRange(tree, va, next - va);
		freeEmptyTables(tree, topLevel, tree.topWords, va, Math.min(next, end - 1), true, true);
		throw error;
	}
}

/** The table below the item for `va`, a new one if there is none. */
function tableOnTheWay(tree: Tree, number: number, words: Uint32Array, va: number): Uint32Array {
	const level = tree.levels[number]!;
	const index = indexOf(level, va);
	if (!isTable(level, words, index)) {
		if (!isEmpty(level, words, index)) throw alreadyMapped(tree, va);
		storeTable(level, words, index, tree.allocate(number - 1));
	}
	return tree.tableBelow(number, words, index);
}

/** Stores as many leaves as are wanted and the table has room for; returns how many. */
function storeLeaves(
	tree: Tree,
	number: number,
	words: Uint32Array,
	va: number,
	pa: number,
	size: number,
	wanted: number,
	protection: number,
): number {
	const level = tree.levels[number]!;
	const itemsLg2 = size - level.itemSize;
	const index = indexOf(level, va);
	const leaves = Math.min(wanted, (level.items - index) >> itemsLg2);
	const end = index + (leaves << itemsLg2);
	if (firstInUse(level, words, index, end) !== end) makeRoom(tree, number, words, index, end, va);
	tree.format.storeLeaves(words, index, leaves, number, size, pa, protection);
	return leaves;
}

/** Where leaves go, tables without any leaf in them give way: clear_contig(). A leaf does not. */
function makeRoom(tree: Tree, number: number, words: Uint32Array, from: number, to: number, va: number): void {
	const level = tree.levels[number]!;
	let index = firstInUse(level, words, from, to);
	while (index < to) {
		if (!isTable(level, words, index) || hasLeaf(tree, number - 1, tree.tableBelow(number, words, index)))
			throw alreadyMapped(tree, va + (index - from) * level.itemFrames);
		// Nobody must come by a table that is somebody else's already.
		const below = tableFrame(level, words, index);
		clearItems(level, words, index, index + 1);
		tree.freeTree(below, number - 1);
		index = firstInUse(level, words, index + 1, to);
	}
}

function hasLeaf(tree: Tree, number: number, words: Uint32Array): boolean {
	const level = tree.levels[number]!;
	let index = firstInUse(level, words, 0, level.items);
	worked(level.items >> 2);
	while (index < level.items) {
		if (!isTable(level, words, index)) return true;
		if (hasLeaf(tree, number - 1, tree.tableBelow(number, words, index))) return true;
		index = firstInUse(level, words, index + 1, level.items);
	}
	return false;
}

/** Frees the tables on the way to a range that have nothing in them: what a mapping that failed may leave. */
function freeEmptyTables(
	tree: Tree,
	number: number,
	words: Uint32Array,
	va: number,
	last: number,
	atStart: boolean,
	atEnd: boolean,
): void {
	if (number === 0) return;
	const level = tree.levels[number]!;
	const levelBelow = tree.levels[number - 1]!;
	const from = atStart ? indexOf(level, va) : 0;
	const to = atEnd ? indexOf(level, last) : level.items - 1;
	for (let index = from; index <= to; index++) {
		if (!isTable(level, words, index)) continue;
		const below = tree.tableBelow(number, words, index);
		freeEmptyTables(tree, number - 1, below, va, last, atStart && index === from, atEnd && index === to);
		if (firstInUse(levelBelow, below, 0, levelBelow.items) === levelBelow.items) tree.freeTable(number, words, index);
	}
}

/** Linux looks at the first address only, and would cut the others off; no caller of it ever gets there. */
function outputOutOfRange(tree: Tree, pa: number, count: number): Errno {
	return new Errno(
		"ERANGE",
		`physical address ${tree.address(pa)} to ${tree.address(pa + count - 1)} is beyond the ${tree.paBits} bits that this ${tree.format.name} table can put out`,
		"physical-width",
	);
}

function noSizeFits(tree: Tree, va: number, pa: number, count: number): Errno {
	return new Errno(
		"ENXIO",
		`no page size of this ${tree.format.name} table fits iova ${tree.address(va)}, physical address ${tree.address(pa)} and ${tree.address(count)} bytes`,
		"no-page-size",
	);
}

function alreadyMapped(tree: Tree, va: number): Errno {
	const { alreadyMapped, name } = tree.format;
	return new Errno(
		alreadyMapped,
		`iova ${tree.address(va)} is mapped already in this ${name} table: unmap it first`,
		"mapped-already",
	);
}
