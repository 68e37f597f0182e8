// Reading, and clearing, which leaves a write went through. read_and_clear_dirty() of Linux's generic_pt, and
// arm_lpae_read_and_clear_dirty() of io-pgtable-arm.c.

import { Errno } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";
import { alignDown } from "./bits.js";
import { readDirtyFromInside } from "./dirty-from-inside.js";
import type { DirtyBits } from "./format.js";
import { indexOf, isEmpty, isTable } from "./table-level.js";
import type { Tree } from "./tree.js";

/** Is told each stretch of dirty frames, in order. */
export type DirtyReport = (va: number, frames: number) => void;

/**
 * Reports the dirty leaves of a range as stretches, so that an all dirty range is a few calls. A leaf is reported whole,
 * even where the range covers only a part of it, because the hardware knows no more.
 * @throws EOPNOTSUPP where the format knows no dirty pages, ERANGE
 */
export function readDirty(tree: Tree, va: number, count: number, clear: boolean, report: DirtyReport): void {
	const bits = tree.format.dirty;
	if (bits === undefined)
		throw new Errno(
			"EOPNOTSUPP",
			`Linux has no dirty tracking with page tables of the format ${tree.format.name}`,
			"hardware-lacks",
		);
	const last = va + count - 1;
	tree.checkLength(va, count);
	if (!tree.inRange(va, last)) throw tree.outOfRange(va, last);
	if (bits.shiftsLeaves && startOfLeaf(tree, va) !== va) {
		readDirtyFromInside(tree, bits, va, last + 1, clear, report);
		return;
	}
	const scan = new DirtyScan(tree, bits, va, last, clear, report);
	scan.table(tree.topLevel, tree.topWords, 0, true, true);
	scan.flush();
}

/** Where the leaf begins that translates `va`; there itself, if nothing does. */
function startOfLeaf(tree: Tree, va: number): number {
	return tree.find(va) ? alignDown(va, tree.leafSize(tree.leafLevel, tree.leafLow, tree.leafHigh)) : va;
}

/** A device wrote through the leaf that translates `va`. Returns whether the leaf is marked dirty now. */
export function setDirty(tree: Tree, va: number): boolean {
	const bits = tree.format.dirty;
	if (bits === undefined || !tree.find(va)) return false;
	if ((tree.leafHigh & bits.trackedIfHigh) !== bits.trackedIfHigh) return false;
	tree.memory.tableAt(tree.leafTable)[2 * tree.leafIndex] = (tree.leafLow & ~bits.mask) | bits.dirty;
	return true;
}

/** A device accessed memory through the leaf that translates `va`. Returns whether the leaf is marked so now. */
export function setAccessed(tree: Tree, va: number): boolean {
	const { accessed } = tree.format;
	if (accessed === 0 || !tree.find(va)) return false;
	tree.memory.tableAt(tree.leafTable)[2 * tree.leafIndex] = tree.leafLow | accessed;
	return true;
}

class DirtyScan {
	readonly #tree: Tree;
	readonly #bits: DirtyBits;
	readonly #va: number;
	readonly #last: number;
	readonly #clear: boolean;
	readonly #report: DirtyReport;
	/** The stretch that is being gathered. */
	#first = 0;
	#end = 0;

	constructor(tree: Tree, bits: DirtyBits, va: number, last: number, clear: boolean, report: DirtyReport) {
		this.#tree = tree;
		this.#bits = bits;
		this.#va = va;
		this.#last = last;
		this.#clear = clear;
		this.#report = report;
	}

	/**
	 * @param tableVa the first address that the table translates, counted from item 0 of the top
	 * @param atStart the range starts in this table, rather than before it
	 * @param atEnd the range ends in this table
	 */
	table(number: number, words: Uint32Array, tableVa: number, atStart: boolean, atEnd: boolean): void {
		const tree = this.#tree;
		const level = tree.levels[number]!;
		const from = atStart ? indexOf(level, this.#va) : 0;
		const to = atEnd ? indexOf(level, this.#last) : level.items - 1;
		worked(to - from + 20);
		if (number === 0) {
			this.#leaves(number, words, from, to, tableVa);
			return;
		}
		for (let index = from; index <= to; index++) {
			if (isTable(level, words, index)) {
				const below = tree.tableBelow(number, words, index);
				const belowVa = tableVa + index * level.itemFrames;
				this.table(number - 1, below, belowVa, atStart && index === from, atEnd && index === to);
			} else if (!isEmpty(level, words, index)) {
				index = this.#leaves(number, words, index, index, tableVa);
			}
		}
	}

	flush(): void {
		if (this.#end > this.#first) this.#report(this.#tree.signExtended(this.#first), this.#end - this.#first);
		this.#end = this.#first;
	}

	/** Items that are leaves or empty. Returns the last item of the leaf that item `last` belongs to. */
	#leaves(number: number, words: Uint32Array, first: number, last: number, tableVa: number): number {
		const tree = this.#tree;
		const { mask, dirty, clean, trackedIfHigh } = this.#bits;
		const clear = this.#clear;
		// Any item of a leaf may be the one that the hardware marked.
		let index = first & -this.#itemsOfLeaf(number, words, first);
		const end = (last | (this.#itemsOfLeaf(number, words, last) - 1)) + 1;
		let dirtyFrom = index;
		let dirtyTo = index;
		while (index < end) {
			// Most are clean: eight at a time are passed over at the speed of memory.
			if ((index & 7) === 0 && index + 8 <= end && noneDirty(words, 2 * index, mask, dirty)) {
				index += 8;
				continue;
			}
			const low = words[2 * index]!;
			const high = words[2 * index + 1]!;
			if ((low & mask) !== dirty || (high & trackedIfHigh) !== trackedIfHigh) {
				index++;
				continue;
			}
			let start = index;
			if (tree.isContiguous(low, high)) {
				const items = this.#itemsOfLeaf(number, words, index);
				start = index & -items;
				index = start + items;
				if (clear) makeClean(words, start, index, mask, clean);
			} else {
				if (clear) words[2 * index] = (low & ~mask) | clean;
				index++;
			}
			if (start !== dirtyTo) {
				this.#gather(number, tableVa, dirtyFrom, dirtyTo);
				dirtyFrom = start;
			}
			dirtyTo = index;
		}
		this.#gather(number, tableVa, dirtyFrom, dirtyTo);
		return end - 1;
	}

	#gather(number: number, tableVa: number, from: number, to: number): void {
		if (from === to) return;
		const { itemFrames } = this.#tree.levels[number]!;
		const first = tableVa + from * itemFrames;
		if (first !== this.#end) {
			this.flush();
			this.#first = first;
		}
		this.#end = tableVa + to * itemFrames;
	}

	#itemsOfLeaf(number: number, words: Uint32Array, index: number): number {
		const size = this.#tree.leafSize(number, words[2 * index]!, words[2 * index + 1]!);
		return 1 << (size - this.#tree.levels[number]!.itemSize);
	}
}

function makeClean(words: Uint32Array, from: number, to: number, mask: number, clean: number): void {
	for (let at = 2 * from; at < 2 * to; at += 2) words[at] = (words[at]! & ~mask) | clean;
}

/** Is the dirty bit of eight items from `at` on other than that of a dirty one? */
function noneDirty(words: Uint32Array, at: number, mask: number, dirty: number): boolean {
	const different =
		(words[at]! ^ dirty) &
		(words[at + 2]! ^ dirty) &
		(words[at + 4]! ^ dirty) &
		(words[at + 6]! ^ dirty) &
		(words[at + 8]! ^ dirty) &
		(words[at + 10]! ^ dirty) &
		(words[at + 12]! ^ dirty) &
		(words[at + 14]! ^ dirty);
	return (different & mask) !== 0;
}
