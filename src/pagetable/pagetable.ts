// A page table of an IOMMU: what a paging domain has. One engine for all formats, with the rules of Linux's generic_pt
// (drivers/iommu/generic_pt). All addresses and lengths are in frames, which are granules of the format: a double holds
// every one of them exactly, because 2^64 bytes are at most 2^53 frames.

import { alignDown, powerOfTwo } from "./bits.js";
import type { PageTableConfig } from "./config.js";
import { type DirtyReport, readDirty, setAccessed, setDirty } from "./dirty.js";
import { explain, type Leaf, leaves, type WalkStep } from "./explain.js";
import type { Format } from "./format.js";
import { mapRange } from "./map.js";
import { PageSizes } from "./page-sizes.js";
import { TABLE_FRAME_LG2, type TableMemory } from "./table-memory.js";
import { Tree } from "./tree.js";
import { unmapRange } from "./unmap.js";

export type { PageTableConfig } from "./config.js";
export type { DirtyReport } from "./dirty.js";
export type { Leaf, WalkStep } from "./explain.js";
export { CACHE, FORCE_COHERENCE, type Format, MMIO, NOEXEC, PRIV, READ, WRITE } from "./format.js";

/** Filled by lookup(), and reused by its caller. */
export class Translation {
	/** Where the address that was looked up leads. */
	frame = 0;
	/** The leaf that says so: its first address and how many frames it maps. */
	leafVa = 0;
	leafFrames = 0;
	/** READ, WRITE */
	protection = 0;
}

const ENTRY_BYTES = 8;

export class PageTable {
	readonly format: Format;
	/** The sizes in bytes that a leaf can have, a bitmap: a domain's pgsize_bitmap. */
	readonly pageSizes: bigint;
	/** The aperture in bytes. */
	readonly firstAddress: bigint;
	readonly lastAddress: bigint;
	readonly #tree: Tree;
	readonly #sizes: PageSizes;
	/** The sizes that the last caller allowed, which is likely to be the next one too. */
	#allowed = 0n;
	#allowedSizes: PageSizes;

	/** @throws EINVAL or EOPNOTSUPP if the format has no such table, ENOMEM */
	constructor(format: Format, config: PageTableConfig, memory: TableMemory) {
		const granule = BigInt(format.granuleLg2);
		this.format = format;
		this.#tree = new Tree(format, config, memory);
		this.pageSizes = possiblePageSizes(this.#tree);
		this.#sizes = new PageSizes(this.pageSizes, format.granuleLg2);
		this.#allowedSizes = this.#sizes;
		this.firstAddress = 0n;
		this.lastAddress = (BigInt(this.#tree.lastOfAperture + 1) << granule) - 1n;
	}

	/** The top table's physical address in bytes and its level: what the hardware is told. */
	get topAddress(): bigint {
		return BigInt(this.#tree.topFrame) << BigInt(TABLE_FRAME_LG2);
	}

	get topLevel(): number {
		return this.#tree.topLevel;
	}

	get growsTop(): boolean {
		return this.#tree.growsTop;
	}

	get signExtend(): boolean {
		return this.#tree.signExtend;
	}

	get paBits(): number {
		return this.#tree.paBits;
	}

	/**
	 * Maps `count` frames at `va` to those at `pa`, all of them or none.
	 * @param allowedSizes the page sizes in bytes that may be used, a bitmap; all that the table has if absent
	 * @throws EINVAL, EOVERFLOW, ERANGE (VA or PA), ENXIO (no page size fits), EADDRINUSE (mapped already), ENOMEM
	 */
	map(va: number, pa: number, count: number, protection: number, allowedSizes?: bigint): void {
		const sizes = allowedSizes === undefined ? this.#sizes : this.#sizesWithin(allowedSizes);
		mapRange(this.#tree, va, pa, count, protection, sizes);
	}

	/**
	 * Makes sure, before a large mapping is begun, that the entries which it takes at least can be had.
	 * @param count frames
	 * @param longest how many bytes of memory lie side by side at most; Infinity for any number of them
	 * @throws ENOMEM
	 */
	requireRoom(count: number, longest: number, allowedSizes: bigint): void {
		const bits = Number.isFinite(longest) ? BigInt(2 * longest) - 1n : -1n;
		const sizes = allowedSizes & this.pageSizes & bits;
		if (sizes === 0n) return;
		const largest = 2 ** (sizes.toString(2).length - 1 - this.format.granuleLg2);
		this.#tree.memory.requireRoom((count / largest) * ENTRY_BYTES);
	}

	/**
	 * Unmaps `count` frames from `va` on.
	 * @returns how many really were: more if the range ends inside of a leaf, which goes as a whole; fewer if it meets a
	 * hole or starts inside of a leaf, where it stops
	 */
	unmap(va: number, count: number): number {
		return unmapRange(this.#tree, va, count);
	}

	/** Where `va` leads, -1 if nowhere. */
	translate(va: number): number {
		return this.#tree.translate(va);
	}

	/** Where `va` leads and what it permits; false, and `into` untouched, if nowhere. */
	lookup(va: number, into: Translation): boolean {
		const tree = this.#tree;
		if (!tree.find(va)) return false;
		const { leafLevel: level, leafLow: low, leafHigh: high } = tree;
		into.protection = this.format.leafProtection(level, low, high);
		if (level === 0 && !tree.isContiguous(low, high)) {
			into.leafFrames = 1;
			into.leafVa = va;
			into.frame = tree.frameIn(low, high);
			return true;
		}
		const size = tree.leafSize(level, low, high);
		into.leafFrames = powerOfTwo(size);
		into.leafVa = alignDown(va, size);
		into.frame = tree.leafFrame(size, low, high) + (va - into.leafVa);
		return true;
	}

	/** What `va` permits (READ, WRITE), 0 if nothing is mapped there. */
	protectionOf(va: number): number {
		const tree = this.#tree;
		if (!tree.find(va)) return 0;
		return this.format.leafProtection(tree.leafLevel, tree.leafLow, tree.leafHigh);
	}

	/** Marks the leaf at `va` as written to, as the hardware does. False if it can't be: no leaf, or no such format. */
	setDirty(va: number): boolean {
		return setDirty(this.#tree, va);
	}

	/** Marks the leaf at `va` as accessed, as the hardware does. False if it can't be. */
	setAccessed(va: number): boolean {
		return setAccessed(this.#tree, va);
	}

	/**
	 * Reports the dirty leaves of a range, in order and as stretches; a leaf is reported whole.
	 * @param clear makes them clean
	 * @throws EOPNOTSUPP if the format knows no dirty pages, EINVAL, EOVERFLOW, ERANGE
	 */
	readDirty(va: number, count: number, clear: boolean, report: DirtyReport): void {
		readDirty(this.#tree, va, count, clear, report);
	}

	/** The walk for `va`, level by level. */
	explain(va: number): WalkStep[] {
		return explain(this.#tree, va);
	}

	/** All leaves in the order of their addresses, the lower half first. */
	entries(): Iterable<Leaf> {
		return leaves(this.#tree);
	}

	/** Gives every table back. The page table is not to be used after. */
	free(): void {
		this.#tree.freeTree(this.#tree.topFrame, this.#tree.topLevel);
	}

	#sizesWithin(allowed: bigint): PageSizes {
		if (allowed !== this.#allowed) {
			this.#allowed = allowed;
			this.#allowedSizes = new PageSizes(this.pageSizes & allowed, this.format.granuleLg2);
		}
		return this.#allowedSizes;
	}
}

/** pt_iommu_ops::get_info */
function possiblePageSizes(tree: Tree): bigint {
	const { format, vaBits, paBits } = tree;
	const levels = tree.growsTop
		? format.levels.filter((level) => level.itemLg2 < vaBits)
		: format.levels.slice(0, tree.topLevel + 1);
	const sizes = levels.reduce((all, level) => all | level.leafSizes, 0n);
	// A page as large as half of the address space is one too many: a whole table is not a page.
	return sizes & ((1n << BigInt(vaBits - 1)) - 1n) & ((1n << BigInt(paBits)) - 1n);
}
