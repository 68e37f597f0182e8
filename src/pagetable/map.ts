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
	const { format } = tree;
	if ((protection & (READ | WRITE)) === 0)
		throw new Errno("EINVAL", "a mapping permits to read, to write or both: its protection has neither");
	checkOutput(tree, pa, count);
	format.checkProtection(protection);
	checkLength(tree, va, count);

	const alignment = trailingZeros(Math.abs(va - pa));
	const size = sizes.best(va, count, alignment);
	if (size < 0) throw noSizeFits(tree, va, pa, count);
	const last = va + count - 1;
	if (tree.growsTop) tree.growTop(va, last, levelOfSize(tree, size));
	else if (!tree.inRange(va, last)) throw tree.outOfRange(va, last);

	const mapping = new Mapping(tree, va, pa, count, protection, sizes, alignment);
	try {
		mapping.run(size);
	} catch (error) {
		if (mapping.va > va) unmapRange(tree, va, mapping.va - va);
		freeEmptyTables(tree, tree.topWords, tree.topLevel, va, last, true, true);
		throw error;
	}
}

/** A mapping under way: what is still to be mapped, and the tables on the way from the top to where it goes on. */
class Mapping {
	readonly #tree: Tree;
	readonly #protection: number;
	readonly #sizes: PageSizes;
	readonly #alignment: number;
	/** By level. */
	readonly #path: Uint32Array[] = [];
	va: number;
	#pa: number;
	#count: number;

	constructor(
		tree: Tree,
		va: number,
		pa: number,
		count: number,
		protection: number,
		sizes: PageSizes,
		alignment: number,
	) {
		this.#tree = tree;
		this.va = va;
		this.#pa = pa;
		this.#count = count;
		this.#protection = protection;
		this.#sizes = sizes;
		this.#alignment = alignment;
	}

	/** Fills one table after the other, never walking down again through a table that it is still in. */
	run(firstSize: number): void {
		const tree = this.#tree;
		let level = tree.topLevel;
		this.#path[level] = tree.topWords;
		let size = firstSize;
		let leaves = this.#sizes.countOf(size, this.va, this.#count, this.#alignment);
		let leafLevel = levelOfSize(tree, size);
		for (;;) {
			for (; level > leafLevel; level--) this.#path[level - 1] = this.#tableBelow(level);
			leaves -= this.#storeLeaves(level, size, leaves);
			if (this.#count === 0) return;
			if (leaves === 0) {
				size = this.#sizes.best(this.va, this.#count, this.#alignment);
				if (size < 0) throw noSizeFits(tree, this.va, this.#pa, this.#count);
				leaves = this.#sizes.countOf(size, this.va, this.#count, this.#alignment);
				leafLevel = levelOfSize(tree, size);
			}
			while (level < leafLevel || this.#isAtStartOfTable(level)) level++;
		}
	}

	/** The table below the item for `va`, a new one if there is none. */
	#tableBelow(level: number): Uint32Array {
		const tree = this.#tree;
		const words = this.#path[level]!;
		const index = tree.indexOf(this.va, level);
		if (!tree.isTable(words, index, level)) {
			if (!tree.isEmpty(words, index, level)) throw alreadyMapped(tree, this.va);
			tree.storeTable(words, index, level, tree.allocate(level - 1));
		}
		return tree.tableBelow(words, index);
	}

	/** Stores as many leaves as the table has room for and the mapping needs; returns how many. */
	#storeLeaves(level: number, size: number, wanted: number): number {
		const tree = this.#tree;
		const { items, itemSize } = tree.levels[level]!;
		const words = this.#path[level]!;
		const index = tree.indexOf(this.va, level);
		const itemsLg2 = size - itemSize;
		const leaves = Math.min(wanted, (items - index) >> itemsLg2);
		this.#makeRoom(words, index, index + (leaves << itemsLg2), level);
		tree.format.storeLeaves(words, index, leaves, level, size, this.#pa, this.#protection);
		const frames = leaves * powerOfTwo(size);
		this.va += frames;
		this.#pa += frames;
		this.#count -= frames;
		return leaves;
	}

	/** Where leaves go, tables without any leaf in them may give way: clear_contig(). A leaf may not. */
	#makeRoom(words: Uint32Array, from: number, to: number, level: number): void {
		const tree = this.#tree;
		let index = tree.firstInUse(words, from, to, level);
		while (index < to) {
			const va = this.va + (index - from) * tree.levels[level]!.itemFrames;
			if (!tree.isTable(words, index, level)) throw alreadyMapped(tree, va);
			if (hasLeaf(tree, tree.tableBelow(words, index), level - 1)) throw alreadyMapped(tree, va);
			tree.freeTables(tree.tableFrame(words, index), level - 1);
			tree.clear(words, index, index + 1, level);
			index = tree.firstInUse(words, index + 1, to, level);
		}
	}

	/** Was the table of this level on the path left behind, with `va` now at the start of the next one? */
	#isAtStartOfTable(level: number): boolean {
		return isAligned(this.va, this.#tree.levels[level]!.tableSize);
	}
}

/** pt_pgsz_lg2_to_level(): the highest level at which one item is not larger than the page. */
function levelOfSize(tree: Tree, size: number): number {
	let level = 0;
	while (level + 1 < tree.levels.length && tree.levels[level + 1]!.itemSize <= size) level++;
	return level;
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
function checkOutput(tree: Tree, pa: number, count: number): void {
	if (pa + count <= tree.outputFrames) return;
	throw new Errno(
		"ERANGE",
		`physical address ${tree.address(pa)} to ${tree.address(pa + count - 1)} is beyond the ${tree.paBits} bits that this ${tree.format.name} table can put out`,
	);
}

function checkLength(tree: Tree, va: number, count: number): void {
	if (count === 0) throw new Errno("EINVAL", `a mapping of no length at iova ${tree.address(va)}`);
	if (va + count > tree.spaceFrames)
		throw new Errno(
			"EOVERFLOW",
			`iova ${tree.address(va)} and ${tree.address(count)} bytes from it on wrap around 2^64`,
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
