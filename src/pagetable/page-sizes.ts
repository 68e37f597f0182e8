// Which page size comes next in a mapping. pt_compute_best_pgsize() and pt_pgsz_count() of Linux's generic_pt; iommu_pgsize()
// of drivers/iommu/iommu.c, for the drivers that have tables of their own, chooses alike.
// Addresses are in frames, a size is the lg2 of a number of frames.

import { alignDown, floorLg2, powerOfTwo, trailingZeros } from "./bits.js";

const NO_SIZE = 64;

/** The page sizes that a mapping may use. */
export class PageSizes {
	/** By lg2: the largest size that is not above it, -1 if there is none. */
	readonly #notAbove = new Int8Array(65).fill(-1);
	/** By lg2: the smallest size above it, NO_SIZE if there is none. */
	readonly #above = new Int8Array(65).fill(NO_SIZE);

	/** @param bitmap of the sizes in bytes, as in a domain's pgsize_bitmap */
	constructor(bitmap: bigint, granuleLg2: number) {
		const frames = bitmap >> BigInt(granuleLg2);
		const has = (size: number) => ((frames >> BigInt(size)) & 1n) === 1n;
		for (let size = 0; size <= 64; size++) this.#notAbove[size] = has(size) ? size : (this.#notAbove[size - 1] ?? -1);
		for (let size = 63; size >= 0; size--) this.#above[size] = has(size + 1) ? size + 1 : this.#above[size + 1]!;
	}

	/**
	 * The largest size that va, pa and the length of the rest allow.
	 * @param alignment trailingZeros(va - pa): how far the two are alike, which never changes along a mapping
	 * @returns -1 if no size fits
	 */
	best(va: number, count: number, alignment: number): number {
		return this.#notAbove[Math.min(trailingZeros(va), alignment, floorLg2(count))]!;
	}

	/** How many leaves of `size` come before the next larger size can be used, or the mapping ends. */
	countOf(size: number, va: number, count: number, alignment: number): number {
		const next = this.#above[size]!;
		let frames = count;
		if (next !== NO_SIZE && alignment >= next) {
			frames = Math.min(count, alignDown(va, next) + powerOfTwo(next) - va);
		}
		return Math.floor(frames / powerOfTwo(size));
	}
}
