// An area: an interval of IOVA that shows part of a Pages object. struct iopt_area in drivers/iommu/iommufd/io_pagetable.h.

import { allocation, iommufdFails } from "../faults/faults.js";
import type { PagingDomain } from "../iommu/domain.js";
import { PAGE_SHIFT, PAGE_SIZE } from "../memory/address-space.js";
import { Runs } from "../memory/runs.js";
import { Errno } from "../uapi/errno.js";
import type { Pages } from "./pages.js";

/** The frames of the area that is being mapped. */
const runs = new Runs();

export class Area {
	/** First and last IOVA, in bytes. */
	readonly first: bigint;
	readonly last: bigint;
	readonly pages: Pages;
	/** The page of `pages` that the first byte lies in, and where in it. */
	readonly index: number;
	readonly pageOffset: number;
	/** What DMA may do: READ, WRITE, CACHE of pagetable/format.ts. */
	readonly protection: number;
	/** Whether domains show it, so that its pages are held for them. */
	inDomains = false;
	/** Pins of in-kernel users, and how many of them forbid an unmap. */
	accesses = 0;
	locks = 0;
	/** An unmap waits for the accesses to go: no new ones. */
	accessPrevented = false;

	constructor(first: bigint, length: bigint, pages: Pages, startByte: bigint, protection: number) {
		this.first = first;
		this.last = first + length - 1n;
		this.pages = pages;
		this.index = Number(startByte >> 12n);
		this.pageOffset = Number(startByte & 0xfffn);
		this.protection = protection;
	}

	/** In bytes. */
	get length(): bigint {
		return this.last - this.first + 1n;
	}

	/** The page of `pages` that the last byte lies in. */
	get lastIndex(): number {
		return this.indexOf(this.last);
	}

	/** The page of `pages` that an IOVA of this area shows. */
	indexOf(iova: bigint): number {
		return this.index + Math.floor((Number(iova - this.first) + this.pageOffset) / PAGE_SIZE);
	}

	/** The byte of `pages` that an IOVA of this area shows. */
	startByte(iova: bigint): bigint {
		return (BigInt(this.index) << 12n) + BigInt(this.pageOffset) + (iova - this.first);
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
		const perPage = 2 ** (PAGE_SHIFT - granule);
		const sizes = smallPagesOnly ? domain.pageSizes & BigInt(2 * PAGE_SIZE - 1) : domain.pageSizes;
		const start = Number(this.first >> BigInt(granule));
		const end = start + Number(this.length >> BigInt(granule));
		let skip = this.pageOffset / 2 ** granule;
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
		domain.unmap(Number(this.first >> BigInt(granule)), Number(this.length >> BigInt(granule)));
	}
}

/** Linux takes the frames of a mapping together before it maps them: batch_init(). */
function frameList(): void {
	if (iommufdFails("a batch of frames")) throw new Errno("ENOMEM", "fault injection: no batch of frames can be made");
	allocation("a batch of frames");
}
