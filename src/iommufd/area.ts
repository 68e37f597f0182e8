// An area: an interval of IOVA that shows part of a Pages object. struct iopt_area in drivers/iommu/iommufd/io_pagetable.h.

import { allocation, iommufdFails } from "../faults/faults.js";
import type { PagingDomain } from "../iommu/domain.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../memory/page-number.js";
import { Runs } from "../memory/runs.js";
import { powerOfTwo } from "../pagetable/bits.js";
import { Errno } from "../uapi/errno.js";
import type { Pages } from "./pages.js";

/** The frames of the area that is being mapped. */
const runs = new Runs();

/** What in-kernel users do with an area; few have any. */
interface Use {
	accesses: number;
	locks: number;
	accessPrevented: boolean;
}

const unused: Readonly<Use> = { accesses: 0, locks: 0, accessPrevented: false };

const OFFSET_BITS = 12;
const OFFSET = 0xfff;

/** There may be a million of them, so they are small. */
export class Area {
	// Where it begins and ends, as pages of IOVA and offsets in them: see page-number.ts.
	readonly #firstPage: number;
	readonly #lastPage: number;
	/** Of the first byte, and, above OFFSET_BITS, of the last one. */
	readonly #offsets: number;
	readonly pages: Pages;
	/** The page of `pages` that the first byte lies in, and where in it. */
	readonly index: number;
	readonly pageOffset: number;
	/** What DMA may do: READ, WRITE, CACHE of pagetable/format.ts. */
	readonly protection: number;
	/** Whether domains show it, so that its pages are held for them. */
	inDomains = false;
	#use: Use | undefined;

	constructor(first: bigint, length: bigint, pages: Pages, startByte: bigint, protection: number) {
		const last = first + length - 1n;
		this.#firstPage = pageOf(first);
		this.#lastPage = pageOf(last);
		this.#offsets = offsetInPage(first) | (offsetInPage(last) << OFFSET_BITS);
		this.pages = pages;
		this.index = pageOf(startByte);
		this.pageOffset = offsetInPage(startByte);
		this.protection = protection;
	}

	/** Pins of in-kernel users, and how many of them forbid an unmap. */
	get accesses(): number {
		return (this.#use ?? unused).accesses;
	}

	set accesses(count: number) {
		this.#used().accesses = count;
	}

	get locks(): number {
		return (this.#use ?? unused).locks;
	}

	set locks(count: number) {
		this.#used().locks = count;
	}

	/** An unmap waits for the accesses to go: no new ones. */
	get accessPrevented(): boolean {
		return (this.#use ?? unused).accessPrevented;
	}

	set accessPrevented(isPrevented: boolean) {
		this.#used().accessPrevented = isPrevented;
	}

	#used(): Use {
		this.#use ??= { ...unused };
		return this.#use;
	}

	get #firstOffset(): number {
		return this.#offsets & OFFSET;
	}

	get #lastOffset(): number {
		return this.#offsets >>> OFFSET_BITS;
	}

	/** First and last IOVA, in bytes. */
	get first(): bigint {
		return addressOf(this.#firstPage, this.#firstOffset);
	}

	get last(): bigint {
		return addressOf(this.#lastPage, this.#lastOffset);
	}

	/** In bytes. */
	get length(): bigint {
		return this.last - this.first + 1n;
	}

	/** The page of `pages` that the last byte lies in. */
	get lastIndex(): number {
		return this.#indexAt(this.#lastPage, this.#lastOffset);
	}

	/** The page of `pages` that an IOVA of this area shows. */
	indexOf(iova: bigint): number {
		return this.#indexAt(pageOf(iova), offsetInPage(iova));
	}

	#indexAt(page: number, offset: number): number {
		const offsetInPages = offset - this.#firstOffset + this.pageOffset;
		return this.index + (page - this.#firstPage) + Math.floor(offsetInPages / PAGE_SIZE);
	}

	/** The byte of `pages` that an IOVA of this area shows. */
	startByte(iova: bigint): bigint {
		return addressOf(this.index, this.pageOffset) + (iova - this.first);
	}

	/** The first IOVA and the length in granules, which both are multiples of. */
	#start(granuleLg2: number): number {
		return this.#firstPage * (PAGE_SIZE / powerOfTwo(granuleLg2)) + this.#firstOffset / powerOfTwo(granuleLg2);
	}

	#count(granuleLg2: number): number {
		const bytes = this.#lastOffset + 1 - this.#firstOffset;
		return (this.#lastPage - this.#firstPage) * (PAGE_SIZE / powerOfTwo(granuleLg2)) + bytes / powerOfTwo(granuleLg2);
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
		const start = this.#start(granule);
		const end = start + this.#count(granule);
		let skip = this.pageOffset / powerOfTwo(granule);
		let at = start;
		runs.clear();
		this.pages.runs(this.index, this.lastIndex, runs);
		try {
			for (let i = 0; i < runs.length; i++) {
				const count = Math.min(runs.count[i] * perPage - skip, end - at);
				domain.map(at, runs.frame[i] * perPage + skip, count, this.protection, sizes);
				at += count;
				skip = 0;
			}
		} catch (error) {
			if (at > start) domain.unmap(start, at - start);
			throw error;
		}
	}

	/** Takes the area out of a domain that shows it. It can't fail, so what Linux needs for it is not allocated. */
	unmap(domain: PagingDomain): void {
		if (this.pages.revoked) return;
		const granule = domain.table.format.granuleLg2;
		domain.unmap(this.#start(granule), this.#count(granule));
	}
}

/** Linux takes the frames of a mapping together before it maps them: batch_init(). */
function frameList(): void {
	if (iommufdFails("a batch of frames")) throw new Errno("ENOMEM", "fault injection: no batch of frames can be made");
	allocation("a batch of frames");
}
