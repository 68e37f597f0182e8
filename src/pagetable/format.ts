// What a page table format is to the engine: where its bits are. The engine (tree, map, unmap, dirty) has no `if` for any
// format; it tests the masks below, so that a walk makes no call per level, and calls a format once per run of leaves.

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
	/**
	 * How a range is read that begins inside of a leaf. generic_pt says where the leaf begins, io-pgtable-arm that it begins where the range does:
	 * see dirty-from-inside.ts.
	 */
	readonly shiftsLeaves: boolean;
}

/** Where a leaf has the number of the first frame that it maps to. */
export interface AddressField {
	/** The bit of the entry at which it begins. */
	readonly shift: number;
	/** The bits of the high word that belong to it, from bit 32 of the entry on. */
	readonly highMask: number;
	/** Arm's 64 KiB granule: the bits of the low word that are bits 51:48 of the address; else 0. */
	readonly wideMask: number;
}

/** Leaves of several items. */
export interface ContiguousLeaves {
	/** An item is one of several when it has all of these bits, in the low and in the high word. */
	readonly low: number;
	readonly high: number;
	/** How large the leaf is that an item belongs to. What its address has below that size is not part of it. */
	size(low: number, high: number): number;
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
	readonly address: AddressField;
	/** Bit of an entry at which bit 12 of a lower table's address stands. */
	readonly tableAddressShift: number;
	/** Undefined where a leaf is always one item. */
	readonly contiguous: ContiguousLeaves | undefined;
	/** Undefined where Linux can't track dirty pages with the format. */
	readonly dirty: DirtyBits | undefined;
	/** Bits of the low word that the hardware sets on any access through a leaf; 0 where there are none. */
	readonly accessed: number;
	/** A table that can't grow narrows the address space to what its top covers; else a top that small is an error. */
	readonly narrowsToTop: boolean;
	/** Up to 2^this tables may stand side by side as one larger top: Arm's concatenated tables. */
	readonly concatenatedTopsLg2: number;
	/** What a driver of this format answers. generic_pt says EADDRINUSE and ERANGE. */
	readonly alreadyMapped: "EADDRINUSE" | "EEXIST";
	readonly outOfRange: "ERANGE" | "EINVAL";

	/** Whether a mapping that permits neither reading nor writing is refused. */
	readonly needsPermission: boolean;

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

	/** What a leaf permits: READ, WRITE. */
	leafProtection(level: number, low: number, high: number): number;
	/** An entry's bits by name, for people: "PR NextLevel=2 IR IW". */
	describe(level: number, low: number, high: number): string;
}
