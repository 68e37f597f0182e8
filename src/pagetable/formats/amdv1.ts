// The AMD IOMMU's own page table, "v1": up to six levels that the table may grow into, and leaves of any power of two.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.3 "I/O Page Tables for Host Translations".
// The specification's level n (Mode, Next Level) is our level n - 1. Linux: drivers/iommu/generic_pt/fmt/amdv1.h.

import { highWord, lowWord, powerOfTwo } from "../bits.js";
import { type ContiguousLeaves, FORCE_COHERENCE, type Format, type Level, READ, WRITE } from "../format.js";
import { bitNames, storeEntries } from "./entries.js";

// Low word
const PR = 1 << 0; // present
const A = 1 << 5; // accessed
const D = 1 << 6; // dirty
const NextLevel_SHIFT = 9;
const NextLevel = 7 << NextLevel_SHIFT;
const ADDRESS_SHIFT = 12;
const ADDRESS_UNIT = 2 ** ADDRESS_SHIFT;
// High word
const FC = 1 << (60 - 32); // force coherent
const IR = 1 << (61 - 32); // read permission
const IW = 1 << (62 - 32); // write permission
const ADDRESS_HIGH = 0xfffff; // address bits 51:32

/** Next Level of a leaf whose size is the item's, and of one whose size is encoded in its address. */
const PAGE = 0;
const SIZED_PAGE = 7;

/** 512 GiB pages are left out because of a hardware bug. */
const SIZE_512G = 1n << 39n;

const BITS_PER_LEVEL = 9;

/** Table 15: every size from an item's up to half a table; the address field ends at bit 51. */
function leafSizes(itemLg2: number): bigint {
	const last = Math.min(51, itemLg2 + BITS_PER_LEVEL - 1);
	const below = (lg2: number) => (1n << BigInt(lg2)) - 1n;
	return below(last + 1) & ~below(itemLg2) & ~SIZE_512G;
}

function level(number: number, granuleLg2: number, indexBits: number, mayHoldLeaves: boolean): Level {
	const itemLg2 = granuleLg2 + BITS_PER_LEVEL * number;
	const leaves = {
		entryName: `level ${number + 1} PTE`,
		itemLg2,
		indexBits,
		leafSizes: mayHoldLeaves ? leafSizes(itemLg2) : 0n,
		empty: { mask: PR, value: 0 },
	};
	if (number === 0) return leaves;
	const nextLevel = number << NextLevel_SHIFT;
	// Permissions of all levels are ANDed, and the leaf's alone are to count: a table permits everything.
	return { ...leaves, table: { mask: PR | NextLevel, value: PR | nextLevel }, tableBits: [PR | nextLevel, IR | IW] };
}

class AmdV1 implements Format {
	readonly name: string;
	readonly granuleLg2: number;
	readonly levels: readonly Level[];
	readonly lowestTopLevel = 1;
	readonly maxVaBits: number;
	readonly maxPaBits: number;
	readonly tableAddressShift: number;
	readonly contiguous: ContiguousLeaves = {
		low: NextLevel,
		high: 0,
		size: (low, high) => trailingOnes(low >>> ADDRESS_SHIFT, high & ADDRESS_HIGH) + 1,
	};
	readonly address = { shift: ADDRESS_SHIFT, highMask: ADDRESS_HIGH, wideMask: 0 };
	readonly dirty = { mask: D, dirty: D, clean: 0, trackedIfHigh: 0, shiftsLeaves: false };
	readonly accessed = A;
	readonly narrowsToTop = true;
	readonly concatenatedTopsLg2 = 0;
	readonly alreadyMapped = "EADDRINUSE";
	readonly needsPermission = true;
	readonly outOfRange = "ERANGE";

	constructor(name: string, granuleLg2: number, levels: readonly Level[], maxVaBits: number, maxPaBits: number) {
		this.name = name;
		this.granuleLg2 = granuleLg2;
		this.levels = levels;
		this.maxVaBits = maxVaBits;
		this.maxPaBits = maxPaBits;
		// The address field counts in granules.
		this.tableAddressShift = ADDRESS_SHIFT + 12 - granuleLg2;
	}

	checkProtection(): void {}

	storeLeaves(
		words: Uint32Array,
		index: number,
		leaves: number,
		level: number,
		size: number,
		frame: number,
		protection: number,
	): void {
		let high = 0;
		if (protection & FORCE_COHERENCE) high |= FC;
		if (protection & READ) high |= IR;
		if (protection & WRITE) high |= IW;
		const itemsLg2 = size - BITS_PER_LEVEL * level;
		// A leaf of several items says its size as a run of ones at the low end of its address: one bit fewer than its lg2.
		const nextLevel = itemsLg2 === 0 ? PAGE : SIZED_PAGE;
		const address = itemsLg2 === 0 ? frame : frame + (powerOfTwo(size - 1) - 1);
		const low = (lowWord(address) << ADDRESS_SHIFT) | (nextLevel << NextLevel_SHIFT) | PR;
		high |= highWord(address * ADDRESS_UNIT);
		storeEntries(words, index, leaves, 1 << itemsLg2, low, high, powerOfTwo(size + ADDRESS_SHIFT));
	}

	leafProtection(_level: number, _low: number, high: number): number {
		return (high & IR ? READ : 0) | (high & IW ? WRITE : 0);
	}

	describe(_level: number, low: number, high: number): string {
		return [
			...bitNames(low, [
				[PR, "PR"],
				[A, "A"],
				[D, "D"],
			]),
			`NextLevel=${(low & NextLevel) >>> NextLevel_SHIFT}`,
			...bitNames(high, [
				[FC, "FC"],
				[IR, "IR"],
				[IW, "IW"],
			]),
		].join(" ");
	}
}

/** How many ones the 40 bits of an address field end with: 20 of the low word, 20 of the high one. */
function trailingOnes(low20: number, high20: number): number {
	const zeros = ~low20 & 0xfffff;
	if (zeros !== 0) return 31 - Math.clz32(zeros & -zeros);
	return 20 + (31 - Math.clz32(~high20 & (high20 + 1)));
}

/** As AMD's IOMMUs have it. The top level translates bits 63:57 only, and has no leaves. */
export const amdv1: Format = new AmdV1(
	"AMDv1",
	12,
	[0, 1, 2, 3, 4, 5].map((n) => level(n, 12, n === 5 ? 7 : BITS_PER_LEVEL, n !== 5)),
	64,
	52,
);

/**
 * As CONFIG_IOMMUFD_TEST's mock driver has it: a granule of 2 KiB, smaller than a page, to find the places that take the
 * one for the other. Made with its top at level 2, it never grows.
 */
export const amdv1Mock: Format = new AmdV1(
	"AMDv1 mock",
	11,
	[0, 1, 2, 3, 4].map((n) => level(n, 11, BITS_PER_LEVEL, n !== 4)),
	56,
	51,
);
