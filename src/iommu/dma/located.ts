// Where an access leads, for whoever makes it himself and wants to remember the way: a function's model that runs in a thread of its own.

import type { Backing } from "../../memory/address-space.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { type Frames, Location } from "../../memory/frames.js";
import { READ, Translation, WRITE } from "../../pagetable/pagetable.js";
import type { PagingDomain } from "../core/iommu.js";

/** Pages beside the one that was asked for are found as far as this: lg2 of pages, in a window that is aligned to that. */
const WINDOW_LG2 = 9;

/** Pages of IOVA that follow each other in one backing. */
export class Located {
	/** Undefined where the access can't be made by another than Dma. */
	backing: Backing | undefined;
	/** Of IOVA, 4 KiB each. */
	firstPage = 0;
	pages = 0;
	/** In the backing, in bytes: where the first page is. */
	at = 0;
	/** READ, WRITE: what may be done without asking again. */
	protection = 0;
}

const leaf = new Translation();
const location = new Location();

/**
 * Looks how far what is known of one page holds for its neighbours.
 * @param into has the page by now
 */
export function extend(domain: PagingDomain, frames: Frames, into: Located): void {
	const { table } = domain;
	if (1 << table.format.granuleLg2 !== PAGE_SIZE) return;
	const window = 2 ** WINDOW_LG2;
	const start = Math.floor(into.firstPage / window) * window;
	const own = into.firstPage;
	const at = into.at;
	let end = own + 1;
	for (let count = 1; end < start + window && count > 0; end += count)
		count = Math.min(follows(domain, frames, into, end, at + (end - own) * PAGE_SIZE), start + window - end);
	let first = own;
	while (first > start && follows(domain, frames, into, first - 1, at - (own - first + 1) * PAGE_SIZE) > 0) first--;
	into.firstPage = first;
	into.pages = end - first;
	into.at = at - (own - first) * PAGE_SIZE;
}

/** How many pages from `page` on are in the same backing, from byte `at` on, and permit the same; 0 if the first isn't. */
function follows(
	{ table }: PagingDomain,
	frames: Frames,
	{ backing, protection }: Located,
	page: number,
	at: number,
): number {
	if (!table.lookup(page, leaf) || (leaf.protection & (READ | WRITE)) !== protection) return 0;
	if (!frames.locateInto(leaf.frame, location) || location.backing !== backing || location.page * PAGE_SIZE !== at)
		return 0;
	return Math.min(location.count, leaf.leafVa + leaf.leafFrames - page);
}
