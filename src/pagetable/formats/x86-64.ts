// 4-level and 5-level paging of x86-64: VT-d's first stage, and the AMD IOMMU's guest tables ("v2").
// Intel SDM volume 3, 4.5 "4-Level Paging and 5-Level Paging"; VT-d specification 3.6 "First-Stage Translation" and 9.7
// "First-Stage Paging Entries"; AMD IOMMU specification (48882) 2.2.6 "I/O Page Tables for Guest Translations".
// VT-d sign-extends addresses and AMD's guest tables don't. Linux: drivers/iommu/generic_pt/fmt/x86_64.h.

import { type Format, READ, WRITE } from "../format.js";
import { bitNames, storePages } from "./entries.js";
import { x86Level } from "./x86-levels.js";

// Low word
const P = 1 << 0; // present
const RW = 1 << 1; // writable
const US = 1 << 2; // user: requests without PASID privilege
const A = 1 << 5; // accessed
const D = 1 << 6; // dirty
const PS = 1 << 7; // page size: a leaf above level 0
const ADDRESS_SHIFT = 12;
// High word
const ADDRESS_HIGH = 0xfffff; // address bits 51:32
const XD = 1 << (63 - 32); // execute disable

const bits = { present: P, pageSize: PS, table: P | RW | US | A };

export const x86_64: Format = {
	name: "x86-64",
	granuleLg2: 12,
	levels: ["PTE", "PDE", "PDPTE", "PML4E", "PML5E"].map((name, number) => x86Level(name, number, bits)),
	lowestTopLevel: 3,
	maxVaBits: 57,
	maxPaBits: 52,
	address: { shift: ADDRESS_SHIFT, highMask: ADDRESS_HIGH, wideMask: 0 },
	tableAddressShift: ADDRESS_SHIFT,
	// The hardware sets D, but Linux sets it first, in every page that may be written, so that the hardware need not.
	dirty: undefined,
	accessed: A,
	contiguous: undefined,
	narrowsToTop: false,
	concatenatedTopsLg2: 0,
	alreadyMapped: "EADDRINUSE",
	needsPermission: true,
	outOfRange: "ERANGE",

	/** Every page can be read: the format has no bit against it. */
	checkProtection() {},

	storeLeaves(words, index, leaves, level, size, frame, protection) {
		let low = P | US | A;
		if (protection & WRITE) low |= RW | D;
		if (level > 0) low |= PS;
		storePages(words, index, leaves, size, frame, ADDRESS_SHIFT, low, 0);
	},

	leafProtection: (_level, low) => (low & RW ? READ | WRITE : READ),

	describe(_level, low, high) {
		const lowNames = bitNames(low, [
			[P, "P"],
			[RW, "R/W"],
			[US, "U/S"],
			[A, "A"],
			[D, "D"],
			[PS, "PS"],
		]);
		return [...lowNames, ...bitNames(high, [[XD, "XD"]])].join(" ");
	},
};
