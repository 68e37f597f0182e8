// A first stage in the CPU's format, as VT-d and AMD's IOMMU read it in a guest's memory. Requests are those of a user: none
// of the devices here asks for privileges.
// Intel VT-d Architecture Specification 5.0, 3.6 "First-Stage Translation" and 9.7 "First-Stage Paging Entries";
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.6 "I/O Page Tables for Guest Translations".

import { x86_64 } from "../../pagetable/formats/x86-64.js";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { levelsOf } from "../../pagetable/table-level.js";
import type { Entry, EntryRules, FirstStage, Objection } from "../translation/first-stage.js";

// Low word of an entry
const RW = 1 << 1; // writable
const US = 1 << 2; // user
const A = 1 << 5; // accessed
const D = 1 << 6; // dirty
const PS = 1 << 7; // page size: a leaf above level 0
const EA = 1 << 10; // VT-d: extended accessed
/** Bits 51:12: what comes out, and where tables are. */
const OUTPUT_BITS = 52;
const ADDRESS_OF_TABLE = 0xf_ffff_ffff_f000n;

/** Of the 64-bit address space. */
const ALL_PAGES = 2 ** 52;

const LEVEL_PDE = 1;
const LEVEL_PDPTE = 2;

export interface GuestX86_64 {
	/** CR3, or what takes its place. */
	readonly root: bigint;
	readonly levels: 4 | 5;
	/** Whether the highest bit that is translated must be repeated above, rather than be followed by zeroes. */
	readonly signExtends: boolean;
	readonly has1GPages: boolean;
	/** VT-d's EAFE. */
	readonly extendedAccessed: boolean;
	readonly asid: number;
}

export function guestX86_64(guest: GuestX86_64): FirstStage {
	const bits = guest.levels * 9 + 12;
	const pages = 2 ** (bits - 12);
	const lowerPages = guest.signExtends ? pages / 2 : pages;
	return {
		format: x86_64,
		levels: levelsOf(x86_64),
		topLevel: guest.levels - 1,
		root: Number(guest.root & ADDRESS_OF_TABLE),
		asid: guest.asid,
		rules: new X86Rules(guest),
		outputBits: OUTPUT_BITS,
		outputFrames: 2 ** (OUTPUT_BITS - 12),
		inputInWords: `${bits} bits${guest.signExtends ? ", sign-extended" : ""}`,
		inputPage(page) {
			if (page < lowerPages) return page;
			const input = page - (ALL_PAGES - pages);
			return guest.signExtends && input >= lowerPages ? input : -1;
		},
	};
}

class X86Rules implements EntryRules {
	readonly absence = "P is 0";
	readonly #has1GPages: boolean;
	readonly #accessed: number;

	constructor({ has1GPages, extendedAccessed }: GuestX86_64) {
		this.#has1GPages = has1GPages;
		this.#accessed = extendedAccessed ? A | EA : A;
	}

	objection({ level, low }: Entry): Objection | undefined {
		if (level === 0 || !(low & PS)) return undefined;
		if (level > LEVEL_PDPTE) return malformed("has PS, which is reserved at this level");
		if (level === LEVEL_PDPTE && !this.#has1GPages) return malformed("has PS, and the IOMMU has no pages of 1 GiB");
		// Bit 12 is PAT. The address begins with bit 21 or 30.
		const reserved = (low >>> 13) & (level === LEVEL_PDE ? 0xff : 0x1ffff);
		if (reserved === 0) return undefined;
		return malformed(
			`is a large page with one of the bits ${level === LEVEL_PDE ? "20" : "29"}:13, which are reserved`,
		);
	}

	permits({ low }: Entry): number {
		if (!(low & US)) return 0;
		return low & RW ? READ | WRITE : READ;
	}

	refusal({ low }: Entry): string {
		return low & US ? "R/W is 0" : "U/S is 0";
	}

	marked({ low, isLeaf }: Entry, write: boolean): number {
		return low | this.#accessed | (isLeaf && write ? D : 0);
	}

	isDirty({ low }: Entry): boolean {
		return (low & D) !== 0;
	}

	/** G is ignored: VT-d and AMD tag what they cache of a first stage with its address space. */
	isGlobal(): boolean {
		return false;
	}
}

function malformed(reason: string): Objection {
	return { kind: "malformed", reason };
}
