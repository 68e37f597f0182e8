// An area: an interval of IOVA that shows part of a Pages object. struct iopt_area in drivers/iommu/iommufd/io_pagetable.h.

import { allocation, iommufdFails } from "../../faults/faults.js";
import type { PagingDomain, Stretch } from "../../iommu/core/iommu.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../../memory/page-number.js";
import { giveRunsBack, takeRuns } from "../../memory/runs.js";
import { powerOfTwo } from "../../pagetable/bits.js";
import { Errno } from "../../uapi/errno.js";
import { worked } from "../../uapi/slices.js";
import type { Pages } from "./pages.js";

/** Of so many pages it is worth while to know early that there can't be entries for them. */
const LARGE = 2 ** 16;
/** What it takes to map pages that lie side by side, besides their entries, as slices.ts counts. */
const PER_RUN = 50;

/**
 * A value: it tells what the tree says at one place, and stays as it is. What changes is elsewhere: what in-kernel users do
 * with an area in area-uses.ts, and whether domains show it is the same for all areas of an IOAS.
 */
export class Area {
	// Where it begins and ends, as pages of IOVA and offsets in them: see page-number.ts.
	readonly firstPage: number;
	readonly firstOffset: number;
	readonly lastPage: number;
	readonly lastOffset: number;
	readonly pages: Pages;
	/** The page of `pages` that the first byte lies in, and where in it. */
	readonly index: number;
	readonly pageOffset: number;
	/** What DMA may do: READ, WRITE, CACHE of pagetable/format.ts. */
	readonly protection: number;

	constructor(
		firstPage: number,
		firstOffset: number,
		lastPage: number,
		lastOffset: number,
		pages: Pages,
		index: number,
		pageOffset: number,
		protection: number,
	) {
		this.firstPage = firstPage;
		this.firstOffset = firstOffset;
		this.lastPage = lastPage;
		this.lastOffset = lastOffset;
		this.pages = pages;
		this.index = index;
		this.pageOffset = pageOffset;
		this.protection = protection;
	}

	/** `length` bytes of some Pages from their byte `startByte` on, at an IOVA. */
	static of(first: bigint, length: bigint, pages: Pages, startByte: bigint, protection: number): Area {
		const last = first + length - 1n;
		return new Area(
			pageOf(first),
			offsetInPage(first),
			pageOf(last),
			offsetInPage(last),
			pages,
			pageOf(startByte),
			offsetInPage(startByte),
			protection,
		);
	}

	/** First and last IOVA, in bytes. */
	get first(): bigint {
		return addressOf(this.firstPage, this.firstOffset);
	}

	get last(): bigint {
		return addressOf(this.lastPage, this.lastOffset);
	}

	/** In bytes. */
	get length(): bigint {
		return this.last - this.first + 1n;
	}

	/** The page of `pages` that the last byte lies in. */
	get lastIndex(): number {
		return indexAt(this, this.lastPage, this.lastOffset);
	}

	/** The page of `pages` that an IOVA of this area shows. */
	indexOf(iova: bigint): number {
		return indexAt(this, pageOf(iova), offsetInPage(iova));
	}

	/** The byte of `pages` that an IOVA of this area shows. */
	startByte(iova: bigint): bigint {
		return addressOf(this.index, this.pageOffset) + (iova - this.first);
	}

	/**
	 * Maps the area, whose pages are held, into a domain.
	 * @param smallPagesOnly maps every page of 4096 bytes by itself, so that any of them can be unmapped later
	 * @throws what the page table throws; the domain is then as before
	 */
	map(domain: PagingDomain, smallPagesOnly: boolean): void {
		if (this.pages.revoked) return;
		frameList();
		const granule = domain.table.format.granuleLg2;
		const perPage = PAGE_SIZE / powerOfTwo(granule);
		const sizes = smallPagesOnly ? domain.pageSizes & BigInt(2 * PAGE_SIZE - 1) : domain.pageSizes;
		const start = firstGranule(this, granule);
		const end = start + countGranules(this, granule);
		const { pages, lastIndex, protection } = this;
		if (lastIndex - this.index >= LARGE) domain.table.requireRoom(end - start, pages.longestRun * PAGE_SIZE, sizes);
		let skip = this.pageOffset / powerOfTwo(granule);
		let at = start;
		const runs = takeRuns();
		try {
			for (let index = this.index; index <= lastIndex; ) {
				runs.clear();
				index = pages.runs(index, lastIndex, runs);
				// The last one may go on, and is mapped as a whole: how large its pages are depends on that.
				if (index <= lastIndex) index -= runs.count[--runs.length];
				for (let i = 0; i < runs.length; i++) {
					const count = Math.min(runs.count[i] * perPage - skip, end - at);
					domain.map(at, runs.frame[i] * perPage + skip, count, protection, sizes);
					at += count;
					skip = 0;
				}
				worked(runs.length * PER_RUN);
			}
		} catch (error) {
			if (at > start) domain.unmap(start, at - start);
			throw error;
		} finally {
			giveRunsBack(runs);
		}
		domain.hasMapped(start, end - start);
	}

	/** Where a domain shows it, if it does. */
	stretchIn(domain: PagingDomain): Stretch | undefined {
		if (this.pages.revoked) return undefined;
		const granule = domain.table.format.granuleLg2;
		return { first: firstGranule(this, granule), count: countGranules(this, granule) };
	}

	/** Takes the area out of a domain that shows it. It can't fail, so what Linux needs for it is not allocated. */
	unmap(domain: PagingDomain): void {
		if (this.pages.revoked) return;
		const granule = domain.table.format.granuleLg2;
		domain.unmap(firstGranule(this, granule), countGranules(this, granule));
	}
}

// Functions rather than private methods: for the sake of those each object would have a field more.

/** The page of the area's Pages that a place in it shows. */
function indexAt({ firstPage, firstOffset, index, pageOffset }: Area, page: number, offset: number): number {
	return index + (page - firstPage) + Math.floor((offset - firstOffset + pageOffset) / PAGE_SIZE);
}

/** The first IOVA and the length in granules, which both are multiples of. */
function firstGranule({ firstPage, firstOffset }: Area, granuleLg2: number): number {
	return firstPage * (PAGE_SIZE / powerOfTwo(granuleLg2)) + firstOffset / powerOfTwo(granuleLg2);
}

function countGranules({ firstPage, firstOffset, lastPage, lastOffset }: Area, granuleLg2: number): number {
	const bytes = lastOffset + 1 - firstOffset;
	return (lastPage - firstPage) * (PAGE_SIZE / powerOfTwo(granuleLg2)) + bytes / powerOfTwo(granuleLg2);
}

/** Linux takes the frames of a mapping together before it maps them: batch_init(). */
function frameList(): void {
	if (iommufdFails("a batch of frames")) throw new Errno("ENOMEM", "fault injection: no batch of frames can be made");
	allocation("a batch of frames");
}
