// One level of tables, as the engine works with it: what an item of a table is, by the format's bits, and the arithmetic of
// indexes. A table is its words: item n is the word 2n (bits 31:0) and the word 2n + 1 (bits 63:32).
// An object literal and functions rather than a class: the walk reads these fields more than anything else, and the engine
// of JavaScript keeps numbers in place only if a field never held anything else.

import type { Format } from "./format.js";

export interface TableLevel {
	readonly items: number;
	readonly indexMask: number;
	readonly tableBytesLg2: number;
	/** lg2 of the frames that an item covers, and that a table does. */
	readonly itemSize: number;
	readonly tableSize: number;
	/** The frames that an item covers, and the inverse: a power of two too, so that to multiply by it is an exact division. */
	readonly itemFrames: number;
	readonly itemsPerFrame: number;
	readonly hasLeaves: boolean;
	/** An item is empty, or points to a table, if (low & mask) === value. */
	readonly emptyMask: number;
	readonly emptyValue: number;
	readonly tableMask: number;
	readonly tableValue: number;
	/** What an item that points to a table holds: the table's frame at this bit, and these bits. */
	readonly tableAddressShift: number;
	readonly tableLow: number;
	readonly tableHigh: number;
}

/** @param indexBits lg2 of the items of a table, which for a top may differ from the format's */
export function tableLevel(format: Format, number: number, indexBits: number): TableLevel {
	const level = format.levels[number]!;
	const itemSize = level.itemLg2 - format.granuleLg2;
	return {
		items: 1 << indexBits,
		indexMask: (1 << indexBits) - 1,
		tableBytesLg2: indexBits + 3,
		itemSize,
		tableSize: itemSize + indexBits,
		itemFrames: 2 ** itemSize,
		itemsPerFrame: 2 ** -itemSize,
		hasLeaves: level.leafSizes !== 0n,
		emptyMask: level.empty.mask,
		emptyValue: level.empty.value,
		tableMask: level.table?.mask ?? 0,
		tableValue: level.table?.value ?? 1, // matches nothing: level 0 has no tables below it
		tableAddressShift: format.tableAddressShift,
		tableLow: level.tableBits?.[0] ?? 0,
		tableHigh: level.tableBits?.[1] ?? 0,
	};
}

const knownLevels = new WeakMap<Format, readonly TableLevel[]>();

/** All levels of a format, their tables as large as the format says. */
export function levelsOf(format: Format): readonly TableLevel[] {
	let levels = knownLevels.get(format);
	if (levels === undefined) {
		levels = format.levels.map(({ indexBits }, number) => tableLevel(format, number, indexBits));
		knownLevels.set(format, levels);
	}
	return levels;
}

/** The item of a table that `va` falls into. */
export function indexOf(level: TableLevel, va: number): number {
	return (va * level.itemsPerFrame) & level.indexMask;
}

export function isEmpty(level: TableLevel, words: Uint32Array, index: number): boolean {
	return (words[2 * index]! & level.emptyMask) === level.emptyValue;
}

export function isTable(level: TableLevel, words: Uint32Array, index: number): boolean {
	return (words[2 * index]! & level.tableMask) === level.tableValue;
}

/** The frame of the table that an item points to. */
export function tableFrame(level: TableLevel, words: Uint32Array, index: number): number {
	const shift = level.tableAddressShift;
	return (words[2 * index + 1]! << (32 - shift)) | (words[2 * index]! >>> shift);
}

/** Points an item to a table. */
export function storeTable(level: TableLevel, words: Uint32Array, index: number, frame: number): void {
	const shift = level.tableAddressShift;
	words[2 * index] = (frame << shift) | level.tableLow;
	words[2 * index + 1] = (frame >>> (32 - shift)) | level.tableHigh;
}

/** Makes items from `from` to before `to` empty. */
export function clearItems(level: TableLevel, words: Uint32Array, from: number, to: number): void {
	const { emptyValue } = level;
	if (emptyValue === 0) {
		words.fill(0, 2 * from, 2 * to);
		return;
	}
	const end = (2 * to) | 0;
	for (let at = (2 * from) | 0; at < end; at = (at + 2) | 0) {
		words[at] = emptyValue;
		words[(at + 1) | 0] = 0;
	}
}

/** The first item from `from` to before `to` that is not empty; `to` if all are. */
export function firstInUse(level: TableLevel, words: Uint32Array, from: number, to: number): number {
	const { emptyMask: mask, emptyValue: value } = level;
	const end = 2 * to;
	let at = 2 * from;
	// Eight at a time: a bit that is set here differs from an empty item's in at least one of the eight.
	for (; at + 14 < end; at += 16) {
		const different =
			(words[at]! ^ value) |
			(words[at + 2]! ^ value) |
			(words[at + 4]! ^ value) |
			(words[at + 6]! ^ value) |
			(words[at + 8]! ^ value) |
			(words[at + 10]! ^ value) |
			(words[at + 12]! ^ value) |
			(words[at + 14]! ^ value);
		if ((different & mask) !== 0) break;
	}
	while (at < end && (words[at]! & mask) === value) at += 2;
	return at >>> 1;
}

/** The first item from `from` to before `to` that is not a leaf; `to` if all are. */
export function firstNoLeaf(level: TableLevel, words: Uint32Array, from: number, to: number): number {
	const { emptyMask: mask, emptyValue: value, tableMask, tableValue } = level;
	const mayHoldTables = tableMask !== 0;
	const end = 2 * to;
	let at = 2 * from;
	// Eight at a time: a bit that is set here differs from an empty item's in all of the eight.
	for (; !mayHoldTables && at + 14 < end; at += 16) {
		const different =
			(words[at]! ^ value) &
			(words[at + 2]! ^ value) &
			(words[at + 4]! ^ value) &
			(words[at + 6]! ^ value) &
			(words[at + 8]! ^ value) &
			(words[at + 10]! ^ value) &
			(words[at + 12]! ^ value) &
			(words[at + 14]! ^ value);
		if ((different & mask) === 0) break;
	}
	while (at < end && (words[at]! & mask) !== value && (words[at]! & tableMask) !== tableValue) at += 2;
	return at >>> 1;
}
