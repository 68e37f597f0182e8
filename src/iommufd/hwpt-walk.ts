// How a HWPT translates an IOVA, level by level and in words: for people who want to see a page table at work.

import { hex } from "../uapi/errno.js";
import type { PagingHwpt } from "./hwpt.js";

/** A line for each table on the way, or one that says why there is none. */
export function walkInWords({ domain }: PagingHwpt, iova: bigint): string[] {
	if (!domain.isFinished) return ["there is no table yet: this driver makes it when a device is attached"];
	const { table } = domain;
	const steps = table.explain(Number(iova >> BigInt(table.format.granuleLg2)));
	if (steps.length === 0)
		return [`it is outside of ${hex(table.firstAddress)} to ${hex(table.lastAddress)}, which the table translates`];
	return steps.map(
		({ name, index, tableAddress, entry, meaning }) =>
			`${name} ${index} of the table at ${hex(tableAddress)} is ${hex(entry)}: ${meaning}`,
	);
}
