// Dirty leaves of a range that begins inside of a leaf, as Linux's io-pgtable-arm.c reads them: arm_lpae_read_and_clear_dirty().
// Its walk goes by the address that it began with, so a leaf is said to begin where the range does. It goes from item to item, and adds to the
// address what each covers: the leaves that follow in the same table are said to begin just as much too high, and the walk ends so much earlier.
// Below an item that points to a table it starts where that address lies, past the items before it.

import { worked } from "../uapi/slices.js";
import type { DirtyReport } from "./dirty.js";
import type { DirtyBits } from "./format.js";
import { indexOf, isEmpty, isTable } from "./table-level.js";
import type { Tree } from "./tree.js";

/** @param end the first address beyond the range */
export function readDirtyFromInside(
	tree: Tree,
	bits: DirtyBits,
	va: number,
	end: number,
	clear: boolean,
	report: DirtyReport,
): void {
	const { mask, dirty, clean, trackedIfHigh } = bits;
	let address = va;
	let [first, next] = [va, va];
	/** @returns whether there was no hole, which ends it all */
	const walk = (number: number, words: Uint32Array): boolean => {
		const level = tree.levels[number];
		const from = indexOf(level, address);
		worked(level.items - from + 20);
		for (let index = from; index < level.items && address < end; index++) {
			if (isTable(level, words, index)) {
				if (!walk(number - 1, tree.tableBelow(number, words, index))) return false;
				continue;
			}
			if (isEmpty(level, words, index)) return false;
			const low = words[2 * index];
			if ((low & mask) === dirty && (words[2 * index + 1] & trackedIfHigh) === trackedIfHigh) {
				if (clear) words[2 * index] = (low & ~mask) | clean;
				if (address !== next) {
					if (next > first) report(first, next - first);
					first = address;
				}
				next = address + level.itemFrames;
			}
			address += level.itemFrames;
		}
		return true;
	};
	walk(tree.topLevel, tree.topWords);
	if (next > first) report(first, next - first);
}
