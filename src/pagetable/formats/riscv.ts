// Sv39, Sv48 and Sv57, which the RISC-V IOMMU walks as the CPU does: 3, 4 or 5 levels, leaves at each of them.
// The RISC-V Instruction Set Manual, volume II: 12.4 "Sv39", 12.5 "Sv48", 12.6 "Sv57"; chapters "Svnapot" (64 KiB leaves of
// 16 items) and "Svpbmt" (memory types). Linux: drivers/iommu/generic_pt/fmt/riscv.h.

import { highWord, lowWord, powerOfTwo } from "../bits.js";
import { CACHE, type Format, type Level, MMIO, NOEXEC, READ, WRITE } from "../format.js";
import { bitNames, storeEntries, storePages } from "./entries.js";

// Low word
const V = 1 << 0; // valid
const R = 1 << 1;
const W = 1 << 2;
const X = 1 << 3;
const U = 1 << 4; // user
const G = 1 << 5; // global
const A = 1 << 6; // accessed
const D = 1 << 7; // dirty
const PPN_SHIFT = 10;
// High word
const PPN_HIGH = 0x3fffff; // PPN bits 43:22, in bits 53:32
const PBMT_NC = 1 << (61 - 32); // memory that is not cached
const PBMT_IO = 1 << (62 - 32); // device registers
const N = 1 << (63 - 32); // naturally aligned power of two

/** Svnapot: 16 items, which the lowest bits of their PPN say as 1000. */
const NAPOT_SIZE = 4;
const NAPOT_ITEMS = 1 << NAPOT_SIZE;
const NAPOT_PPN = 0b1000;
const SIZE_64K = 1n << 16n;

export interface RiscvOptions {
	/** Has leaves of 64 KiB. */
	svnapot?: boolean;
	/** Says memory types in the entries. */
	svpbmt?: boolean;
}

function level(number: number, svnapot: boolean): Level {
	const itemLg2 = 12 + 9 * number;
	const leaves = {
		entryName: `level ${number} PTE`,
		itemLg2,
		indexBits: 9,
		leafSizes: (1n << BigInt(itemLg2)) | (svnapot && number === 0 ? SIZE_64K : 0n),
		empty: { mask: V, value: 0 },
	};
	if (number === 0) return leaves;
	return { ...leaves, table: { mask: V | R | W | X, value: V }, tableBits: [V, 0] };
}

/** The IOMMU's capabilities decide what an entry may say. The mode is the top's level: 2 is Sv39, 3 Sv48, 4 Sv57. */
export function riscv({ svnapot = false, svpbmt = false }: RiscvOptions = {}): Format {
	return {
		name: "RISC-V",
		granuleLg2: 12,
		levels: [0, 1, 2, 3, 4].map((number) => level(number, svnapot)),
		lowestTopLevel: 2,
		maxVaBits: 57,
		maxPaBits: 56,
		address: { shift: PPN_SHIFT, highMask: PPN_HIGH, wideMask: 0 },
		tableAddressShift: PPN_SHIFT,
		// Linux sets D in every page that may be written, and never reads it.
		dirty: undefined,
		accessed: A,
		contiguous: svnapot ? { low: 0, high: N, size: () => NAPOT_SIZE } : undefined,
		narrowsToTop: false,
		concatenatedTopsLg2: 0,
		alreadyMapped: "EADDRINUSE",
		needsPermission: true,
		outOfRange: "ERANGE",

		checkProtection() {},

		storeLeaves(words, index, leaves, level, size, frame, protection) {
			let low = V | A | U;
			if (protection & READ) low |= R;
			if (protection & WRITE) low |= W | R | D; // W without R is reserved
			if (!(protection & NOEXEC)) low |= X;
			let high = 0;
			if (svpbmt && protection & MMIO) high |= PBMT_IO;
			else if (svpbmt && !(protection & CACHE)) high |= PBMT_NC;

			if (size === 9 * level) {
				storePages(words, index, leaves, size, frame, PPN_SHIFT, low, high);
				return;
			}
			low |= (lowWord(frame) | NAPOT_PPN) << PPN_SHIFT;
			high |= highWord(frame * powerOfTwo(PPN_SHIFT)) | N;
			storeEntries(words, index, leaves, NAPOT_ITEMS, low, high, powerOfTwo(NAPOT_SIZE + PPN_SHIFT));
		},

		leafProtection: (_level, low) => (low & R ? READ : 0) | (low & W ? WRITE : 0),

		describe(_level, low, high) {
			const lowNames = bitNames(low, [
				[V, "V"],
				[R, "R"],
				[W, "W"],
				[X, "X"],
				[U, "U"],
				[G, "G"],
				[A, "A"],
				[D, "D"],
			]);
			const highNames = bitNames(high, [
				[PBMT_NC, "PBMT=NC"],
				[PBMT_IO, "PBMT=IO"],
				[N, "N"],
			]);
			return [...lowNames, ...highNames].join(" ");
		},
	};
}
