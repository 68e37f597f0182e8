// VT-d's second stage: 3, 4 or 5 levels that are not x86-64's, because each entry has permissions and no present bit.
// Intel Virtualization Technology for Directed I/O, 3.7 "Second-Stage Translation" and 9.8 "Second-Stage Paging Entries".
// Linux: drivers/iommu/generic_pt/fmt/vtdss.h.

import { Errno } from "../../uapi/errno.js";
import { FORCE_COHERENCE, type Format, READ, WRITE } from "../format.js";
import { bitNames, storePages } from "./entries.js";
import { x86Level } from "./x86-levels.js";

// Low word
const R = 1 << 0; // read
const W = 1 << 1; // write
const PS = 1 << 7; // page size: a leaf above level 0
const A = 1 << 8; // accessed
const D = 1 << 9; // dirty
const SNP = 1 << 11; // snoop: coherent whatever the device asks for
const ADDRESS_SHIFT = 12;
// High word
const ADDRESS_HIGH = 0xfffff; // address bits 51:32

const bits = { present: R | W, pageSize: PS, table: R | W };

export const vtdSecondStage: Format = {
	name: "VT-d second stage",
	granuleLg2: 12,
	levels: ["SS-PTE", "SS-PDE", "SS-PDPTE", "SS-PML4E", "SS-PML5E"].map((name, number) => x86Level(name, number, bits)),
	lowestTopLevel: 2,
	maxVaBits: 57,
	maxPaBits: 52,
	address: { shift: ADDRESS_SHIFT, highMask: ADDRESS_HIGH, wideMask: 0 },
	tableAddressShift: ADDRESS_SHIFT,
	dirty: { mask: D, dirty: D, clean: 0, trackedIfHigh: 0, shiftsLeaves: false },
	accessed: A,
	contiguous: undefined,
	narrowsToTop: false,
	concatenatedTopsLg2: 0,
	alreadyMapped: "EADDRINUSE",
	needsPermission: true,
	outOfRange: "ERANGE",

	checkProtection() {},

	storeLeaves(words, index, leaves, level, size, frame, protection) {
		let low = 0;
		if (protection & READ) low |= R;
		if (protection & WRITE) low |= W;
		if (protection & FORCE_COHERENCE) low |= SNP;
		if (level > 0) low |= PS;
		storePages(words, index, leaves, size, frame, ADDRESS_SHIFT, low, 0);
	},

	leafProtection: (_level, low) => (low & R ? READ : 0) | (low & W ? WRITE : 0),

	describe(_level, low) {
		return bitNames(low, [
			[R, "R"],
			[W, "W"],
			[PS, "PS"],
			[A, "A"],
			[D, "D"],
			[SNP, "SNP"],
		]).join(" ");
	},
};

/**
 * The same on Sapphire Rapids, as the parent of a nested domain: erratum 772415 lets the hardware write through pages that
 * are read-only in the second stage (PT_FEAT_VTDSS_FORCE_WRITEABLE).
 */
export const vtdSecondStageForceWriteable: Format = {
	...vtdSecondStage,

	checkProtection(protection) {
		if (!(protection & WRITE))
			throw new Errno(
				"EINVAL",
				"a read-only mapping in the parent of a nested domain: this VT-d unit could write through it (erratum 772415)",
				"erratum-772415",
			);
	},
};
