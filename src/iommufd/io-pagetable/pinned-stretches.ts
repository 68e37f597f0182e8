// Which pages of some Pages are pinned, where they lie, and by how many they are held, where that is not the same for all of
// them. struct iopt_pages' pinned_pfns and access_itree in drivers/iommu/iommufd/pages.c.

import type { Share } from "../../faults/memory-budget.js";
import type { Backing } from "../../memory/address-space.js";

/** A stretch of pinned pages that lie side by side in one backing and have the same holders. */
export interface PinnedStretch {
	/** First page, and number of pages. */
	first: number;
	count: number;
	/** How many domains' areas and accesses hold it. */
	holders: number;
	backing: Backing;
	/** The backing's page that `first` is. */
	page: number;
}

/** Pages that are not pinned. */
export interface Gap {
	readonly first: number;
	readonly count: number;
}

/** What a stretch takes, in bytes. */
const STRETCH_BYTES = 80;

export class PinnedStretches {
	/** In order, without overlap. */
	readonly #stretches: PinnedStretch[] = [];
	readonly #budget: Share;
	/** How many have been charged for. */
	#charged = 0;
	/** Pages that are pinned. */
	count = 0;

	constructor(budget: Share) {
		this.#budget = budget;
	}

	/** Makes sure that there is room for so many more, for who is about to add them. @throws ENOMEM */
	prepare(more: number): void {
		this.#budget.charge(more * STRETCH_BYTES);
		this.#budget.uncharge(more * STRETCH_BYTES);
	}

	#updateCharge(): void {
		const { length } = this.#stretches;
		if (length === this.#charged) return;
		this.#budget.adjust((length - this.#charged) * STRETCH_BYTES);
		this.#charged = length;
	}

	/** Adds pages that have just been pinned, for one holder. */
	add(first: number, count: number, backing: Backing, page: number, holders = 1): void {
		this.count += count;
		this.#stretches.splice(this.#firstAt(first), 0, { first, count, holders, backing, page });
		this.#updateCharge();
	}

	/** One holder more of those that are pinned of first..last. */
	hold(first: number, last: number): void {
		this.#cutAt(first);
		this.#cutAt(last + 1);
		for (const stretch of this.#between(first, last)) stretch.holders++;
		this.#updateCharge();
	}

	/** One holder less of first..last, which are all pinned. @param unpin is told what nobody holds any more */
	drop(first: number, last: number, unpin: (stretch: PinnedStretch) => void): void {
		this.#cutAt(first);
		this.#cutAt(last + 1);
		const stretches = this.#stretches;
		const from = this.#firstAt(first);
		let to = from;
		let kept = from;
		for (; to < stretches.length && stretches[to].first <= last; to++) {
			const stretch = stretches[to];
			stretch.holders--;
			if (stretch.holders > 0) stretches[kept++] = stretch;
			else {
				unpin(stretch);
				this.count -= stretch.count;
			}
		}
		stretches.splice(kept, to - kept);
		this.#join(kept);
		this.#join(from);
		this.#updateCharge();
	}

	/** Makes one of two stretches side by side that differ in nothing, so that what was cut doesn't stay so for ever. */
	#join(at: number): void {
		const before = this.#stretches[at - 1];
		const stretch = this.#stretches[at];
		if (before === undefined || stretch === undefined) return;
		const { first, count, backing, page, holders } = before;
		if (first + count !== stretch.first || page + count !== stretch.page) return;
		if (backing !== stretch.backing || holders !== stretch.holders) return;
		before.count += stretch.count;
		this.#stretches.splice(at, 1);
	}

	/** The parts of first..last that are not pinned. */
	gaps(first: number, last: number): Gap[] {
		const gaps: Gap[] = [];
		let at = first;
		for (const stretch of this.#between(first, last)) {
			if (stretch.first > at) gaps.push({ first: at, count: stretch.first - at });
			at = stretch.first + stretch.count;
		}
		if (at <= last) gaps.push({ first: at, count: last + 1 - at });
		return gaps;
	}

	/**
	 * Tells where each part of first..last lies that is pinned.
	 * @param tell takes in a part, or only its first pages: then there is no more to be told
	 * @returns the page that it ended before
	 */
	each(first: number, last: number, tell: (backing: Backing, page: number, count: number) => number): number {
		const stretches = this.#stretches;
		for (let at = this.#firstAt(first); at < stretches.length && stretches[at].first <= last; at++) {
			const stretch = stretches[at];
			const from = Math.max(first, stretch.first);
			const to = Math.min(last + 1, stretch.first + stretch.count);
			const taken = tell(stretch.backing, stretch.page + from - stretch.first, to - from);
			if (taken < to - from) return from + taken;
		}
		return last + 1;
	}

	/** Stretches that have a page of first..last. */
	#between(first: number, last: number): PinnedStretch[] {
		const from = this.#firstAt(first);
		let to = from;
		while (to < this.#stretches.length && this.#stretches[to].first <= last) to++;
		return this.#stretches.slice(from, to);
	}

	/** Index of the first stretch that ends after `page` or begins there or later. */
	#firstAt(page: number): number {
		let low = 0;
		let high = this.#stretches.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			const stretch = this.#stretches[middle];
			if (stretch.first + stretch.count <= page) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** Makes sure that no stretch goes across the border before `page`. */
	#cutAt(page: number): void {
		const at = this.#firstAt(page);
		const stretch = this.#stretches[at];
		if (stretch === undefined || stretch.first >= page) return;
		const head = page - stretch.first;
		this.#stretches.splice(at + 1, 0, {
			first: page,
			count: stretch.count - head,
			holders: stretch.holders,
			backing: stretch.backing,
			page: stretch.page + head,
		});
		stretch.count = head;
	}
}
