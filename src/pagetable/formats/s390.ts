// The I/O translation tables of a PCI function on s390: region, segment and page tables like the CPU's, but with 2 KiB page
// tables of 256 entries and nothing larger than a page of 4 KiB: Linux maps no segment of 1 MiB.
// z/Architecture Principles of Operation, "Dynamic Address Translation" (region-, segment- and page-table entries).
// Linux: arch/s390/include/asm/pci_dma.h, drivers/iommu/s390-iommu.c. An entry is meant as a number: a real s390 has it in
// memory with the highest byte first.

import { type Format, type Level, READ, WRITE } from "../format.js";
import { bitNames, storePages } from "./entries.js";

// All of these are in the low word. The Principles of Operation count bits from the left: I is bit 58, P bit 54.
const REGION_LENGTH = 0x3; // table length TL: all 2048 entries
const TABLE_TYPE = 0xc; // TT
const TABLE_INVALID = 0x20; // I of a region- or segment-table entry
const PROTECTED = 0x200; // P
const PTE_INVALID = 0x400; // I of a page-table entry
const ADDRESS_SHIFT = 12;
const ADDRESS_HIGH = -1; // address bits 63:32

const TABLE_TYPES = { segment: 0x0, regionThird: 0x4, regionSecond: 0x8, regionFirst: 0xc };

const page: Level = {
	entryName: "page-table entry",
	itemLg2: 12,
	indexBits: 8,
	leafSizes: 1n << 12n,
	empty: { mask: PTE_INVALID, value: PTE_INVALID },
};

function region(entryName: string, itemLg2: number, tableType: number, length: number): Level {
	return {
		entryName,
		itemLg2,
		indexBits: 11,
		leafSizes: 0n,
		empty: { mask: TABLE_INVALID, value: TABLE_INVALID },
		table: { mask: TABLE_INVALID | TABLE_TYPE, value: tableType },
		tableBits: [tableType | length, 0],
	};
}

export const s390: Format = {
	name: "s390",
	granuleLg2: 12,
	levels: [
		page,
		region("segment-table entry", 20, TABLE_TYPES.segment, 0),
		region("region-third-table entry", 31, TABLE_TYPES.regionThird, REGION_LENGTH),
		region("region-second-table entry", 42, TABLE_TYPES.regionSecond, REGION_LENGTH),
		region("region-first-table entry", 53, TABLE_TYPES.regionFirst, REGION_LENGTH),
	],
	// The I/O translation anchor may point to a region-third table at least: 42 bits of address.
	lowestTopLevel: 2,
	maxVaBits: 64,
	maxPaBits: 64,
	address: { shift: ADDRESS_SHIFT, highMask: ADDRESS_HIGH, wideMask: 0 },
	tableAddressShift: ADDRESS_SHIFT,
	dirty: undefined,
	accessed: 0,
	contiguous: undefined,
	narrowsToTop: false,
	concatenatedTopsLg2: 0,
	// Linux warns and overwrites what is mapped already: its caller never lets it come to that.
	alreadyMapped: "EADDRINUSE",
	// The driver looks at IOMMU_WRITE only.
	needsPermission: false,
	outOfRange: "EINVAL",

	/** Every page can be read, even one that is mapped for nothing: the format has no bit against it. */
	checkProtection() {},

	storeLeaves(words, index, leaves, _level, size, frame, protection) {
		storePages(words, index, leaves, size, frame, ADDRESS_SHIFT, protection & WRITE ? 0 : PROTECTED, 0);
	},

	leafProtection: (_level, low) => (low & PROTECTED ? READ : READ | WRITE),

	describe(level, low) {
		if (level === 0) return low & PROTECTED ? "I=0 P=1" : "I=0 P=0";
		const names = bitNames(low, [[PROTECTED, "P"]]);
		return [`I=0 TT=${(low & TABLE_TYPE) >>> 2} TL=${low & REGION_LENGTH}`, ...names].join(" ");
	},
};
