// What a page table format is to the engine: where its bits are. The engine (tree, map, unmap, dirty) has no `if` for any
// format; it tests the masks below, so that a walk makes no call per level, and calls a format once per run of leaves.

import { highWord, lowWord } from "./bits.js";

/** What a mapping permits, in the bits of include/linux/iommu.h. */
export const READ = 1;
export const WRITE = 2;
/** DMA is coherent with the CPU's caches. */
export const CACHE = 4;
export const NOEXEC = 8;
/** Device registers, not memory: a doorbell. */
export const MMIO = 16;
/** Only for privileged accesses. */
export const PRIV = 32;
/** Not Linux's: the table was made to force snooping (PT_FEAT_AMDV1_FORCE_COHERENCE, PT_FEAT_VTDSS_FORCE_COHERENCE). */
export const FORCE_COHERENCE = 256;

/** Bits of the low word of an entry: the entry is of a kind when (low & mask) === value. */
export interface Pattern {
	readonly mask: number;
	readonly value: number;
}

/** One level of tables. Level 0 holds only leaves, as in Linux's generic_pt; specifications count in many ways. */
export interface Level {
	/** An entry of this level in the specification's words: "PML4E", "region-third-table entry". */
	readonly entryName: string;
	/** One item of a table covers 2^itemLg2 bytes of address space. */
	readonly itemLg2: number;
	/** A table has 2^indexBits items of 8 bytes; at the top, as many as the address space needs. */
	readonly indexBits: number;
	/** The sizes in bytes that a leaf may have here, a bitmap; larger than an item means several items in a row. */
	readonly leafSizes: bigint;
	readonly empty: Pattern;
	/** An entry that points to a table of the level below: absent at level 0. */
	readonly table?: Pattern;
	/** What such an entry holds besides the address: low word, high word. */
	readonly tableBits?: readonly [low: number, high: number];
}

/** How the hardware marks a leaf through which a write went: one bit of the low word. */
export interface DirtyBits {
	readonly mask: number;
	/** The bit's value in a leaf that was written to, and in one that was not. */
	readonly dirty: number;
	readonly clean: number;
	/** The hardware keeps track only of leaves that have these bits of the high word. */
	readonly trackedIfHigh: number;
}

/** An item is one of several that form a leaf when (word & mask) === mask. Word 0 is bits 31:0, word 1 bits 63:32. */
export interface ContiguousMark {
	readonly word: 0 | 1;
	readonly mask: number;
}

/** Addresses and sizes are in frames: granules of the format. A size is the lg2 of a number of frames. */
export interface Format {
	/** The specification's name for it. */
	readonly name: string;
	readonly granuleLg2: number;
	/** From level 0 up. The highest is the highest that the top may be at. */
	readonly levels: readonly Level[];
	readonly lowestTopLevel: number;
	readonly maxVaBits: number;
	readonly maxPaBits: number;
	/** Bit of an entry at which bit 12 of a lower table's address stands. */
	readonly tableAddressShift: number;
	/** Absent where a leaf is always one item. */
	readonly contiguous?: ContiguousMark;
	/** Absent where Linux can't track dirty pages with the format. */
	readonly dirty?: DirtyBits;
	/** Bits of the low word that the hardware sets on any access through a leaf; 0 where there are none. */
	readonly accessed: number;
	/** A table that can't grow narrows the address space to what its top covers; else a top that small is an error. */
	readonly narrowsToTop: boolean;
	/** Up to 2^this tables may stand side by side as one larger top: Arm's concatenated tables. */
	readonly concatenatedTopsLg2: number;
	/** What a driver of this format answers. generic_pt says EADDRINUSE and ERANGE. */
	readonly alreadyMapped: "EADDRINUSE" | "EEXIST";
	readonly outOfRange: "ERANGE" | "EINVAL";

	/** @throws the errno for a protection that the format can't express */
	checkProtection(protection: number): void;

	/** Writes `leaves` leaves of 2^size frames each, which map consecutive memory from `frame` on, to items from `index` on. */
	storeLeaves(
		words: Uint32Array,
		index: number,
		leaves: number,
		level: number,
		size: number,
		frame: number,
		protection: number,
	): void;

	/** The first frame that a leaf maps to, from any of its items. */
	leafFrame(level: number, low: number, high: number): number;
	leafSize(level: number, low: number, high: number): number;
	/** What a leaf permits: READ, WRITE. */
	leafProtection(level: number, low: number, high: number): number;
	/** An entry's bits by name, for people: "PR NextLevel=2 IR IW". */
	describe(level: number, low: number, high: number): string;
}

/**
 * The loop inside storeLeaves: 64-bit entries that differ by `step`, each written to `items` items in a row.
 * The low words carry into the high ones.
 */
export function storeEntries(
	words: Uint32Array,
	index: number,
	entries: number,
	items: number,
	low: number,
	high: number,
	step: number,
): void {
	const stepLow = lowWord(step);
	const stepHigh = highWord(step);
	let at = 2 * index;
	if (items === 1) {
		for (const end = at + 2 * entries; at < end; at += 2) {
			words[at] = low;
			words[at + 1] = high;
			low = (low + stepLow) | 0;
			high = (high + stepHigh) | 0;
			if (low >>> 0 < stepLow >>> 0) high++;
		}
		return;
	}
	for (let entry = 0; entry < entries; entry++) {
		let item = items;
		do {
			words[at] = low;
			words[at + 1] = high;
			at += 2;
		} while (--item !== 0);
		low = (low + stepLow) | 0;
		high = (high + stepHigh) | 0;
		if (low >>> 0 < stepLow >>> 0) high++;
	}
}

/** The names of the bits that are set. */
export function bitNames(word: number, names: readonly (readonly [mask: number, name: string])[]): string[] {
	return names.filter(([mask]) => (word & mask) === mask).map(([, name]) => name);
}
