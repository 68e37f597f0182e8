// The levels that x86-64's paging and VT-d's second stage have in common: tables of 512 entries, and leaves of 4 KiB, 2 MiB and 1 GiB.
// Intel SDM volume 3, 4.5; VT-d specification, 3.7.

import type { Level } from "../format.js";

const HIGHEST_LEVEL_OF_LEAVES = 2;

/** The bits that differ between the two, all of them in the low word. */
export interface LevelBits {
	/** An entry with none of them set is empty. */
	readonly present: number;
	/** Set in a leaf above level 0. */
	readonly pageSize: number;
	/** What an entry has that points to a table. */
	readonly table: number;
}

/** @param number 0 for the level of 4 KiB pages */
export function x86Level(entryName: string, number: number, { present, pageSize, table }: LevelBits): Level {
	const itemLg2 = 12 + 9 * number;
	const mayHoldLeaves = number <= HIGHEST_LEVEL_OF_LEAVES;
	const leaves = {
		entryName,
		itemLg2,
		indexBits: 9,
		leafSizes: mayHoldLeaves ? 1n << BigInt(itemLg2) : 0n,
		empty: { mask: present, value: 0 },
	};
	if (number === 0) return leaves;
	const isTable = { mask: mayHoldLeaves ? present | pageSize : present, value: present };
	return { ...leaves, table: isTable, tableBits: [table, 0] };
}
