// Mapping a range. pt_iommu_map_range() of Linux's generic_pt (drivers/iommu/generic_pt/iommu_pt.h), without its locks.

import { Errno } from "../uapi/errno.js";
import { isAligned, powerOfTwo, trailingZeros } from "./bits.js";
import { READ, WRITE } from "./format.js";
import type { PageSizes } from "./page-sizes.js";
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
	if ((protection & (READ | WRITE)) === 0)
		throw new Errno("EINVAL", "a mapping permits to read, to write or both: its protection has neither");
	if (pa + count > tree.outputFrames) throw outputOutOfRange(tree, pa, count);
	tree.format.checkProtection(protection);
	tree.checkLength(va, count);

	// How far va and pa are alike never changes along a mapping.
	const alignment = trailingZeros(Math.abs(va - pa));
	const firstSize = sizes.best(va, count, alignment);
	if (firstSize < 0) throw noSizeFits(tree, va, pa, count);
	if (tree.growsTop) tree.growTop(va, va + count - 1, tree.levelOfSize(firstSize));
	if (!tree.inRange(va, va + count - 1)) throw tree.outOfRange(va, va + count - 1);

	// One run of leaves of the same size after the other; one table of a run after the other. The path has the tables on the
	// way to `next`, from the top down to `level`, so that no table is looked up twice.
	const { path, levels } = tree;
	let level = tree.topLevel;
	path[level] = tree.topWords;
	let next = va;
	const end = va + count;
	try {
		while (next < end) {
			const size = sizes.best(next, end - next, alignment);
			if (size < 0) throw noSizeFits(tree, next, pa + (next - va), end - next);
			const leafLevel = tree.levelOfSize(size);
			let leaves = sizes.countOf(size, next, end - next, alignment);
			while (leaves > 0) {
				for (; level > leafLevel; level--) path[level - 1] = tableBelow(tree, path[level]!, level, next);
				const stored = storeLeaves(tree, path[level]!, level, next, pa + (next - va), size, leaves, protection);
				leaves -= stored;
				next += stored * powerOfTwo(size);
				while (level < tree.topLevel && isAligned(next, levels[level]!.tableSize)) level++;
			}
		}
	} catch (error) {
		unmapRange(tree, va, next - va);
		freeEmptyTables(tree, tree.topWords, tree.topLevel, va, end - 1, true, true);
		throw error;
	}
}

/** The table below the item for `va`, a new one if there is none. */
function tableBelow(tree: Tree, words: Uint32Array, level: number, va: number): Uint32Array {
	const index = tree.indexOf(va, level);
	if (!tree.isTable(words, index, level)) {
		if (!tree.isEmpty(words, index, level)) throw alreadyMapped(tree, va);
		tree.storeTable(words, index, level, tree.allocate(level - 1));
	}
	return tree.tableBelow(words, index);
}

/** Stores as many leaves as are wanted and the table has room for; returns how many. */
function storeLeaves(
	tree: Tree,
	words: Uint32Array,
	level: number,
	va: number,
	pa: number,
	size: number,
	wanted: number,
	protection: number,
): number {
	const { items, itemSize } = tree.levels[level]!;
	const itemsLg2 = size - itemSize;
	const index = tree.indexOf(va, level);
	const leaves = Math.min(wanted, (items - index) >> itemsLg2);
	const end = index + (leaves << itemsLg2);
	if (tree.firstInUse(words, index, end, level) !== end) makeRoom(tree, words, index, end, level, va);
	tree.format.storeLeaves(words, index, leaves, level, size, pa, protection);
	return leaves;
}

/** Where leaves go, tables without any leaf in them give way: clear_contig(). A leaf does not. */
function makeRoom(tree: Tree, words: Uint32Array, from: number, to: number, level: number, va: number): void {
	let index = tree.firstInUse(words, from, to, level);
	while (index < to) {
		if (!tree.isTable(words, index, level) || hasLeaf(tree, tree.tableBelow(words, index), level - 1))
			throw alreadyMapped(tree, va + (index - from) * tree.levels[level]!.itemFrames);
		tree.freeTables(tree.tableFrame(words, index), level - 1);
		tree.clear(words, index, index + 1, level);
		index = tree.firstInUse(words, index + 1, to, level);
	}
}

function hasLeaf(tree: Tree, words: Uint32Array, level: number): boolean {
	const { items } = tree.levels[level]!;
	let index = tree.firstInUse(words, 0, items, level);
	while (index < items) {
		if (!tree.isTable(words, index, level)) return true;
		if (hasLeaf(tree, tree.tableBelow(words, index), level - 1)) return true;
		index = tree.firstInUse(words, index + 1, items, level);
	}
	return false;
}

/** Frees the tables on the way to a range that have nothing in them: what a mapping that failed may leave. */
function freeEmptyTables(
	tree: Tree,
	words: Uint32Array,
	level: number,
	va: number,
	last: number,
	atStart: boolean,
	atEnd: boolean,
): void {
	if (level === 0) return;
	const from = atStart ? tree.indexOf(va, level) : 0;
	const to = atEnd ? tree.indexOf(last, level) : tree.levels[level]!.items - 1;
	for (let index = from; index <= to; index++) {
		if (!tree.isTable(words, index, level)) continue;
		const below = tree.tableBelow(words, index);
		freeEmptyTables(tree, below, level - 1, va, last, atStart && index === from, atEnd && index === to);
		const { items } = tree.levels[level - 1]!;
		if (tree.firstInUse(below, 0, items, level - 1) < items) continue;
		tree.memory.free(tree.tableFrame(words, index));
		tree.clear(words, index, index + 1, level);
	}
}

/** Linux looks at the first address only, and would cut the others off; no caller of it ever gets there. */
function outputOutOfRange(tree: Tree, pa: number, count: number): Errno {
	return new Errno(
		"ERANGE",
		`physical address ${tree.address(pa)} to ${tree.address(pa + count - 1)} is beyond the ${tree.paBits} bits that this ${tree.format.name} table can put out`,
	);
}

function noSizeFits(tree: Tree, va: number, pa: number, count: number): Errno {
	return new Errno(
		"ENXIO",
		`no page size of this ${tree.format.name} table fits iova ${tree.address(va)}, physical address ${tree.address(pa)} and ${tree.address(count)} bytes`,
	);
}

function alreadyMapped(tree: Tree, va: number): Errno {
	const { alreadyMapped, name } = tree.format;
	return new Errno(alreadyMapped, `iova ${tree.address(va)} is mapped already in this ${name} table: unmap it first`);
}
