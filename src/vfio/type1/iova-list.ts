// The IOVAs that can be mapped in a container: what all its domains translate, less what its groups' devices have reserved.
// vfio_iommu_aper_resize(), vfio_iommu_resv_exclude() and their kin in drivers/vfio/vfio_iommu_type1.c.

import type { ReservedRegion } from "../../iommu/core/reserved.js";
import { Errno, hex } from "../../uapi/errno.js";

/** In bytes, both ends included. */
export interface IovaRange {
	readonly first: bigint;
	readonly last: bigint;
}

const LAST_IOVA = (1n << 64n) - 1n;

/** Finds out whether anything is mapped in a range. */
export type IsMapped = (first: bigint, last: bigint) => boolean;

/** A value: each change makes another one, because what a group changes counts only when all of its attach has gone well. */
export class IovaList {
	static readonly empty = new IovaList([]);
	/** In order. */
	readonly ranges: readonly IovaRange[];

	private constructor(ranges: readonly IovaRange[]) {
		this.ranges = ranges;
	}

	/** Whether a range is usable as a whole. A list that is empty says nothing. */
	allows(first: bigint, last: bigint): boolean {
		return this.ranges.length === 0 || this.ranges.some((range) => first >= range.first && last <= range.last);
	}

	/** Why the aperture of a new domain doesn't go with the list and what is mapped by it, if it doesn't. */
	conflictWith(aperture: IovaRange, isMapped: IsMapped): string | undefined {
		const start = this.ranges.at(0)?.first;
		const end = this.ranges.at(-1)?.last;
		if (start === undefined || end === undefined) return undefined;
		if (aperture.first > end || aperture.last < start)
			return `it translates ${inWords(aperture)}, and the container maps ${hex(start)} to ${hex(end)}`;
		if (aperture.first > start && isMapped(start, aperture.first - 1n))
			return `something is mapped below ${hex(aperture.first)}, where it begins to translate`;
		if (aperture.last < end && isMapped(aperture.last + 1n, end))
			return `something is mapped beyond ${hex(aperture.last)}, the last address that it translates`;
		return undefined;
	}

	/** Narrowed down to an aperture that goes with it. One that is empty becomes the aperture. */
	narrowedTo({ first, last }: IovaRange): IovaList {
		if (this.ranges.length === 0) return new IovaList([{ first, last }]);
		const ranges = [...this.ranges];
		// As Linux does it: a range of which the new end is an end already, and all that is left, goes with those outside.
		while (ranges.length > 0 && first >= ranges[0].last) ranges.shift();
		if (ranges.length > 0 && first >= ranges[0].first) ranges[0] = { first, last: ranges[0].last };
		const kept = ranges.filter((range) => last > range.first);
		return new IovaList(kept.map((range) => (last > range.last ? range : { first: range.first, last })));
	}

	/** Widened to what the domains that are left translate, where one that is gone has narrowed it. */
	widenedTo({ first, last }: IovaRange): IovaList {
		if (this.ranges.length === 0) return this;
		const ranges = [...this.ranges];
		ranges[0] = { first, last: ranges[0].last };
		ranges[ranges.length - 1] = { first: ranges[ranges.length - 1].first, last };
		return new IovaList(ranges);
	}

	/** From its first to its last address, without the holes. */
	get whole(): IovaList {
		const start = this.ranges.at(0)?.first;
		const end = this.ranges.at(-1)?.last;
		return start === undefined || end === undefined ? this : new IovaList([{ first: start, last: end }]);
	}

	/**
	 * Without what devices have reserved.
	 * @throws EINVAL when nothing is left
	 */
	without(regions: readonly ReservedRegion[]): IovaList {
		let ranges: readonly IovaRange[] = this.ranges;
		for (const region of regions) {
			// What the firmware wants mapped as long as nobody has the device doesn't count for who has it.
			if (region.kind === "direct-relaxable") continue;
			ranges = ranges.flatMap((range) => {
				if (region.first > range.last || region.last < range.first) return [range];
				const below = region.first > range.first ? [{ first: range.first, last: region.first - 1n }] : [];
				const above = region.last < range.last ? [{ first: region.last + 1n, last: range.last }] : [];
				return [...below, ...above];
			});
		}
		if (ranges.length === 0)
			throw new Errno("EINVAL", "the devices of the group have reserved all IOVAs that there are", "group-iovas");
		return new IovaList(ranges);
	}
}

/** What all of some domains translate. */
export function commonAperture(apertures: Iterable<IovaRange>): IovaRange {
	let first = 0n;
	let last = LAST_IOVA;
	for (const aperture of apertures) {
		if (aperture.first > first) first = aperture.first;
		if (aperture.last < last) last = aperture.last;
	}
	return { first, last };
}

function inWords({ first, last }: IovaRange): string {
	return `${hex(first)} to ${hex(last)}`;
}
