// What an SMMU reads in the entries of a guest's stage 1. Requests are unprivileged, as those of PCI devices are.
// Arm ARM (DDI 0487) D8.3 "Translation table descriptor formats", D8.4 "Memory access control", D8.5 "Hardware updates to the
// translation tables"; SMMUv3 (IHI 0070) 3.13 "Translation table entries and Access/Dirty flags".

import { READ, WRITE } from "../../../pagetable/pagetable.js";
import type { Entry, EntryRules, Objection } from "../../translation/first-stage.js";

// Low word
const TYPE = 3;
const BLOCK = 1;
const AP_UNPRIVILEGED = 1 << 6; // AP[1]
const AP_READ_ONLY = 1 << 7; // AP[2]
const AF = 1 << 10;
const nG = 1 << 11;
// High word
const DBM = 1 << (51 - 32);
const APTABLE_NO_UNPRIVILEGED = 1 << (61 - 32); // APTable[0]
const APTABLE_READ_ONLY = 1 << (62 - 32); // APTable[1]

export interface Stage1Options {
	/** CD.HA, CD.HD, as far as SMMU_IDR0.HTTU goes. */
	readonly setsAccessed: boolean;
	readonly setsDirty: boolean;
	/** Not CD.AFFD. */
	readonly faultsOnAccess: boolean;
	/** CD.HAD0, CD.HAD1: tables say nothing about permissions. */
	readonly ignoresTables: boolean;
}

export class Stage1Rules implements EntryRules {
	readonly absence = "bit 0 is 0, so it is not valid";
	readonly #options: Stage1Options;

	constructor(options: Stage1Options) {
		this.#options = options;
	}

	objection({ level, low, isLeaf }: Entry): Objection | undefined {
		if (!isLeaf) return undefined;
		if (level === 0 && (low & TYPE) === BLOCK)
			return { kind: "not-present", reason: "is a block, which the last level doesn't have" };
		if (!(low & AF) && !this.#options.setsAccessed && this.#options.faultsOnAccess)
			return { kind: "access-flag", reason: "has no AF, and neither CD.HA nor CD.AFFD helps" };
		return undefined;
	}

	permits(entry: Entry): number {
		const { low, high, isLeaf } = entry;
		if (isLeaf) {
			if (!(low & AP_UNPRIVILEGED)) return 0;
			return low & AP_READ_ONLY && !this.#isClean(entry) ? READ : READ | WRITE;
		}
		if (this.#options.ignoresTables) return READ | WRITE;
		if (high & APTABLE_NO_UNPRIVILEGED) return 0;
		return high & APTABLE_READ_ONLY ? READ : READ | WRITE;
	}

	refusal({ low, high, isLeaf }: Entry): string {
		if (isLeaf) return low & AP_UNPRIVILEGED ? "AP[2] is 1" : "AP[1] is 0";
		return high & APTABLE_NO_UNPRIVILEGED ? "APTable[0] is 1" : "APTable[1] is 1";
	}

	marked(entry: Entry, write: boolean): number {
		let { low } = entry;
		if (!entry.isLeaf) return low;
		if (this.#options.setsAccessed) low |= AF;
		if (write && this.#isClean(entry)) low &= ~AP_READ_ONLY;
		return low;
	}

	isDirty(entry: Entry): boolean {
		return !this.#isClean(entry);
	}

	isGlobal({ low }: Entry): boolean {
		return (low & nG) === 0;
	}

	/** It may be written, and says AP[2] only until that happens. */
	#isClean({ low, high }: Entry): boolean {
		return this.#options.setsDirty && (high & DBM) !== 0 && (low & AP_READ_ONLY) !== 0;
	}
}
