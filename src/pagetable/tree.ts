// The tables of one page table: a radix tree in table memory, its top, and the walk from the top to a leaf.
// struct pt_common and pt_iter.h of Linux's generic_pt.

import { Errno, hex } from "../uapi/errno.js";
import { alignDown } from "./bits.js";
import type { Format, Level } from "./format.js";
import { SLAB_FRAMES_LG2, TABLE_FRAME_LG2, type TableMemory } from "./table-memory.js";

/** A level as a walk needs it: the format's bits, and the arithmetic of indexes. */
export interface TreeLevel {
	/** A table's items, which are 2^n, and its size in bytes. */
	readonly items: number;
	readonly indexMask: number;
	readonly tableBytesLg2: number;
	/** lg2 of the frames that an item covers, and that a table does. */
	readonly itemSize: number;
	readonly tableSize: number;
	/** The frames that an item covers, and the inverse: an exact power of two, so that a multiplication divides. */
	readonly itemFrames: number;
	readonly itemsPerFrame: number;
	/** Format's patterns for an empty item and for one that points to a table, and the bits of the latter. */
	readonly emptyMask: number;
	readonly emptyValue: number;
	readonly tableMask: number;
	readonly tableValue: number;
	readonly tableLow: number;
	readonly tableHigh: number;
}

function treeLevel(level: Level, granuleLg2: number, indexBits: number): TreeLevel {
	const itemSize = level.itemLg2 - granuleLg2;
	return {
		items: 1 << indexBits,
		indexMask: (1 << indexBits) - 1,
		tableBytesLg2: indexBits + 3,
		itemSize,
		tableSize: itemSize + indexBits,
		itemFrames: 2 ** itemSize,
		itemsPerFrame: 2 ** -itemSize,
		emptyMask: level.empty.mask,
		emptyValue: level.empty.value,
		tableMask: level.table?.mask ?? 0,
		tableValue: level.table?.value ?? 1, // matches nothing: level 0 has no tables below it
		tableLow: level.tableBits?.[0] ?? 0,
		tableHigh: level.tableBits?.[1] ?? 0,
	};
}

const SLAB_FRAME_MASK = (1 << SLAB_FRAMES_LG2) - 1;
const FRAME_WORDS_LG2 = TABLE_FRAME_LG2 - 2;

/** Frames of 64 KiB below 2^48. */
const WIDE_ADDRESS_UNIT = 2 ** (48 - 16);

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
	readonly #tableAddressShift: number;
	readonly #addressShift: number;
	readonly #addressHigh: number;
	readonly #addressHighUnit: number;
	readonly #addressWide: number;
	readonly #contiguousLow: number;
	readonly #contiguousHigh: number;

	topLevel: number;
	topFrame: number;
	topWords: Uint32Array;
	/** The top translates frames up to this one, and, with sign extension, from the other one on. */
	#lowLast = 0;
	#highFirst = Number.POSITIVE_INFINITY;

	/** Scratch of a mapping or unmapping under way: by level, the tables on its way. */
	readonly path: Uint32Array[] = [];
	/** What find() found: the item's level, the frame of its table, its index there, its two words. */
	leafLevel = 0;
	leafTable = 0;
	leafIndex = 0;
	leafLow = 0;
	leafHigh = 0;

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
		this.#tableAddressShift = format.tableAddressShift;
		this.#addressShift = format.address.shift;
		this.#addressHigh = format.address.highMask;
		this.#addressHighUnit = 2 ** (32 - format.address.shift);
		this.#addressWide = format.address.wideMask;
		this.#contiguousLow = format.contiguous?.low ?? 0;
		this.#contiguousHigh = format.contiguous?.high ?? 0;
		this.levels = format.levels.map((level, n) => {
			// A top that never grows has as many items as the address space needs: fewer, or (concatenated tables) more.
			const isFixedTop = n === config.topLevel && !this.growsTop;
			const bits = isFixedTop ? Math.max(0, this.vaBits - level.itemLg2) : level.indexBits;
			return treeLevel(level, format.granuleLg2, bits);
		});
		this.topFrame = this.allocate(this.topLevel);
		this.topWords = memory.tableAt(this.topFrame);
		this.#updateRange();
	}

	/** pt_check_range() */
	inRange(va: number, last: number): boolean {
		return last <= this.#lowLast || va >= this.#highFirst;
	}

	/** Counted from what item 0 of the top translates, an address of the upper half comes right after the lower half. */
	signExtended(counted: number): number {
		const half = this.#lowLast + 1;
		return this.signExtend && counted >= half ? counted + this.#highFirst - half : counted;
	}

	/** The first and last address that translates once the top is as high as it may be. */
	get aperture(): { first: number; last: number } {
		return { first: 0, last: 2 ** (this.vaBits - (this.signExtend ? 1 : 0) - this.format.granuleLg2) - 1 };
	}

	/** Walks to the leaf that translates `va`, and says if there is one. */
	find(va: number): boolean {
		if (!this.inRange(va, va)) return false;
		const { levels, topFrame } = this;
		const { slabs, baseFrame } = this.memory;
		const shift = this.#tableAddressShift;
		let frame = (topFrame - baseFrame) | 0;
		let slabNumber = frame >>> SLAB_FRAMES_LG2;
		let slab = slabs[slabNumber]!;
		for (let number = this.topLevel; ; number--) {
			const level = levels[number]!;
			const index = (va * level.itemsPerFrame) & level.indexMask;
			const at = ((frame & SLAB_FRAME_MASK) << FRAME_WORDS_LG2) + (index << 1);
			const low = slab[at]!;
			const high = slab[at + 1]!;
			if ((low & level.tableMask) !== level.tableValue) {
				this.leafLevel = number;
				this.leafTable = frame + baseFrame;
				this.leafIndex = index;
				this.leafLow = low | 0;
				this.leafHigh = high | 0;
				return (low & level.emptyMask) !== level.emptyValue;
			}
			frame = (((high << (32 - shift)) | (low >>> shift)) - baseFrame) | 0;
			// An `if`, not a plain look-up: the processor guesses that the slab is the same, and so need not wait for it.
			if (frame >>> SLAB_FRAMES_LG2 !== slabNumber) {
				slabNumber = frame >>> SLAB_FRAMES_LG2;
				slab = slabs[slabNumber]!;
			}
		}
	}

	/** Where `va` leads, -1 if nowhere. */
	translate(va: number): number {
		if (!this.find(va)) return -1;
		const { leafLevel: level, leafLow: low, leafHigh: high } = this;
		if (level === 0 && !this.isContiguous(low, high)) return this.#addressIn(low, high);
		const size = this.leafSize(level, low, high);
		return this.leafFrame(size, low, high) + (va - alignDown(va, size));
	}

	leafSize(level: number, low: number, high: number): number {
		return this.isContiguous(low, high) ? this.format.contiguous!.size(low, high) : this.levels[level]!.itemSize;
	}

	/** The first frame that a leaf of this size maps to, from any of its items. */
	leafFrame(size: number, low: number, high: number): number {
		return alignDown(this.#addressIn(low, high), size);
	}

	#addressIn(low: number, high: number): number {
		return (
			((high & this.#addressHigh) >>> 0) * this.#addressHighUnit +
			(low >>> this.#addressShift) +
			((low & this.#addressWide) >>> 12) * WIDE_ADDRESS_UNIT
		);
	}

	/** Is this item of a leaf one of several? */
	isContiguous(low: number, high: number): boolean {
		const lowMark = this.#contiguousLow;
		const highMark = this.#contiguousHigh;
		return (low & lowMark) === lowMark && (high & highMark) === highMark && (lowMark | highMark) !== 0;
	}

	/** The item of a table of this level that `va` falls into. */
	indexOf(va: number, level: number): number {
		const { itemsPerFrame, indexMask } = this.levels[level]!;
		return (va * itemsPerFrame) & indexMask;
	}

	/** The table that an entry points to. */
	tableFrame(words: Uint32Array, index: number): number {
		return (words[2 * index + 1]! << (32 - this.#tableAddressShift)) | (words[2 * index]! >>> this.#tableAddressShift);
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
		const end = 2 * to;
		let at = 2 * from;
		// Eight at a time: bits that are set here differ from those of an empty item in at least one of the eight.
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
	firstNoLeaf(words: Uint32Array, from: number, to: number, level: number): number {
		const { emptyMask: mask, emptyValue: value, tableMask, tableValue } = this.levels[level]!;
		const end = 2 * to;
		let at = 2 * from;
		// Bits that are set here differ from those of an empty item in all eight. There are only leaves and empty items at level 0.
		for (; level === 0 && at + 14 < end; at += 16) {
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
		words[2 * index] = (frame << this.#tableAddressShift) | tableLow;
		words[2 * index + 1] = (frame >>> (32 - this.#tableAddressShift)) | tableHigh;
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
