// A first stage: page tables that a guest keeps in its own memory, and what an architecture says of their entries.
// first-stage-walk.ts walks them.

import type { Format } from "../../pagetable/pagetable.js";
import type { TableLevel } from "../../pagetable/table-level.js";
import type { FaultKind } from "./dma-fault.js";

/** One entry of a table. The lower half is `low`. */
export interface Entry {
	readonly level: number;
	readonly low: number;
	readonly high: number;
	readonly isLeaf: boolean;
}

/** Why an entry that is present can't be used. */
export interface Objection {
	readonly kind: FaultKind;
	readonly reason: string;
}

/** What an architecture has to say about entries, beyond where their bits are. */
export interface EntryRules {
	/** @returns undefined for an entry that can be used */
	objection(entry: Entry): Objection | undefined;
	/** What it permits to whatever is below it: READ, WRITE. */
	permits(entry: Entry): number;
	/** The bit by which an entry that isn't present is known: "P is 0". */
	readonly absence: string;
	/** The bit by which an entry refuses an access that permits() refuses: "R/W is 0". */
	refusal(entry: Entry, write: boolean): string;
	/** The lower half as the IOMMU leaves it behind after an access that is permitted. */
	marked(entry: Entry, write: boolean): number;
	/** Whether a leaf that the IOMMU left so need not be marked again when it is written through. */
	isDirty(entry: Entry): boolean;
	/** Whether a leaf is there for all address spaces of the guest. */
	isGlobal(entry: Entry): boolean;
}

/** Where a first stage is, and how it is to be read. */
export interface FirstStage {
	readonly format: Format;
	/** levelsOf() the format. */
	readonly levels: readonly TableLevel[];
	readonly topLevel: number;
	/** The top table, guest-physical, in bytes. */
	readonly root: number;
	/** Tags what is cached of it. */
	readonly asid: number;
	readonly rules: EntryRules;
	/**
	 * A page of 4 KiB as the tables translate it: without what is only there as an extension of the address.
	 * @returns -1 if they can't
	 */
	inputPage(page: number): number;
	/** Bits of an address that may come out, and how many frames of the format there are below that. */
	readonly outputBits: number;
	readonly outputFrames: number;
	/** "48 bits, sign-extended" */
	readonly inputInWords: string;
}
