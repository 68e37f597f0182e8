// What a page table can be made with. pt_iommu_init(), pt_init_common() and the formats' pt_iommu_fmt_init() of generic_pt.

import { Errno } from "../uapi/errno.js";
import type { Format } from "./format.js";

export interface PageTableConfig {
	/** Bits of address that the hardware translates, sign bit included. */
	vaBits: number;
	/** Bits of address that it can put out. */
	paBits: number;
	topLevel: number;
	/** The top may be raised while the table is in use: PT_FEAT_DYNAMIC_TOP. */
	growsTop?: boolean;
	/** The highest bit of an address is repeated above it, and splits the space in two: PT_FEAT_SIGN_EXTEND. */
	signExtend?: boolean;
	/** Told when the top was raised, to tell the hardware: change_top(). */
	topChanged?: () => void;
}

/**
 * How many bits of address a table translates, with the top as high as it may be.
 * @throws EINVAL or EOPNOTSUPP if there is no such table
 */
export function translatedBits(format: Format, config: PageTableConfig): number {
	const { vaBits, paBits, topLevel, growsTop, signExtend } = config;
	const { name, granuleLg2, levels } = format;
	if (vaBits <= granuleLg2 || vaBits > format.maxVaBits)
		throw new Errno(
			"EINVAL",
			`${name} translates up to ${format.maxVaBits} bits of iova, not ${vaBits}`,
			"table-config",
		);
	if (paBits <= granuleLg2 || paBits > format.maxPaBits)
		throw new Errno(
			"EINVAL",
			`${name} puts out up to ${format.maxPaBits} bits of address, not ${paBits}`,
			"table-config",
		);
	if (topLevel < format.lowestTopLevel || topLevel >= levels.length)
		throw new Errno(
			format.narrowsToTop ? "EINVAL" : "EOPNOTSUPP",
			`the top of a ${name} table is at level ${format.lowestTopLevel} to ${levels.length - 1}, not ${topLevel}`,
			"table-config",
		);
	if (signExtend && (growsTop || vaBits === 64))
		throw new Errno(
			"EINVAL",
			"sign extension needs a table that can't grow, and fewer than 64 bits of iova",
			"table-config",
		);

	if (growsTop || topLevel === levels.length - 1) return vaBits;
	const top = levels[topLevel]!;
	const covered = top.itemLg2 + top.indexBits;
	if (format.narrowsToTop) return Math.min(covered, vaBits);
	if (vaBits > covered + format.concatenatedTopsLg2)
		throw new Errno(
			"EOPNOTSUPP",
			`a ${name} table with its top at level ${topLevel} covers ${covered} bits of iova, not ${vaBits}`,
			"table-config",
		);
	return vaBits;
}
