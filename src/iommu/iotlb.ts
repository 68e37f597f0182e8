// What an IOMMU has cached of first stages: leaves, and where the tables on the way to them are. It stays until it is
// invalidated, whatever the tables say by then.
// VT-d 6.2 "Translation Caching"; AMD (48882) 2.4.3 "INVALIDATE_IOMMU_PAGES"; SMMUv3 (IHI 0070) 3.17 "TLB tagging".
// Addresses are in pages of 4 KiB, as doubles.

import { alignDown, powerOfTwo } from "../pagetable/bits.js";

/** Tags what belongs to all of a guest's address spaces: Arm's entries without nG. */
export const GLOBAL = -1;

/** More than this, and all of it is forgotten: an IOMMU may forget whatever it likes. */
const CAPACITY = 65536;

const PAGE_LG2 = 12n;

/** Where a range of IOVA leads, as a leaf of the first stage said. */
export interface CachedLeaf {
	readonly firstPage: number;
	/** lg2 of its pages. */
	readonly pagesLg2: number;
	/** Guest-physical. */
	readonly guestPage: number;
	/** READ, WRITE */
	readonly protection: number;
	/** Whether it may be written through without a mark in the table. */
	readonly isDirty: boolean;
}

/** Where the table for a range of IOVA is. */
export interface CachedTable {
	/** Guest-physical, in bytes. */
	readonly address: number;
	readonly level: number;
	/** What the entries above it permit: READ, WRITE. */
	readonly protection: number;
}

export interface InvalidationScope {
	/** Only that address space; its GLOBAL entries stay only if the whole of it goes. */
	readonly asid?: number;
	/** Only leaves: software says that it has changed nothing else. */
	readonly leavesOnly?: boolean;
}

export class Iotlb {
	readonly #spaces = new Map<number, CachedSpace>();
	#leaves = 0;
	/** PagingDomain.flushes of the second stage when it was last looked at. */
	#flushes = 0;

	/** Forgets everything if the second stage was flushed since: what depends on it goes with it. */
	followSecondStage(flushes: number): void {
		if (flushes !== this.#flushes) this.clear();
		this.#flushes = flushes;
	}

	/** Whether what it has counts, as the second stage was flushed that often. */
	isCurrent(flushes: number): boolean {
		return flushes === this.#flushes;
	}

	leaf(asid: number, page: number): CachedLeaf | undefined {
		return this.#spaces.get(asid)?.leaves.find(page) ?? this.#spaces.get(GLOBAL)?.leaves.find(page);
	}

	/** The lowest table on the way to a page. */
	table(asid: number, page: number): CachedTable | undefined {
		return this.#spaces.get(asid)?.tables.find(page);
	}

	/** @param asid GLOBAL for what all address spaces have */
	addLeaf(asid: number, leaf: CachedLeaf): void {
		if (this.#leaves >= CAPACITY) this.clear();
		this.#leaves++;
		this.#space(asid).leaves.set(leaf.firstPage, leaf.pagesLg2, leaf);
	}

	/** @param pagesLg2 lg2 of the pages that the table translates */
	addTable(asid: number, page: number, pagesLg2: number, table: CachedTable): void {
		this.#space(asid).tables.set(page, pagesLg2, table);
	}

	/** Forgets what concerns a range of IOVAs, in bytes, both ends included. */
	invalidate(first: bigint, last: bigint, { asid, leavesOnly = false }: InvalidationScope = {}): void {
		const firstPage = Number(first >> PAGE_LG2);
		const lastPage = Number(last >> PAGE_LG2);
		for (const [tag, space] of this.#spaces) {
			if (asid !== undefined && tag !== asid && tag !== GLOBAL) continue;
			space.leaves.remove(firstPage, lastPage);
			if (!leavesOnly) space.tables.remove(firstPage, lastPage);
		}
	}

	/** Forgets one address space. What is GLOBAL stays. */
	invalidateSpace(asid: number): void {
		this.#spaces.delete(asid);
	}

	clear(): void {
		this.#spaces.clear();
		this.#leaves = 0;
	}

	#space(asid: number): CachedSpace {
		let space = this.#spaces.get(asid);
		if (space === undefined) {
			space = { leaves: new RangeMap(), tables: new RangeMap() };
			this.#spaces.set(asid, space);
		}
		return space;
	}
}

interface CachedSpace {
	readonly leaves: RangeMap<CachedLeaf>;
	readonly tables: RangeMap<CachedTable>;
}

/** Values for ranges of pages, each a power of two long and aligned to that. */
class RangeMap<T> {
	/** By lg2 of their length, the shortest first; in it by their first page. */
	readonly #bySize: { readonly lg2: number; readonly ranges: Map<number, T> }[] = [];

	/** The value of the shortest range that has a page. */
	find(page: number): T | undefined {
		for (const { lg2, ranges } of this.#bySize) {
			const value = ranges.get(alignDown(page, lg2));
			if (value !== undefined) return value;
		}
		return undefined;
	}

	/** For the range of that length that has the page. */
	set(page: number, lg2: number, value: T): void {
		let size = this.#bySize.find((other) => other.lg2 === lg2);
		if (size === undefined) {
			size = { lg2, ranges: new Map() };
			this.#bySize.push(size);
			this.#bySize.sort((a, b) => a.lg2 - b.lg2);
		}
		size.ranges.set(alignDown(page, lg2), value);
	}

	/** Removes all ranges that have a page of firstPage..lastPage. */
	remove(firstPage: number, lastPage: number): void {
		for (const { lg2, ranges } of this.#bySize) {
			const step = powerOfTwo(lg2);
			const from = alignDown(firstPage, lg2);
			if ((lastPage - from) / step < ranges.size) {
				for (let at = from; at <= lastPage; at += step) ranges.delete(at);
			} else {
				for (const at of ranges.keys()) if (at >= from && at <= lastPage) ranges.delete(at);
			}
		}
	}
}
