// The tables of one page table: a radix tree in table memory, its top, and the walk from the top to a leaf.
// struct pt_common and pt_iter.h of Linux's generic_pt.

import { Errno, hex } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";
import { alignDown } from "./bits.js";
import { type PageTableConfig, translatedBits } from "./config.js";
import type { Format } from "./format.js";
import { clearItems, isTable, storeTable, type TableLevel, tableFrame, tableLevel } from "./table-level.js";
import { SLAB_FRAMES_LG2, TABLE_FRAME_LG2, type TableMemory } from "./table-memory.js";

const SLAB_FRAME_MASK = (1 << SLAB_FRAMES_LG2) - 1;
const FRAME_WORDS_LG2 = TABLE_FRAME_LG2 - 2;

/** Frames of 64 KiB below 2^48: the unit of bits 51:48 of an address, which stand apart from the others. */
const WIDE_ADDRESS_UNIT = 2 ** (48 - 16);

export class Tree {
	readonly format: Format;
	readonly memory: TableMemory;
	readonly levels: readonly TableLevel[];
	readonly vaBits: number;
	readonly paBits: number;
	readonly growsTop: boolean;
	readonly signExtend: boolean;
	/** How many frames there are in the 64-bit address space, and below 2^paBits. */
	readonly spaceFrames: number;
	readonly outputFrames: number;
	readonly #topChanged: (() => void) | undefined;
	readonly #addressShift: number;
	readonly #addressHigh: number;
	readonly #addressHighUnit: number;
	readonly #addressWide: number;
	readonly #contiguousLow: number;
	readonly #contiguousHigh: number;
	readonly #emptyTables: Uint32Array[] = [];

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

	constructor(format: Format, config: PageTableConfig, memory: TableMemory) {
		this.format = format;
		this.memory = memory;
		this.growsTop = config.growsTop ?? false;
		this.signExtend = config.signExtend ?? false;
		this.topLevel = config.topLevel;
		this.paBits = config.paBits;
		this.vaBits = translatedBits(format, config);
		this.spaceFrames = 2 ** (64 - format.granuleLg2);
		this.outputFrames = 2 ** (config.paBits - format.granuleLg2);
		this.#topChanged = config.topChanged;
		this.#addressShift = format.address.shift;
		this.#addressHigh = format.address.highMask;
		this.#addressHighUnit = 2 ** (32 - format.address.shift);
		this.#addressWide = format.address.wideMask;
		this.#contiguousLow = format.contiguous?.low ?? 0;
		this.#contiguousHigh = format.contiguous?.high ?? 0;
		this.levels = format.levels.map((level, number) => {
			// A top that never grows has as many items as the address space needs: fewer, or (concatenated tables) more.
			const isFixedTop = number === config.topLevel && !this.growsTop;
			const bits = isFixedTop ? Math.max(0, this.vaBits - level.itemLg2) : level.indexBits;
			return tableLevel(format, number, bits);
		});
		this.topFrame = this.allocate(this.topLevel);
		this.topWords = memory.tableAt(this.topFrame);
		this.#updateRange();
	}

	/** The last address that translates once the top is as high as it may be; with sign extension, of the lower half. */
	get lastOfAperture(): number {
		return 2 ** (this.vaBits - (this.signExtend ? 1 : 0) - this.format.granuleLg2) - 1;
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

	/** Walks to the leaf that translates `va`, and says if there is one. */
	find(va: number): boolean {
		if (!this.inRange(va, va)) return false;
		const { levels } = this;
		const { slabs, baseFrame } = this.memory;
		let frame = (this.topFrame - baseFrame) | 0;
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
			const shift = level.tableAddressShift;
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
		if (level === 0 && !this.isContiguous(low, high)) return this.frameIn(low, high);
		const size = this.leafSize(level, low, high);
		return this.leafFrame(size, low, high) + (va - alignDown(va, size));
	}

	/** lg2 of the frames of a leaf, from any of its items. */
	leafSize(level: number, low: number, high: number): number {
		return this.isContiguous(low, high) ? this.format.contiguous!.size(low, high) : this.levels[level]!.itemSize;
	}

	/** The first frame that a leaf of this size maps to, from any of its items. */
	leafFrame(size: number, low: number, high: number): number {
		return alignDown(this.frameIn(low, high), size);
	}

	/** Is this item of a leaf one of several? */
	isContiguous(low: number, high: number): boolean {
		const lowMark = this.#contiguousLow;
		const highMark = this.#contiguousHigh;
		return (low & lowMark) === lowMark && (high & highMark) === highMark && (lowMark | highMark) !== 0;
	}

	/** The table that an item points to. */
	tableBelow(level: number, words: Uint32Array, index: number): Uint32Array {
		return this.memory.tableAt(tableFrame(this.levels[level]!, words, index));
	}

	/** A table of empty items. @throws ENOMEM */
	allocate(number: number): number {
		const level = this.levels[number]!;
		// Hardware takes the address of a top in frames, however few items it has.
		const isTop = number === this.topLevel;
		const frame = this.memory.allocate(isTop ? Math.max(level.tableBytesLg2, TABLE_FRAME_LG2) : level.tableBytesLg2);
		if (level.emptyValue !== 0) this.memory.tableAt(frame).set(this.#emptyItems(number));
		return frame;
	}

	/** The items of an empty table, where those aren't zeroes: to copy them is faster than to write one after the other. */
	#emptyItems(number: number): Uint32Array {
		let items = this.#emptyTables[number];
		if (items === undefined) {
			const level = this.levels[number]!;
			items = new Uint32Array(2 * level.items);
			clearItems(level, items, 0, level.items);
			this.#emptyTables[number] = items;
		}
		return items;
	}

	/** Frees the table that an item points to, and empties the item. What is below that table is not looked at. */
	freeTable(number: number, words: Uint32Array, index: number): void {
		const level = this.levels[number]!;
		this.memory.free(tableFrame(level, words, index));
		clearItems(level, words, index, index + 1);
	}

	/** Frees a table and all tables below it, whatever they hold. */
	freeTree(frame: number, number: number): void {
		if (number > 0) {
			const level = this.levels[number]!;
			const words = this.memory.tableAt(frame);
			for (let index = 0; index < level.items; index++)
				if (isTable(level, words, index)) this.freeTree(tableFrame(level, words, index), number - 1);
		}
		this.memory.free(frame);
		worked(this.levels[number]!.items >> 1);
	}

	/** pt_pgsz_lg2_to_level(): the highest level at which one item is not larger than the page. */
	levelOfSize(size: number): number {
		const { levels } = this;
		let level = 0;
		while (level + 1 < levels.length && levels[level + 1]!.itemSize <= size) level++;
		return level;
	}

	/**
	 * Raises the top until it covers the range and can hold a leaf of that level: increase_top().
	 * Each new top has the old one at its item 0.
	 * @throws ERANGE if no top does, ENOMEM
	 */
	growTop(va: number, last: number, leafLevel: number): void {
		if (last <= this.#lowLast && leafLevel <= this.topLevel) return;
		let newTop = this.topLevel;
		while (last > this.#lastCoveredBy(newTop) || leafLevel > newTop) {
			newTop++;
			if (newTop >= this.levels.length) throw this.outOfRange(va, last);
		}
		const added: number[] = [];
		try {
			while (this.topLevel + added.length < newTop) added.push(this.memory.allocate(TABLE_FRAME_LG2));
		} catch (error) {
			for (const frame of added) this.memory.free(frame);
			throw error;
		}
		for (const frame of added) {
			this.topLevel++;
			this.topWords = this.memory.tableAt(frame);
			storeTable(this.levels[this.topLevel]!, this.topWords, 0, this.topFrame);
			this.topFrame = frame;
		}
		this.#updateRange();
		this.#topChanged?.();
	}

	/** @throws EINVAL for no length, EOVERFLOW for an end beyond the 64-bit space */
	checkLength(va: number, count: number): void {
		if (count === 0) throw new Errno("EINVAL", `a range of no length at iova ${this.address(va)}`, "zero-length");
		if (va + count <= this.spaceFrames) return;
		const length = this.address(count);
		throw new Errno(
			"EOVERFLOW",
			`iova ${this.address(va)} and ${length} bytes from it on wrap around 2^64`,
			"overflow",
		);
	}

	outOfRange(va: number, last: number): Errno {
		const bits = this.signExtend ? `${this.vaBits} (sign-extended) bits` : `${this.vaBits} bits`;
		return new Errno(
			this.format.outOfRange,
			`iova ${this.address(va)} to ${this.address(last)} is outside the ${bits} that this ${this.format.name} table translates`,
			"iova-width",
		);
	}

	/** A frame as people write it, in bytes. */
	address(frame: number): string {
		return hex(BigInt(frame) << BigInt(this.format.granuleLg2));
	}

	/** The frame number that a leaf's item has. */
	frameIn(low: number, high: number): number {
		const frame = ((high & this.#addressHigh) >>> 0) * this.#addressHighUnit + (low >>> this.#addressShift);
		// Apart, so that the frames of all other formats stay integers to the engine of JavaScript.
		if (this.#addressWide === 0) return frame;
		return frame + ((low & this.#addressWide) >>> 12) * WIDE_ADDRESS_UNIT;
	}

	/** The last frame that a tree with its top at this level translates. */
	#lastCoveredBy(level: number): number {
		const { itemFrames, items } = this.levels[level]!;
		const space = 2 ** (this.vaBits - this.format.granuleLg2);
		return Math.min(itemFrames * items, space) - 1;
	}

	#updateRange(): void {
		this.#lowLast = this.#lastCoveredBy(this.topLevel);
		if (!this.signExtend) return;
		this.#lowLast = this.lastOfAperture;
		this.#highFirst = this.spaceFrames - (this.lastOfAperture + 1);
	}
}
