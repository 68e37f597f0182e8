// A page table of the kernel's as a request meets it: alone, or as the second of two stages.
//
// What an IOMMU caches of it is not modelled: the kernel flushes whenever it takes something out of the table, before anybody
// can notice, so that a request sees the same with a cache as without one.

import { PAGE_SIZE } from "../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../memory/page-number.js";
import { powerOfTwo } from "../pagetable/bits.js";
import { READ, Translation, WRITE } from "../pagetable/pagetable.js";
import { hex } from "../uapi/errno.js";
import { accessInWords, DmaFault, type DmaRequest } from "./dma-fault.js";
import type { PagingDomain } from "./domain.js";

const leaf = new Translation();

export class PagingStage {
	readonly domain: PagingDomain;
	readonly name: "page table" | "second stage";
	readonly #request: DmaRequest;
	/** What translate() found, in bytes: where the address leads, and how far the leaf goes on from there. */
	physical = 0;
	length = 0;

	constructor(domain: PagingDomain, name: "page table" | "second stage", request: DmaRequest) {
		this.domain = domain;
		this.name = name;
		this.#request = request;
	}

	/** The same as translateAt(), for an address in bytes. @throws DmaFault */
	translate(address: bigint, write: boolean, what?: string, marks = true): void {
		this.translateAt(pageOf(address), offsetInPage(address), write, what, marks);
	}

	/**
	 * @param page of 4 KiB, in which the address lies at `offset`
	 * @param what whose address it is, for the reason: "the PTE"; the request's own if absent
	 * @param marks whether the leaf is marked as accessed, and dirty, where the IOMMU does so
	 * @throws DmaFault
	 */
	translateAt(page: number, offset: number, write: boolean, what?: string, marks = true): void {
		const { domain } = this;
		const { table } = domain;
		const granule = powerOfTwo(table.format.granuleLg2);
		// To multiply by a power of two is exact, also by one below 1.
		const granules = page * (PAGE_SIZE / granule);
		const firstOfPage = Math.floor(granules);
		const rest = (granules - firstOfPage) * granule + offset;
		const va = firstOfPage + Math.floor(rest / granule);
		if (!table.lookup(va, leaf)) throw this.#notPresent(va, addressOf(page, offset), what);
		if (!(leaf.protection & (write ? WRITE : READ))) throw this.#notPermitted(va, addressOf(page, offset), write, what);
		if (marks && domain.marksLeaves) {
			table.setAccessed(va);
			if (write) table.setDirty(va);
		}
		const inGranule = rest % granule;
		this.physical = leaf.frame * granule + inGranule;
		this.length = (leaf.leafVa + leaf.leafFrames - va) * granule - inGranule;
	}

	#notPresent(va: number, address: bigint, what: string | undefined): DmaFault {
		const last = this.domain.table.explain(va).at(-1);
		if (last === undefined) {
			const { first, last: end } = this.domain.aperture;
			const reason = `${whose(address, what)} is outside of ${hex(first)} to ${hex(end)}, which the table translates`;
			return new DmaFault(this.#request, this.name, "out-of-range", reason);
		}
		const reason = `${whose(address, what)} is not mapped: ${last.name} ${last.index} of the table at ${hex(last.tableAddress)} is ${hex(last.entry)}`;
		return new DmaFault(this.#request, this.name, "not-present", reason, last.level);
	}

	#notPermitted(va: number, address: bigint, write: boolean, what: string | undefined): DmaFault {
		const { level, name } = this.domain.table.explain(va).at(-1)!;
		const reason = `${whose(address, what)} would be ${write ? "written" : "read"}, and its ${name} permits ${accessInWords(leaf.protection)}`;
		return new DmaFault(this.#request, this.name, "permission", reason, level);
	}
}

function whose(address: bigint, what: string | undefined): string {
	return what === undefined ? hex(address) : `${hex(address)} (${what})`;
}
