// A mapping of a container, and all of them in order: struct vfio_dma and the dma_list of struct vfio_iommu in
// drivers/vfio/vfio_iommu_type1.c. Addresses are counted in pages of 4096 bytes, which all of them are multiples of.

import type { AddressSpace, Backing } from "../../memory/address-space.js";
import type { MemoryOwner } from "../../memory/memlock.js";
import { addressOf, pageOf } from "../../memory/page-number.js";
import { hex } from "../../uapi/errno.js";
import type { DirtyBits } from "./dirty-bits.js";

/** Whose memory a mapping shows, and who is charged for it. */
export interface MappingOwner {
	readonly space: AddressSpace;
	readonly owner: MemoryOwner;
	/** CAP_IPC_LOCK: it is charged, but has no limit. */
	readonly isUnlimited: boolean;
}

/** Pages that lie side by side in one backing. */
export interface PinnedPages {
	readonly backing: Backing;
	readonly page: number;
	readonly count: number;
}

export class Mapping {
	/** The first page of IOVA, and how many follow on from it. */
	readonly page: number;
	readonly count: number;
	/** READ, WRITE, CACHE of pagetable/format.ts. */
	readonly protection: number;
	owner: MappingOwner;
	/** What is pinned for it, in order. */
	pinned: readonly PinnedPages[] = [];
	/** Pages of that which are charged. Those of a device aren't. */
	locked = 0;
	/** What all this takes of our own memory, in bytes. */
	bytes = 0;
	/** The program has said that the memory is no longer where it was: UNMAP_DMA with the flag VADDR. */
	isVaddrInvalid = false;
	/** Present while dirty pages are tracked. */
	dirty: DirtyBits | undefined;

	constructor(page: number, count: number, protection: number, owner: MappingOwner) {
		this.page = page;
		this.count = count;
		this.protection = protection;
		this.owner = owner;
	}

	get lastPage(): number {
		return this.page + this.count - 1;
	}

	/** In bytes. */
	get first(): bigint {
		return addressOf(this.page, 0);
	}

	/** In bytes. */
	get last(): bigint {
		return addressOf(this.lastPage, 0xfff);
	}

	/** For a reason. */
	toString(): string {
		return `the mapping ${hex(this.first)} to ${hex(this.last)}`;
	}
}

export class Mappings {
	/** In the order of their addresses, which don't overlap. A container has a limit for how many there are. */
	readonly #all: Mapping[] = [];

	get size(): number {
		return this.#all.length;
	}

	/** The first one that touches first..last, in pages. */
	firstIn(first: number, last: number): Mapping | undefined {
		const mapping = this.#all[this.#from(first)];
		return mapping !== undefined && mapping.page <= last ? mapping : undefined;
	}

	/** Whether one touches first..last, in bytes. */
	touches(first: bigint, last: bigint): boolean {
		return this.firstIn(pageOf(first), pageOf(last)) !== undefined;
	}

	/** All that touch first..last, in pages. */
	in(first: number, last: number): Mapping[] {
		const from = this.#from(first);
		let to = from;
		while (to < this.#all.length && this.#all[to].page <= last) to++;
		return this.#all.slice(from, to);
	}

	/** The last one that begins at or before a page, and the first that begins after it. */
	nearest(page: number): { below: Mapping | undefined; above: Mapping | undefined } {
		const at = this.#from(page);
		const next = this.#all[at];
		const above = next !== undefined && next.page <= page ? at + 1 : at;
		return { below: this.#all[above - 1], above: this.#all[above] };
	}

	/** None of those that are there overlaps it. */
	add(mapping: Mapping): void {
		const at = this.#from(mapping.page);
		if (at === this.#all.length) this.#all.push(mapping);
		else this.#all.splice(at, 0, mapping);
	}

	/** Takes some out that follow one another, at once: one by one each would move all that come after it. */
	remove(mappings: readonly Mapping[]): void {
		if (mappings.length > 0) this.#all.splice(this.#from(mappings[0].page), mappings.length);
	}

	/** In order. */
	[Symbol.iterator](): Iterator<Mapping> {
		return this.#all[Symbol.iterator]();
	}

	/** The place of the first one that ends at a page or after it. */
	#from(page: number): number {
		let low = 0;
		let high = this.#all.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if (this.#all[middle].lastPage < page) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}
