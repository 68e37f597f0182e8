// A page table of the kernel's as a request meets it: alone, or as the second of two stages.
//
// What an IOMMU caches of it is not modelled: the kernel flushes whenever it takes something out of the table, before anybody
// can notice, so that a request sees the same with a cache as without one.

import { PAGE_SIZE } from "../../memory/address-space.js";
import { addressOf, offsetInPage, pageOf } from "../../memory/page-number.js";
import { READ, Translation, WRITE } from "../../pagetable/pagetable.js";
import { hex } from "../../uapi/errno.js";
import type { PagingDomain } from "../core/iommu.js";
import { accessInWords, DmaFault, type DmaRequest } from "./dma-fault.js";

/** What an address is that of, in words that are made only when somebody is to read them. */
export interface Words {
	toString(): string;
}

export class PagingStage {
	readonly name: "page table" | "second stage";
	/** Whose table it is: set before anything is translated. */
	domain!: PagingDomain;
	readonly #request: DmaRequest;
	/** Where translate() found that the address leads: a frame of 4 KiB, and the offset in it. */
	frame = 0;
	offset = 0;
	/** The leaf that says so, and the granule that the address lies in. */
	readonly #leaf = new Translation();
	#va = 0;
	#inGranule = 0;

	/** @param request what is refused if an address is: for an Access, whatever it is by then */
	constructor(name: "page table" | "second stage", request: DmaRequest) {
		this.name = name;
		this.#request = request;
	}

	/** The address that was found, in bytes. */
	get physical(): number {
		return this.frame * PAGE_SIZE + this.offset;
	}

	/** What the leaf permits: READ, WRITE. */
	get protection(): number {
		return this.#leaf.protection & (READ | WRITE);
	}

	/** How far the leaf goes on from there, in bytes. */
	get length(): number {
		const { leafVa, leafFrames } = this.#leaf;
		const granule = 1 << this.domain.table.format.granuleLg2;
		return (leafVa + leafFrames - this.#va) * granule - this.#inGranule;
	}

	/** The same as translateAt(), for an address in bytes. @throws DmaFault */
	translate(address: bigint, write: boolean, what?: Words, marks = true): void {
		this.translateAt(pageOf(address), offsetInPage(address), write, what, marks);
	}

	/**
	 * @param page of 4 KiB, in which the address lies at `offset`
	 * @param what whose address it is, for the reason: "the PTE"; the request's own if absent
	 * @param marks whether the leaf is marked as accessed, and dirty, where the IOMMU does so
	 * @throws DmaFault
	 */
	translateAt(page: number, offset: number, write: boolean, what?: Words, marks = true): void {
		const { domain } = this;
		const { table } = domain;
		const leaf = this.#leaf;
		const { granuleLg2 } = table.format;
		const granule = 1 << granuleLg2;
		let va = page;
		let inGranule = offset;
		if (granule !== PAGE_SIZE) {
			// To multiply by a power of two is exact, also by one below 1.
			const granules = page * (PAGE_SIZE / granule);
			const firstOfPage = Math.floor(granules);
			const rest = (granules - firstOfPage) * granule + offset;
			va = firstOfPage + (rest >>> granuleLg2);
			inGranule = rest & (granule - 1);
		}
		if (!table.lookup(va, leaf)) throw this.#notPresent(va, addressOf(page, offset), what);
		if (!(leaf.protection & (write ? WRITE : READ))) throw this.#notPermitted(va, addressOf(page, offset), write, what);
		if (marks && domain.marksLeaves) {
			table.setAccessed(va);
			if (write) table.setDirty(va);
		}
		this.#va = va;
		this.#inGranule = inGranule;
		this.frame = leaf.frame;
		this.offset = inGranule;
		if (granule !== PAGE_SIZE) this.#pageOf(leaf.frame * granule + inGranule);
	}

	#pageOf(physical: number): void {
		this.frame = Math.floor(physical / PAGE_SIZE);
		this.offset = physical - this.frame * PAGE_SIZE;
	}

	#notPresent(va: number, address: bigint, what: Words | undefined): DmaFault {
		const last = this.domain.table.explain(va).at(-1);
		if (last === undefined) {
			const { first, last: end } = this.domain.aperture;
			const reason = `${whose(address, what)} is outside of ${hex(first)} to ${hex(end)}, which the table translates`;
			return new DmaFault(this.#request, this.name, "out-of-range", reason);
		}
		const reason = `${whose(address, what)} is not mapped: ${last.name} ${last.index} of the table at ${hex(last.tableAddress)} is ${hex(last.entry)}`;
		return new DmaFault(this.#request, this.name, "not-present", reason, last.level);
	}

	#notPermitted(va: number, address: bigint, write: boolean, what: Words | undefined): DmaFault {
		const { level, name } = this.domain.table.explain(va).at(-1)!;
		const reason = `${whose(address, what)} would be ${write ? "written" : "read"}, and its ${name} permits ${accessInWords(this.#leaf.protection)}`;
		return new DmaFault(this.#request, this.name, "permission", reason, level);
	}
}

function whose(address: bigint, what: Words | undefined): string {
	return what === undefined ? hex(address) : `${hex(address)} (${what})`;
}
