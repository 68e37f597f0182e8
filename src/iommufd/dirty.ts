// Which pages devices have written, read out of the page table of a HWPT. drivers/iommu/iommufd/hw_pagetable.c and
// iopt_read_and_clear_dirty_data() in io_pagetable.c.

import type { PagingDomain } from "../iommu/core/iommu.js";
import { Translation } from "../pagetable/pagetable.js";
import { Errno, hex } from "../uapi/errno.js";
import {
	type HwptGetDirtyBitmap,
	HwptGetDirtyBitmapFlags,
	type HwptSetDirtyTracking,
	HwptSetDirtyTrackingFlags,
} from "../uapi/iommufd.js";
import { worked } from "../uapi/slices.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { PagingHwpt } from "./hwpt.js";
import type { IoPagetable } from "./io-pagetable/io-pagetable.js";
import { LAST_IOVA } from "./io-pagetable/iova-ranges.js";
import { IovaBitmap } from "./iova-bitmap.js";

/** IOMMU_HWPT_SET_DIRTY_TRACKING. Switching it on begins with clean pages. */
export function hwptSetDirtyTracking(call: Call, args: Args<typeof HwptSetDirtyTracking>): void {
	const hwpt = call.context.objects.get(args.hwptId, PagingHwpt, "hwpt_id");
	const { domain } = hwpt;
	if (domain.dirtyTracking === undefined) throw withoutTracking(hwpt);
	const enable = (args.flags & HwptSetDirtyTrackingFlags.ENABLE) !== 0;
	if (enable) clearAll(hwpt.ioas.map, domain);
	domain.dirtyTracking.set(enable);
	domain.notes.tell();
}

/** IOMMU_HWPT_GET_DIRTY_BITMAP. Clears what it reports, unless NO_CLEAR is set. */
export function hwptGetDirtyBitmap(call: Call, args: Args<typeof HwptGetDirtyBitmap>): void {
	const hwpt = call.context.objects.get(args.hwptId, PagingHwpt, "hwpt_id");
	const { domain } = hwpt;
	checkRange(hwpt.ioas.map, args);
	if (domain.dirtyTracking === undefined) throw withoutTracking(hwpt);
	const pageLg2 = lowestBit(args.pageSize);
	const bits = Number((args.length + (1n << BigInt(pageLg2)) - 1n) >> BigInt(pageLg2));
	const bitmap = new IovaBitmap(call.caller.memory, args.data, bits);
	const clear = (args.flags & HwptGetDirtyBitmapFlags.NO_CLEAR) === 0;
	try {
		readDirty(hwpt.ioas.map, domain, args.iova, args.iova + args.length - 1n, pageLg2, clear, bitmap);
	} finally {
		// As Linux flushes then: what is written from now on is to be marked anew.
		if (clear) domain.notes.tell();
	}
	bitmap.flush();
	if (bitmap.lost !== undefined)
		call.context.platform.remark(
			`IOMMU_HWPT_GET_DIRTY_BITMAP: of ${hwpt}'s dirty pages ${bitmap.lost}${clear ? ", and these pages count as clean now" : ""}`,
		);
}

/** @throws EINVAL or EOVERFLOW for a range that the bitmap can't have */
function checkRange(map: IoPagetable, { iova, length, pageSize }: Args<typeof HwptGetDirtyBitmap>): void {
	if (length === 0n) throw new Errno("EINVAL", "length is 0: a bitmap is of one page at least", "zero-length");
	const end = iova + length;
	if (end - 1n > LAST_IOVA)
		throw new Errno(
			"EOVERFLOW",
			`the bitmap's iova ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`,
			"overflow",
		);
	if ((iova | end) & (map.alignment - 1n))
		throw new Errno(
			"EINVAL",
			`iova ${hex(iova)} or its end ${hex(end)} is not a multiple of ${hex(map.alignment)}`,
			"alignment",
		);
	if (pageSize === 0n) throw new Errno("EINVAL", "page_size is 0", "dirty-bitmap");
	if ((iova | end) & (pageSize - 1n))
		throw new Errno(
			"EINVAL",
			`iova ${hex(iova)} or its end ${hex(end)} is not a multiple of page_size ${hex(pageSize)}`,
			"dirty-bitmap",
		);
}

const leaf = new Translation();

/** Reports the dirty pages of the areas that cover a range, up to the first gap. */
function readDirty(
	map: IoPagetable,
	domain: PagingDomain,
	first: bigint,
	last: bigint,
	pageLg2: number,
	clear: boolean,
	bitmap: IovaBitmap,
): void {
	const { table } = domain;
	const granule = table.format.granuleLg2;
	const origin = Number(first >> BigInt(granule));
	const toBit = 2 ** (granule - pageLg2);
	// A page that begins before the bitmap has no bit for its beginning, and Linux reports none of it; unless it is said to begin there.
	const isCut = !table.format.dirty?.shiftsLeaves && table.lookup(origin, leaf) && leaf.leafVa < origin;
	const begin = isCut ? leaf.leafVa + leaf.leafFrames : origin;
	const report = (va: number, frames: number): void => {
		const from = Math.max(va, begin);
		const to = va + frames;
		if (from < to) bitmap.set(Math.floor((from - origin) * toBit), Math.ceil((to - origin) * toBit) - 1);
	};
	for (const area of map.contiguous(first, last)) {
		const from = Number((area.first > first ? area.first : first) >> BigInt(granule));
		const to = Number(((area.last < last ? area.last : last) + 1n) >> BigInt(granule));
		table.readDirty(from, to - from, clear, report);
		worked(50);
	}
}

function clearAll(map: IoPagetable, { table }: PagingDomain): void {
	const granule = BigInt(table.format.granuleLg2);
	for (const area of map.areas) {
		table.readDirty(Number(area.first >> granule), Number(area.length >> granule), true, () => {});
		worked(50);
	}
}

function withoutTracking(hwpt: PagingHwpt): Errno {
	return new Errno("EOPNOTSUPP", `${hwpt} was made without the flag DIRTY_TRACKING`, "dirty-tracking");
}

/** The number of the lowest bit that is set. */
function lowestBit(value: bigint): number {
	return (value & -value).toString(2).length - 1;
}
