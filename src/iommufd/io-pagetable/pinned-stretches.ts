// Which pages of some Pages are pinned, where they lie, and by how many they are held, where that is not the same for all of
// them. struct iopt_pages' pinned_pfns and access_itree in drivers/iommu/iommufd/pages.c.

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

export class PinnedStretches {
	/** In order, without overlap. */
	readonly #stretches: PinnedStretch[] = [];
	/** Pages that are pinned. */
	count = 0;

	/** Adds pages that have just been pinned, for one holder. */
	add(first: number, count: number, backing: Backing, page: number, holders = 1): void {
		this.count += count;
		this.#stretches.splice(this.#firstAt(first), 0, { first, count, holders, backing, page });
	}

	/** One holder more of those that are pinned of first..last. */
	hold(first: number, last: number): void {
		this.#cutAt(first);
		this.#cutAt(last + 1);
		for (const stretch of this.#between(first, last)) stretch.holders++;
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

	/** Tells where each part of first..last lies that is pinned. */
	each(first: number, last: number, tell: (backing: Backing, page: number, count: number) => void): void {
		for (const stretch of this.#between(first, last)) {
			const from = Math.max(first, stretch.first);
			const to = Math.min(last + 1, stretch.first + stretch.count);
			tell(stretch.backing, stretch.page + from - stretch.first, to - from);
		}
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
