// What an IOMMU has cached of first stages: leaves, and where the tables on the way to them are. It stays until it is
// invalidated, whatever the tables say by then.
// VT-d 6.2 "Translation Caching"; AMD (48882) 2.4.3 "INVALIDATE_IOMMU_PAGES"; SMMUv3 (IHI 0070) 3.17 "TLB tagging".
// Addresses are in pages of 4 KiB, as doubles.

import { PageMap } from "./page-map.js";

/** Tags what belongs to all of a guest's address spaces: Arm's entries without nG. */
export const GLOBAL = -1;

/** More leaves and tables than this, and all of it is forgotten: an IOMMU may forget whatever it likes. */
const CAPACITY = 65536;

const PAGE_LG2 = 12n;

/** Where a range of IOVA leads, as a leaf of the first stage said. */
export interface CachedLeaf {
	firstPage: number;
	/** lg2 of its pages. */
	pagesLg2: number;
	/** Guest-physical. */
	guestPage: number;
	/** READ, WRITE */
	protection: number;
	/** Whether it may be written through without a mark in the table. */
	isDirty: boolean;
}

/** Where the table for a range of IOVA is. */
export interface CachedTable {
	/** Guest-physical, in pages of 4 KiB. */
	page: number;
	level: number;
	/** What the entries above it permit: READ, WRITE. */
	protection: number;
}

// Bits of what is kept: the protection, and above it IS_DIRTY of a leaf, or the level of a table.
const PROTECTION = 3;
const IS_DIRTY = 1 << 2;
const LEVEL_SHIFT = 2;

export interface InvalidationScope {
	/** Only that address space; its GLOBAL entries stay only if the whole of it goes. */
	readonly asid?: number;
	/** Only leaves: software says that it has changed nothing else. */
	readonly leavesOnly?: boolean;
}

export class Iotlb {
	readonly #spaces = new Map<number, CachedSpace>();
	/** The one that was used last, and the one of GLOBAL. */
	#asid = 0;
	#space: CachedSpace | undefined;
	#global: CachedSpace | undefined;
	/** How often something was added since it was empty. */
	#added = 0;
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

	/** @param into what it has of a page; untouched if that is nothing */
	findLeaf(asid: number, page: number, into: CachedLeaf): boolean {
		const own = this.#spaceOf(asid);
		if (own !== undefined && findLeaf(own.leaves, page, into)) return true;
		return this.#global !== undefined && findLeaf(this.#global.leaves, page, into);
	}

	/** @param into the lowest table that it has on the way to a page; untouched if there is none */
	findTable(asid: number, page: number, into: CachedTable): boolean {
		const tables = this.#spaceOf(asid)?.tables;
		if (tables === undefined || !tables.find(page)) return false;
		into.page = tables.target;
		into.level = tables.bits >>> LEVEL_SHIFT;
		into.protection = tables.bits & PROTECTION;
		return true;
	}

	/** @param asid GLOBAL for what all address spaces have */
	addLeaf(asid: number, { firstPage, pagesLg2, guestPage, protection, isDirty }: CachedLeaf): void {
		this.#makeRoom();
		const bits = protection | (isDirty ? IS_DIRTY : 0);
		this.#makeSpace(asid).leaves.set(firstPage, pagesLg2, guestPage, bits);
	}

	/**
	 * @param pagesLg2 lg2 of the pages that the table translates
	 * @param table its own page, guest-physical
	 */
	addTable(asid: number, page: number, pagesLg2: number, table: number, level: number, protection: number): void {
		this.#makeRoom();
		this.#makeSpace(asid).tables.set(page, pagesLg2, table, protection | (level << LEVEL_SHIFT));
	}

	#makeRoom(): void {
		if (this.#added >= CAPACITY) this.clear();
		this.#added++;
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
		this.#space = undefined;
		this.#global = this.#spaces.get(GLOBAL);
	}

	clear(): void {
		this.#added = 0;
		// A guest with one address space will need its maps again, so they stay, empty.
		if (this.#spaces.size === 1 && this.#space !== undefined) {
			this.#space.leaves.clear();
			this.#space.tables.clear();
			return;
		}
		this.#spaces.clear();
		this.#space = undefined;
		this.#global = undefined;
	}

	#spaceOf(asid: number): CachedSpace | undefined {
		if (this.#space !== undefined && this.#asid === asid) return this.#space;
		this.#asid = asid;
		this.#space = this.#spaces.get(asid);
		return this.#space;
	}

	#makeSpace(asid: number): CachedSpace {
		const known = this.#spaceOf(asid);
		if (known !== undefined) return known;
		const space = { leaves: new RangeMap(), tables: new RangeMap() };
		this.#spaces.set(asid, space);
		this.#space = space;
		if (asid === GLOBAL) this.#global = space;
		return space;
	}
}

interface CachedSpace {
	readonly leaves: RangeMap;
	readonly tables: RangeMap;
}

function findLeaf(leaves: RangeMap, page: number, into: CachedLeaf): boolean {
	if (!leaves.find(page)) return false;
	into.firstPage = leaves.firstPage;
	into.pagesLg2 = leaves.pagesLg2;
	into.guestPage = leaves.target;
	into.protection = leaves.bits & PROTECTION;
	into.isDirty = (leaves.bits & IS_DIRTY) !== 0;
	return true;
}

/** All ranges of one length. */
interface Size {
	readonly lg2: number;
	readonly pages: number;
	/** The inverse: to multiply by a power of two is an exact division. */
	readonly perPage: number;
	/** By how many ranges come before them. */
	readonly ranges: PageMap;
}

/** What ranges of pages lead to, each a power of two long and aligned to that. */
class RangeMap {
	/** The shortest first. */
	readonly #bySize: Size[] = [];
	/** What find() found: the range, and what set() said of it. */
	firstPage = 0;
	pagesLg2 = 0;
	target = 0;
	bits = 0;

	/** Finds the shortest range that has a page. */
	find(page: number): boolean {
		for (const { lg2, pages, perPage, ranges } of this.#bySize) {
			const range = Math.floor(page * perPage);
			const slot = ranges.find(range);
			if (slot < 0) continue;
			this.firstPage = range * pages;
			this.pagesLg2 = lg2;
			this.target = ranges.targetAt(slot);
			this.bits = ranges.bitsAt(slot);
			return true;
		}
		return false;
	}

	/** For the range of that length that has the page. */
	set(page: number, lg2: number, target: number, bits: number): void {
		const { perPage, ranges } = this.#sizeOf(lg2);
		ranges.set(Math.floor(page * perPage), target, bits);
	}

	/** Removes all ranges that have a page of firstPage..lastPage. */
	remove(firstPage: number, lastPage: number): void {
		for (const { perPage, ranges } of this.#bySize) {
			const first = Math.floor(firstPage * perPage);
			const last = Math.floor(lastPage * perPage);
			if (last - first < ranges.count) {
				for (let range = first; range <= last; range++) ranges.delete(range);
			} else {
				for (const range of ranges.keys()) if (range >= first && range <= last) ranges.delete(range);
			}
		}
	}

	clear(): void {
		for (const { ranges } of this.#bySize) ranges.clear();
	}

	#sizeOf(lg2: number): Size {
		for (const size of this.#bySize) if (size.lg2 === lg2) return size;
		const size = { lg2, pages: 2 ** lg2, perPage: 2 ** -lg2, ranges: new PageMap() };
		this.#bySize.push(size);
		this.#bySize.sort((a, b) => a.lg2 - b.lg2);
		return size;
	}
}
