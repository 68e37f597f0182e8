// What in-kernel users do with the areas of an IOAS: num_accesses, num_locks and prevent_access of struct iopt_area in
// drivers/iommu/iommufd/io_pagetable.h. It is kept beside the areas, because few of them have any.

import type { Area } from "./area.js";

/** What in-kernel users do with one area. */
export interface AreaUse {
	/** How often they have pinned some of it, and how many of these pins forbid an unmap. */
	readonly accesses: number;
	readonly locks: number;
	/** An unmap waits for the accesses to go: no new ones. */
	readonly isPrevented: boolean;
}

const unused: AreaUse = { accesses: 0, locks: 0, isPrevented: false };

export class AreaUses {
	/** By the area's first IOVA. */
	readonly #uses = new Map<bigint, AreaUse>();

	of(area: Area): AreaUse {
		if (this.#uses.size === 0) return unused;
		return this.#uses.get(area.first) ?? unused;
	}

	/** One pin more. @param locks whether it forbids an unmap */
	add(area: Area, locks: boolean): void {
		const { accesses, locks: before, isPrevented } = this.of(area);
		this.#set(area, { accesses: accesses + 1, locks: before + (locks ? 1 : 0), isPrevented });
	}

	/** One pin less. */
	drop(area: Area, locks: boolean): void {
		const { accesses, locks: before, isPrevented } = this.of(area);
		this.#set(area, { accesses: accesses - 1, locks: before - (locks ? 1 : 0), isPrevented });
	}

	/** From now on there are no new pins. */
	prevent(area: Area): void {
		this.#set(area, { ...this.of(area), isPrevented: true });
	}

	/** The area is gone. */
	forget(area: Area): void {
		if (this.#uses.size > 0) this.#uses.delete(area.first);
	}

	#set(area: Area, use: AreaUse): void {
		if (use.accesses > 0 || use.isPrevented) this.#uses.set(area.first, use);
		else this.#uses.delete(area.first);
	}
}
