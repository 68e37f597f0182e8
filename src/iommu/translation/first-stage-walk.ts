// The walk of a first stage. Each table's address is guest-physical, so the second stage translates it before an entry is
// read, and translates what comes out in the end.
// VT-d 3.8 "Nested Translation"; AMD (48882) 2.2.6; SMMUv3 (IHI 0070) 3.3.2, Arm ARM (DDI 0487) D8.2.
//
// A walk is all numbers in fields that the next one uses again. Words are made of them when an access is refused, or
// marks an entry.

import { PAGE_SHIFT, PAGE_SIZE } from "../../memory/address-space.js";
import { addressOf } from "../../memory/page-number.js";
import { alignDown, powerOfTwo } from "../../pagetable/bits.js";
import { byteSize, permissionInWords } from "../../pagetable/explain.js";
import { type Format, READ, WRITE } from "../../pagetable/pagetable.js";
import { indexOf, type TableLevel } from "../../pagetable/table-level.js";
import { hex } from "../../uapi/errno.js";
import type { Access } from "./access.js";
import { accessInWords, DmaFault, type FaultKind } from "./dma-fault.js";
import type { Entry, FirstStage, Objection } from "./first-stage.js";
import type { GuestMemory } from "./guest-memory.js";
import { type CachedLeaf, type CachedTable, GLOBAL, type Iotlb } from "./iotlb.js";

const ENTRY_BYTES = 8;
/** Frames of 64 KiB below 2^48: the unit of bits 51:48 of an address, which stand apart from the others. */
const WIDE_ADDRESS_UNIT = 2 ** (48 - 16);
/** No format has more. */
const MOST_LEVELS = 6;

/** An entry that a walk has come by. */
class Step implements Entry {
	readonly level: number;
	low = 0;
	high = 0;
	isLeaf = false;
	/** The guest-physical page of 4 KiB that it is in, and where in that. */
	page = 0;
	offset = 0;
	index = 0;
	/** Where it points to, in granules. */
	frame = 0;
	/** The specification's word for it: "PTE". */
	entryName = "";

	constructor(level: number) {
		this.level = level;
	}

	/** Guest-physical, in bytes. */
	get address(): bigint {
		return addressOf(this.page, this.offset);
	}

	/** "PTE 5" */
	toString(): string {
		return `${this.entryName} ${this.index}`;
	}
}

/** One entry of a walk, for people. */
export interface ExplainedEntry {
	/** "PTE 5" */
	readonly name: string;
	/** Guest-physical, in bytes. */
	readonly address: bigint;
	readonly entry: bigint;
	/** "next table at guest-physical 0x40001000 (P R/W U/S)" */
	readonly meaning: string;
}

export class Walk {
	readonly #access: Access;
	readonly #memory: GuestMemory;
	/** What it found: what the access goes through. Good until the next one. */
	readonly leaf: CachedLeaf = { firstPage: 0, pagesLg2: 0, guestPage: 0, protection: 0, isDirty: false };
	/** What the tables translate of the access's address, in pages of 4 KiB. */
	#page = 0;
	/** The entries that it has come by, by level: from the one that it began at down to the last one. */
	readonly #way = Array.from({ length: MOST_LEVELS }, (_, level) => new Step(level));
	#from = -1;
	#last = 0;
	/** The table to begin at, and where in its page that begins. */
	readonly #table: CachedTable = { page: 0, level: 0, protection: 0 };
	#tableOffset = 0;
	/** Whose names the steps have. */
	#format: Format | undefined;

	/** @param access whatever it is by the time of a walk */
	constructor(access: Access, memory: GuestMemory) {
		this.#access = access;
		this.#memory = memory;
	}

	/**
	 * Finds the leaf for the access in the cache, or by the tables, which fills the cache and leaves marks in them.
	 * @throws DmaFault
	 */
	find(stage: FirstStage, tlb: Iotlb): void {
		const page = this.#begin(stage);
		const { write } = this.#access;
		if (tlb.findLeaf(stage.asid, page, this.leaf)) {
			const { protection, isDirty } = this.leaf;
			if ((protection & (write ? WRITE : READ)) === 0) throw this.#cachedRefusal(protection);
			// A first write has to be marked in the table, so the table is looked at.
			if (isDirty || !write) return;
		}
		this.#beginAt(stage, tlb, page);
		this.#descend(stage, page, tlb);
	}

	/** What the tables say now, without any cache and without leaving a mark. @throws DmaFault */
	peek(stage: FirstStage): void {
		const page = this.#begin(stage);
		this.#beginAt(stage, undefined, page);
		this.#descend(stage, page, undefined);
	}

	/**
	 * What find() would find, cache and all, without leaving a mark or filling the cache.
	 * @returns whether the cache has it, and not only a table on the way to it
	 * @throws DmaFault
	 */
	peekCached(stage: FirstStage, tlb: Iotlb): boolean {
		const page = this.#begin(stage);
		if (tlb.findLeaf(stage.asid, page, this.leaf)) return true;
		this.#beginAt(stage, tlb, page);
		this.#descend(stage, page, undefined);
		return false;
	}

	/** The page of 4 KiB that the access comes out at, guest-physical. */
	get guestPage(): number {
		return this.leaf.guestPage + this.#page - this.leaf.firstPage;
	}

	/** How many pages there are from that one to the end of the leaf. */
	get pagesLeft(): number {
		return powerOfTwo(this.leaf.pagesLg2) - (this.#page - this.leaf.firstPage);
	}

	/** Whether another walk for the same access came to the same. */
	endsAs(other: Walk): boolean {
		return this.leaf.protection === other.leaf.protection && this.guestPage === other.guestPage;
	}

	/** The address in it, in bytes. */
	get guestAddress(): bigint {
		return addressOf(this.guestPage, this.#access.offset);
	}

	/** The same with what it permits, in words. */
	get leafInWords(): string {
		return `guest-physical ${hex(this.guestAddress)}, ${accessInWords(this.leaf.protection)}`;
	}

	/** The entries that it has come by, the one that ended it included, for people. */
	explain(stage: FirstStage): ExplainedEntry[] {
		return this.#steps().map((step) => ({
			name: step.toString(),
			address: step.address,
			entry: wholeOf(step),
			meaning: meaningOf(step, stage),
		}));
	}

	/** @returns what the tables translate of the address */
	#begin(stage: FirstStage): number {
		const page = stage.inputPage(this.#access.page);
		this.#page = page;
		if (page >= 0) return page;
		this.#from = -1;
		throw this.#outOfRange(stage);
	}

	/** @param tlb tells the table to begin at, if not the root */
	#beginAt(stage: FirstStage, tlb: Iotlb | undefined, page: number): void {
		if (stage.format !== this.#format) this.#nameSteps(stage.format);
		const table = this.#table;
		this.#tableOffset = 0;
		if (tlb === undefined || !tlb.findTable(stage.asid, page, table)) {
			table.page = Math.floor(stage.root / PAGE_SIZE);
			this.#tableOffset = stage.root - table.page * PAGE_SIZE;
			table.level = stage.topLevel;
			table.protection = READ | WRITE;
		}
		this.#from = table.level;
		this.#last = table.level + 1;
	}

	#nameSteps(format: Format): void {
		this.#format = format;
		for (const [level, { entryName }] of format.levels.entries()) this.#way[level]!.entryName = entryName;
	}

	/** @param tlb gets what is found; undefined for a look that leaves nothing behind */
	#descend(stage: FirstStage, page: number, tlb: Iotlb | undefined): void {
		const { levels, rules } = stage;
		const granulePagesLg2 = stage.format.granuleLg2 - PAGE_SHIFT;
		const granulePages = 1 << granulePagesLg2;
		const va = granulePages === 1 ? page : Math.floor(page / granulePages);
		let { page: table, level: number, protection } = this.#table;
		let offset = this.#tableOffset;
		for (; ; number--) {
			const level = levels[number]!;
			const step = this.#read(stage, level, number, table, offset, indexOf(level, va));
			protection &= rules.permits(step);
			const pagesLg2 = level.itemSize + granulePagesLg2;
			if (step.isLeaf) {
				this.#leafIs(stage, step, page, pagesLg2, protection, tlb);
				return;
			}
			table = step.frame * granulePages;
			offset = 0;
			tlb?.addTable(stage.asid, page, pagesLg2, table, number - 1, protection);
		}
	}

	/**
	 * Reads an entry, which is present and has nothing wrong.
	 * @param table the page of the table, which begins at `offset` in it
	 */
	#read(stage: FirstStage, level: TableLevel, number: number, table: number, offset: number, index: number): Step {
		const step = this.#way[number]!;
		const at = offset + index * ENTRY_BYTES;
		step.page = table + (at >>> PAGE_SHIFT);
		step.offset = at & (PAGE_SIZE - 1);
		step.index = index;
		const entry = this.#memory.readEntry(step.page, step.offset, step);
		const low = entry[0]!;
		const high = entry[1]!;
		step.low = low;
		step.high = high;
		step.isLeaf = (low & level.tableMask) !== level.tableValue;
		this.#last = number;
		if ((low & level.emptyMask) === level.emptyValue)
			throw this.#fault("not-present", `${inWords(step)} is not present: ${stage.rules.absence}`, number);
		step.frame = frameIn(low, high, stage.format);
		const objection = stage.rules.objection(step) ?? objectionTo(step, level, stage);
		if (objection !== undefined) throw this.#fault(objection.kind, `${inWords(step)} ${objection.reason}`, number);
		return step;
	}

	#leafIs(
		stage: FirstStage,
		step: Step,
		page: number,
		pagesLg2: number,
		protection: number,
		tlb: Iotlb | undefined,
	): void {
		const { format, rules } = stage;
		const { write } = this.#access;
		if (!(protection & (write ? WRITE : READ))) throw this.#notPermitted(stage, protection);
		const { leaf } = this;
		const guestPage = step.frame * (1 << (format.granuleLg2 - PAGE_SHIFT));
		leaf.firstPage = pagesLg2 === 0 ? page : alignDown(page, pagesLg2);
		leaf.pagesLg2 = pagesLg2;
		leaf.guestPage = pagesLg2 === 0 ? guestPage : alignDown(guestPage, pagesLg2);
		leaf.protection = protection;
		leaf.isDirty = false;
		if (tlb === undefined) return;
		this.#mark(stage);
		leaf.isDirty = rules.isDirty(step);
		tlb.addLeaf(rules.isGlobal(step) ? GLOBAL : stage.asid, leaf);
	}

	/** Marks what the walk went through. */
	#mark({ rules }: FirstStage): void {
		const { write } = this.#access;
		for (let level = this.#from; level >= this.#last; level--) {
			const step = this.#way[level]!;
			const low = rules.marked(step, write) | 0;
			if (low === step.low) continue;
			this.#memory.writeLow(step.page, step.offset, low, step);
			step.low = low;
		}
	}

	/** The entries that it has come by, the highest first. */
	#steps(): Step[] {
		return this.#way.slice(this.#last, this.#from + 1).reverse();
	}

	#outOfRange({ inputInWords }: FirstStage): DmaFault {
		const reason = `${hex(this.#access.iova)} is not an address that the tables translate: ${inputInWords}`;
		return this.#fault("out-of-range", reason);
	}

	/** The specifications let an IOMMU look again. One that doesn't shows that the invalidation is missing. */
	#cachedRefusal(protection: number): DmaFault {
		const reason = `what the IOMMU has cached for ${hex(this.#access.iova)} permits ${accessInWords(protection)}`;
		return this.#fault("permission", reason);
	}

	#notPermitted({ rules }: FirstStage, protection: number): DmaFault {
		const { write } = this.#access;
		const refusing = this.#steps().find((step) => !(rules.permits(step) & (write ? WRITE : READ)));
		// With a table that was cached, the entry that refuses may have been read earlier.
		if (refusing === undefined)
			return this.#fault("permission", `the tables permit ${accessInWords(protection)}`, this.#last);
		const permits = `permits ${accessInWords(rules.permits(refusing))}: ${rules.refusal(refusing, write)}`;
		return this.#fault("permission", `${inWords(refusing)} ${permits}`, refusing.level);
	}

	#fault(kind: FaultKind, reason: string, level?: number): DmaFault {
		return new DmaFault(this.#access, "first stage", kind, reason, level);
	}
}

/** What any format forbids. */
function objectionTo(step: Step, level: TableLevel, { outputBits, outputFrames }: FirstStage): Objection | undefined {
	if (step.isLeaf && !level.hasLeaves)
		return { kind: "malformed", reason: "maps a page, and there are none at this level" };
	if (step.frame >= outputFrames)
		return { kind: "malformed", reason: `has an address beyond the ${outputBits} bits that may come out` };
	return undefined;
}

function meaningOf(step: Step, { format, levels, rules }: FirstStage): string {
	const level = levels[step.level]!;
	if (isEmptyEntry(level, step)) return `nothing is mapped here: ${rules.absence}`;
	const bits = format.describe(step.level, step.low, step.high);
	const address = BigInt(step.frame) << BigInt(format.granuleLg2);
	if (!step.isLeaf) return `next table at guest-physical ${hex(address)} (${bits})`;
	const lg2 = level.itemSize + format.granuleLg2;
	const page = (address >> BigInt(lg2)) << BigInt(lg2);
	return `${byteSize(lg2)} page at guest-physical ${hex(page)}, ${permissionInWords(rules.permits(step))} (${bits})`;
}

/** The frame that an entry points to, in granules. */
function frameIn(low: number, high: number, { address }: Format): number {
	const { shift, highMask, wideMask } = address;
	// A number of 32 bits while it can be one: `shift` is at least 10 in all formats.
	const frame = ((high & highMask) >>> 0) * (1 << (32 - shift)) + (low >>> shift);
	return wideMask === 0 ? frame : frame + ((low & wideMask) >>> 12) * WIDE_ADDRESS_UNIT;
}

function isEmptyEntry(level: TableLevel, { low }: Entry): boolean {
	return (low & level.emptyMask) === level.emptyValue;
}

function wholeOf({ low, high }: Entry): bigint {
	return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** "PTE 5 at guest-physical 0x3028, which is 0x8067," */
function inWords(step: Step): string {
	return `${step} at guest-physical ${hex(step.address)}, which is ${hex(wholeOf(step))},`;
}
