// The tables of one page table: a radix tree in table memory, its top, and the walk from the top to a leaf.
// struct pt_common and pt_iter.h of Linux's generic_pt.

import { Errno, hex } from "../uapi/errno.js";
import { alignDown } from "./bits.js";
import type { Format, Level } from "./format.js";
import { TABLE_FRAME_LG2, type TableMemory } from "./table-memory.js";

/** A level as a walk needs it: the format's bits, and the arithmetic of indexes in frames. */
export class TreeLevel {
	readonly items: number;
	readonly indexMask: number;
	readonly tableBytesLg2: number;
	/** lg2 of the frames that an item covers, their number, and its inverse: an exact power of two, so a multiplication divides. */
	readonly itemSize: number;
	/** lg2 of the frames that a whole table covers. */
	readonly tableSize: number;
	readonly itemFrames: number;
	readonly itemsPerFrame: number;
	readonly emptyMask: number;
	readonly emptyValue: number;
	readonly tableMask: number;
	readonly tableValue: number;
	readonly tableLow: number;
	readonly tableHigh: number;

	constructor(level: Level, granuleLg2: number, indexBits: number) {
		this.items = 2 ** indexBits;
		this.indexMask = this.items - 1;
		this.tableBytesLg2 = indexBits + 3;
		this.itemSize = level.itemLg2 - granuleLg2;
		this.tableSize = this.itemSize + indexBits;
		this.itemFrames = 2 ** this.itemSize;
		this.itemsPerFrame = 2 ** -this.itemSize;
		this.emptyMask = level.empty.mask;
		this.emptyValue = level.empty.value;
		this.tableMask = level.table?.mask ?? 0;
		this.tableValue = level.table?.value ?? 1; // matches nothing: level 0 has no tables below it
		this.tableLow = level.tableBits?.[0] ?? 0;
		this.tableHigh = level.tableBits?.[1] ?? 0;
	}
}

export interface TreeConfig {
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

export class Tree {
	readonly format: Format;
	readonly memory: TableMemory;
	readonly levels: readonly TreeLevel[];
	readonly vaBits: number;
	readonly paBits: number;
	readonly growsTop: boolean;
	readonly signExtend: boolean;
	/** How many frames there are in the 64-bit address space, and below 2^paBits. */
	readonly spaceFrames: number;
	readonly outputFrames: number;
	readonly #topChanged: (() => void) | undefined;
	readonly #addressShift: number;

	topLevel: number;
	topFrame: number;
	topWords: Uint32Array;
	/** The top translates frames up to this one, and, with sign extension, from the other one on. */
	#lowLast = 0;
	#highFirst = Number.POSITIVE_INFINITY;

	/** Scratch of a mapping or unmapping under way: by level, the tables on its way. */
	readonly path: Uint32Array[] = [];
	/** Where find() found a leaf: its table, the position of its low word there, its level. */
	leafWords: Uint32Array;
	leafAt = 0;
	leafLevel = 0;

	constructor(format: Format, config: TreeConfig, memory: TableMemory) {
		this.format = format;
		this.memory = memory;
		this.growsTop = config.growsTop ?? false;
		this.signExtend = config.signExtend ?? false;
		this.topLevel = config.topLevel;
		this.paBits = config.paBits;
		this.vaBits = checkedVaBits(format, config);
		this.spaceFrames = 2 ** (64 - format.granuleLg2);
		this.outputFrames = 2 ** (config.paBits - format.granuleLg2);
		this.#topChanged = config.topChanged;
		this.#addressShift = format.tableAddressShift;
		this.levels = format.levels.map((level, n) => {
			// A top that never grows has as many items as the address space needs: fewer, or (concatenated tables) more.
			const isFixedTop = n === config.topLevel && !this.growsTop;
			const bits = isFixedTop ? Math.max(0, this.vaBits - level.itemLg2) : level.indexBits;
			return new TreeLevel(level, format.granuleLg2, bits);
		});
		this.topFrame = this.allocate(this.topLevel);
		this.topWords = memory.tableAt(this.topFrame);
		this.leafWords = this.topWords;
		this.#updateRange();
	}

	/** pt_check_range() */
	inRange(va: number, last: number): boolean {
		return last <= this.#lowLast || va >= this.#highFirst;
	}

	/** The address that item 0 of the top translates, seen from `va`: with sign extension there are two. */
	topVa(va: number): number {
		return va >= this.#highFirst ? this.spaceFrames - 2 ** (this.vaBits - this.format.granuleLg2) : 0;
	}

	/** The first and last address that translates once the top is as high as it may be. */
	get aperture(): { first: number; last: number } {
		return { first: 0, last: 2 ** (this.vaBits - (this.signExtend ? 1 : 0) - this.format.granuleLg2) - 1 };
	}

	/** Walks to the leaf that translates `va`, and says if there is one. */
	find(va: number): boolean {
		if (!this.inRange(va, va)) return false;
		const { memory, levels } = this;
		const shift = this.#addressShift;
		let words = this.topWords;
		for (let number = this.topLevel; ; number--) {
			const level = levels[number]!;
			const at = ((va * level.itemsPerFrame) & level.indexMask) << 1;
			const low = words[at]!;
			if ((low & level.tableMask) !== level.tableValue) {
				this.leafWords = words;
				this.leafAt = at;
				this.leafLevel = number;
				return (low & level.emptyMask) !== level.emptyValue;
			}
			words = memory.tableAt((words[at + 1]! << (32 - shift)) | (low >>> shift));
		}
	}

	/** Where `va` leads, -1 if nowhere. */
	translate(va: number): number {
		if (!this.find(va)) return -1;
		const low = this.leafWords[this.leafAt]!;
		const high = this.leafWords[this.leafAt + 1]!;
		const frame = this.format.leafFrame(this.leafLevel, low, high);
		const size = this.format.leafSize(this.leafLevel, low, high);
		return size === 0 ? frame : frame + (va - alignDown(va, size));
	}

	/** The item of a table of this level that `va` falls into. */
	indexOf(va: number, level: number): number {
		const { itemsPerFrame, indexMask } = this.levels[level]!;
		return (va * itemsPerFrame) & indexMask;
	}

	/** The table that an entry points to. */
	tableFrame(words: Uint32Array, index: number): number {
		return (words[2 * index + 1]! << (32 - this.#addressShift)) | (words[2 * index]! >>> this.#addressShift);
	}

	tableBelow(words: Uint32Array, index: number): Uint32Array {
		return this.memory.tableAt(this.tableFrame(words, index));
	}

	isTable(words: Uint32Array, index: number, level: number): boolean {
		const { tableMask, tableValue } = this.levels[level]!;
		return (words[2 * index]! & tableMask) === tableValue;
	}

	isEmpty(words: Uint32Array, index: number, level: number): boolean {
		const { emptyMask, emptyValue } = this.levels[level]!;
		return (words[2 * index]! & emptyMask) === emptyValue;
	}

	/** The first item from `from` to before `to` that is not empty; `to` if all are. */
	firstInUse(words: Uint32Array, from: number, to: number, level: number): number {
		const { emptyMask: mask, emptyValue: value } = this.levels[level]!;
		let index = from;
		for (let at = 2 * from; index + 4 <= to; index += 4, at += 8) {
			const differences =
				(words[at]! ^ value) | (words[at + 2]! ^ value) | (words[at + 4]! ^ value) | (words[at + 6]! ^ value);
			if ((differences & mask) !== 0) break;
		}
		while (index < to && (words[2 * index]! & mask) === value) index++;
		return index;
	}

	/** Makes items from `from` to before `to` empty. */
	clear(words: Uint32Array, from: number, to: number, level: number): void {
		words.fill(0, 2 * from, 2 * to);
		const { emptyValue } = this.levels[level]!;
		if (emptyValue !== 0) for (let index = from; index < to; index++) words[2 * index] = emptyValue;
	}

	/** A table of empty items. @throws ENOMEM */
	allocate(level: number): number {
		const { items, tableBytesLg2, emptyValue } = this.levels[level]!;
		// Hardware takes the address of a top in frames, however few items it has.
		const bytesLg2 = level === this.topLevel ? Math.max(tableBytesLg2, TABLE_FRAME_LG2) : tableBytesLg2;
		const frame = this.memory.allocate(bytesLg2);
		if (emptyValue !== 0) this.clear(this.memory.tableAt(frame), 0, items, level);
		return frame;
	}

	/** Points an item at a table of the level below. */
	storeTable(words: Uint32Array, index: number, level: number, frame: number): void {
		const { tableLow, tableHigh } = this.levels[level]!;
		words[2 * index] = (frame << this.#addressShift) | tableLow;
		words[2 * index + 1] = (frame >>> (32 - this.#addressShift)) | tableHigh;
	}

	/** Frees a table and all tables below it, whatever they hold. */
	freeTables(frame: number, level: number): void {
		if (level > 0) {
			const words = this.memory.tableAt(frame);
			for (let index = 0; index < this.levels[level]!.items; index++)
				if (this.isTable(words, index, level)) this.freeTables(this.tableFrame(words, index), level - 1);
		}
		this.memory.free(frame);
	}

	/**
	 * Raises the top until it covers the range and can hold a leaf of that level: increase_top().
	 * Each new top has the old one at its item 0.
	 * @throws ERANGE if no top does, ENOMEM
	 */
	growTop(va: number, last: number, leafLevel: number): void {
		if (last <= this.#lowLast && leafLevel <= this.topLevel) return;
		let level = this.topLevel;
		while (last > this.#lastCoveredBy(level) || leafLevel > level) {
			level++;
			if (level >= this.levels.length || this.format.levels[level]!.itemLg2 >= this.vaBits)
				throw this.outOfRange(va, last);
		}
		const added: number[] = [];
		try {
			for (let n = this.topLevel + 1; n <= level; n++) added.push(this.memory.allocate(TABLE_FRAME_LG2));
		} catch (error) {
			for (const frame of added) this.memory.free(frame);
			throw error;
		}
		for (const frame of added) {
			this.topWords = this.memory.tableAt(frame);
			this.storeTable(this.topWords, 0, ++this.topLevel, this.topFrame);
			this.topFrame = frame;
		}
		this.#updateRange();
		this.#topChanged?.();
	}

	/** pt_pgsz_lg2_to_level(): the highest level at which one item is not larger than the page. */
	levelOfSize(size: number): number {
		const { levels } = this;
		let level = 0;
		while (level + 1 < levels.length && levels[level + 1]!.itemSize <= size) level++;
		return level;
	}

	checkLength(va: number, count: number): void {
		if (count === 0) throw new Errno("EINVAL", `a range of no length at iova ${this.address(va)}`);
		if (va + count > this.spaceFrames)
			throw new Errno(
				"EOVERFLOW",
				`iova ${this.address(va)} and ${this.address(count)} bytes from it on wrap around 2^64`,
			);
	}

	outOfRange(va: number, last: number): Errno {
		const reach = this.growsTop ? this.vaBits : `${this.vaBits}${this.signExtend ? ", sign-extended" : ""}`;
		return new Errno(
			this.format.outOfRange,
			`iova ${this.address(va)} to ${this.address(last)} is outside the ${reach} bits that this ${this.format.name} table translates`,
		);
	}

	/** A frame as people write it, in bytes. */
	address(frame: number): string {
		return hex(BigInt(frame) << BigInt(this.format.granuleLg2));
	}

	/** The last frame that a tree with its top at this level translates. */
	#lastCoveredBy(level: number): number {
		const { itemSize, items } = this.levels[level]!;
		const reach = 2 ** itemSize * items;
		const space = 2 ** (this.vaBits - this.format.granuleLg2);
		return Math.min(reach, space) - 1;
	}

	#updateRange(): void {
		this.#lowLast = this.#lastCoveredBy(this.topLevel);
		if (!this.signExtend) return;
		const half = 2 ** (this.vaBits - 1 - this.format.granuleLg2);
		this.#lowLast = half - 1;
		this.#highFirst = this.spaceFrames - half;
	}
}

/** pt_iommu_init() and the formats' pt_iommu_fmt_init(): what a table can't be made with. */
function checkedVaBits(format: Format, config: TreeConfig): number {
	const { vaBits, paBits, topLevel, growsTop, signExtend } = config;
	if (vaBits <= format.granuleLg2 || vaBits > format.maxVaBits)
		throw new Errno("EINVAL", `${format.name} translates up to ${format.maxVaBits} bits of iova, not ${vaBits}`);
	if (paBits <= format.granuleLg2 || paBits > format.maxPaBits)
		throw new Errno("EINVAL", `${format.name} puts out up to ${format.maxPaBits} bits of address, not ${paBits}`);
	if (topLevel < format.lowestTopLevel || topLevel >= format.levels.length)
		throw new Errno(
			format.narrowsToTop ? "EINVAL" : "EOPNOTSUPP",
			`the top of a ${format.name} table is at level ${format.lowestTopLevel} to ${format.levels.length - 1}, not ${topLevel}`,
		);
	if (signExtend && (growsTop || vaBits === 64))
		throw new Errno("EINVAL", `sign extension needs a table that can't grow and fewer than 64 bits of iova`);
	if (growsTop || topLevel === format.levels.length - 1) return vaBits;
	const top = format.levels[topLevel]!;
	const covered = top.itemLg2 + top.indexBits;
	if (format.narrowsToTop) return Math.min(covered, vaBits);
	if (vaBits > covered + format.concatenatedTopsLg2)
		throw new Errno(
			"EOPNOTSUPP",
			`a ${format.name} table with its top at level ${topLevel} covers ${covered} bits of iova, not ${vaBits}`,
		);
	return vaBits;
}
