// The walk of a first stage: page tables that a guest keeps in its own memory. Each table's address is guest-physical, so
// the second stage translates it before an entry is read, and translates what comes out in the end.
// VT-d 3.8 "Nested Translation"; AMD (48882) 2.2.6; SMMUv3 (IHI 0070) 3.3.2, Arm ARM (DDI 0487) D8.2.

import { addressOf, offsetInPage, pageOf } from "../memory/page-number.js";
import { alignDown, powerOfTwo } from "../pagetable/bits.js";
import { byteSize, permissionInWords } from "../pagetable/explain.js";
import { type Format, READ, WRITE } from "../pagetable/pagetable.js";
import { indexOf, type TableLevel, tableLevel } from "../pagetable/table-level.js";
import { hex } from "../uapi/errno.js";
import { accessInWords, DmaFault, type DmaRequest, type FaultKind } from "./dma-fault.js";
import type { GuestMemory } from "./guest-memory.js";
import { type CachedLeaf, GLOBAL, type Iotlb } from "./iotlb.js";

const PAGE_LG2 = 12;
const ENTRY_BYTES = 8;
/** Frames of 64 KiB below 2^48: the unit of bits 51:48 of an address, which stand apart from the others. */
const WIDE_ADDRESS_UNIT = 2 ** (48 - 16);

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
	readonly topLevel: number;
	/** The top table, guest-physical, in bytes. */
	readonly root: bigint;
	/** Tags what is cached of it. */
	readonly asid: number;
	readonly rules: EntryRules;
	/**
	 * A page of 4 KiB as the tables translate it: without what is only there as an extension of the address.
	 * @returns -1 if they can't
	 */
	inputPage(page: number): number;
	/** Bits of an address that may come out. */
	readonly outputBits: number;
	/** "48 bits, sign-extended" */
	readonly inputInWords: string;
}

/**
 * Finds the leaf for a request in the cache, or by a walk, which fills the cache and leaves its marks in the tables.
 * @throws DmaFault
 */
export function findLeaf(stage: FirstStage, request: DmaRequest, memory: GuestMemory, tlb: Iotlb): CachedLeaf {
	const page = inputPageOf(stage, request);
	const wanted = request.write ? WRITE : READ;
	const cached = tlb.leaf(stage.asid, page);
	if (cached !== undefined && (cached.protection & wanted) === 0) {
		// The specifications let an IOMMU look again. One that doesn't shows that the invalidation is missing.
		const reason = `what the IOMMU has cached for ${hex(request.iova)} permits ${accessInWords(cached.protection)}`;
		throw fault(request, "permission", reason);
	}
	// A first write has to be marked in the table, so the table is looked at.
	if (cached !== undefined && (cached.isDirty || !request.write)) return cached;
	return new Walk(stage, request, memory, tlb).run(page);
}

/** What the tables say now, without any cache and without leaving a mark. @throws DmaFault */
export function peekLeaf(stage: FirstStage, request: DmaRequest, memory: GuestMemory): CachedLeaf {
	return new Walk(stage, request, memory).run(inputPageOf(stage, request));
}

/**
 * What findLeaf() would find, cache and all, without leaving a mark or filling the cache.
 * @returns the leaf, and whether the cache has it or only a table on the way to it
 * @throws DmaFault
 */
export function peekCached(
	stage: FirstStage,
	request: DmaRequest,
	memory: GuestMemory,
	tlb: Iotlb,
): { readonly leaf: CachedLeaf; readonly isCached: boolean } {
	const page = inputPageOf(stage, request);
	const cached = tlb.leaf(stage.asid, page);
	if (cached !== undefined) return { leaf: cached, isCached: true };
	return { leaf: new Walk(stage, request, memory).run(page, tlb.table(stage.asid, page)), isCached: false };
}

/** As peekLeaf(), with each entry that the walk comes by, the one that ends it included. */
export function explainWalk(
	stage: FirstStage,
	request: DmaRequest,
	memory: GuestMemory,
): { readonly entries: readonly ExplainedEntry[]; readonly end: CachedLeaf | DmaFault } {
	const walk = new Walk(stage, request, memory);
	let end: CachedLeaf | DmaFault;
	try {
		end = walk.run(inputPageOf(stage, request));
	} catch (fault) {
		if (!(fault instanceof DmaFault)) throw fault;
		end = fault;
	}
	return { entries: walk.explain(), end };
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

/** The page of 4 KiB that a leaf leads to, guest-physical. */
export function guestPageOf(leaf: CachedLeaf, stage: FirstStage, { iova }: DmaRequest): number {
	return leaf.guestPage + stage.inputPage(pageOf(iova)) - leaf.firstPage;
}

/** The address in it, in bytes. */
export function guestAddressOf(leaf: CachedLeaf, stage: FirstStage, request: DmaRequest): bigint {
	return addressOf(guestPageOf(leaf, stage, request), offsetInPage(request.iova));
}

/** The same with what it permits, in words. */
export function leafInWords(leaf: CachedLeaf, stage: FirstStage, request: DmaRequest): string {
	return `guest-physical ${hex(guestAddressOf(leaf, stage, request))}, ${accessInWords(leaf.protection)}`;
}

function inputPageOf(stage: FirstStage, request: DmaRequest): number {
	const page = stage.inputPage(pageOf(request.iova));
	if (page >= 0) return page;
	const reason = `${hex(request.iova)} is not an address that the tables translate: ${stage.inputInWords}`;
	throw fault(request, "out-of-range", reason);
}

function fault(request: DmaRequest, kind: FaultKind, reason: string, level?: number): DmaFault {
	return new DmaFault(request, "first stage", kind, reason, level);
}

const knownLevels = new WeakMap<Format, readonly TableLevel[]>();

function levelsOf(format: Format): readonly TableLevel[] {
	let levels = knownLevels.get(format);
	if (levels === undefined) {
		levels = format.levels.map(({ indexBits }, number) => tableLevel(format, number, indexBits));
		knownLevels.set(format, levels);
	}
	return levels;
}

/** An entry that a walk has come by. */
interface Step extends Entry {
	/** Guest-physical, in bytes. */
	readonly address: number;
	readonly name: string;
}

class Walk {
	/** The entries that it has come by. */
	readonly #way: Step[] = [];
	readonly #stage: FirstStage;
	readonly #request: DmaRequest;
	readonly #memory: GuestMemory;
	readonly #tlb: Iotlb | undefined;
	/** lg2 of the pages of 4 KiB in a granule. */
	readonly #granulePagesLg2: number;

	/** @param tlb gets what is found; undefined for a look that leaves nothing behind */
	constructor(stage: FirstStage, request: DmaRequest, memory: GuestMemory, tlb?: Iotlb) {
		this.#stage = stage;
		this.#request = request;
		this.#memory = memory;
		this.#tlb = tlb;
		this.#granulePagesLg2 = stage.format.granuleLg2 - PAGE_LG2;
	}

	/** @param known where to begin, if not at the root */
	run(page: number, known = this.#tlb?.table(this.#stage.asid, page)): CachedLeaf {
		const { format, topLevel, root, rules, asid } = this.#stage;
		const levels = levelsOf(format);
		const va = Math.floor(page / powerOfTwo(this.#granulePagesLg2));
		let table = known?.address ?? Number(root);
		let number = known?.level ?? topLevel;
		let protection = known?.protection ?? READ | WRITE;
		for (; ; number--) {
			const level = levels[number]!;
			const step = this.#read(number, level, table, indexOf(level, va));
			protection &= rules.permits(step);
			if (step.isLeaf) return this.#leaf(page, level, protection);
			table = this.#frameIn(step) * powerOfTwo(format.granuleLg2);
			const pagesLg2 = level.itemSize + this.#granulePagesLg2;
			this.#tlb?.addTable(asid, page, pagesLg2, { address: table, level: number - 1, protection });
		}
	}

	/** Reads an entry that is present and has nothing wrong. */
	#read(number: number, level: TableLevel, table: number, index: number): Step {
		const { format, rules } = this.#stage;
		const address = table + index * ENTRY_BYTES;
		const name = `${format.levels[number]!.entryName} ${index}`;
		const entry = this.#memory.readEntry(address, name);
		const low = entry[0]!;
		const high = entry[1]!;
		const isLeaf = (low & level.tableMask) !== level.tableValue;
		const step = { level: number, address, name, low, high, isLeaf };
		this.#way.push(step);
		if (isEmptyEntry(level, step))
			throw this.#fault("not-present", `${inWords(step)} is not present: ${rules.absence}`, number);
		const objection = rules.objection(step) ?? this.#objection(step);
		if (objection !== undefined) throw this.#fault(objection.kind, `${inWords(step)} ${objection.reason}`, number);
		return step;
	}

	/** What any format forbids. */
	#objection(step: Step): Objection | undefined {
		const { format, outputBits } = this.#stage;
		if (step.isLeaf && format.levels[step.level]!.leafSizes === 0n)
			return { kind: "malformed", reason: "maps a page, and there are none at this level" };
		if (this.#frameIn(step) >= 2 ** (outputBits - format.granuleLg2))
			return { kind: "malformed", reason: `has an address beyond the ${outputBits} bits that may come out` };
		return undefined;
	}

	#leaf(page: number, level: TableLevel, protection: number): CachedLeaf {
		const { asid, rules } = this.#stage;
		const { write } = this.#request;
		const leaf = this.#way.at(-1)!;
		if (!(protection & (write ? WRITE : READ))) throw this.#notPermitted(protection);
		const pagesLg2 = level.itemSize + this.#granulePagesLg2;
		const guestPage = alignDown(this.#frameIn(leaf) * powerOfTwo(this.#granulePagesLg2), pagesLg2);
		const firstPage = alignDown(page, pagesLg2);
		if (this.#tlb === undefined) return { firstPage, pagesLg2, guestPage, protection, isDirty: false };
		const low = this.#mark();
		const found = { firstPage, pagesLg2, guestPage, protection, isDirty: rules.isDirty({ ...leaf, low }) };
		this.#tlb.addLeaf(rules.isGlobal(leaf) ? GLOBAL : asid, found);
		return found;
	}

	/** Marks what the walk went through; returns the lower half of the leaf after that. */
	#mark(): number {
		let low = 0;
		for (const step of this.#way) {
			low = this.#stage.rules.marked(step, this.#request.write) | 0;
			if (low !== (step.low | 0)) this.#memory.writeLow(step.address, low, step.name);
		}
		return low;
	}

	#notPermitted(protection: number): DmaFault {
		const { rules } = this.#stage;
		const { write } = this.#request;
		const refusing = this.#way.find((step) => !(rules.permits(step) & (write ? WRITE : READ)));
		// With a table that was cached, the entry that refuses may have been read earlier.
		if (refusing === undefined)
			return this.#fault("permission", `the tables permit ${accessInWords(protection)}`, this.#way.at(-1)!.level);
		const permits = `permits ${accessInWords(rules.permits(refusing))}: ${rules.refusal(refusing, write)}`;
		return this.#fault("permission", `${inWords(refusing)} ${permits}`, refusing.level);
	}

	/** The entries that it has come by, for people. */
	explain(): ExplainedEntry[] {
		return this.#way.map((step) => ({
			name: step.name,
			address: BigInt(step.address),
			entry: wholeOf(step),
			meaning: this.#meaningOf(step),
		}));
	}

	#meaningOf(step: Step): string {
		const { format, rules } = this.#stage;
		const level = levelsOf(format)[step.level]!;
		if (isEmptyEntry(level, step)) return `nothing is mapped here: ${rules.absence}`;
		const bits = format.describe(step.level, step.low, step.high);
		const address = BigInt(this.#frameIn(step)) << BigInt(format.granuleLg2);
		if (!step.isLeaf) return `next table at guest-physical ${hex(address)} (${bits})`;
		const lg2 = level.itemSize + format.granuleLg2;
		const page = (address >> BigInt(lg2)) << BigInt(lg2);
		return `${byteSize(lg2)} page at guest-physical ${hex(page)}, ${permissionInWords(rules.permits(step))} (${bits})`;
	}

	/** The frame that an entry points to, in granules. */
	#frameIn({ low, high }: Entry): number {
		const { shift, highMask, wideMask } = this.#stage.format.address;
		const wide = (low & wideMask) >>> 12;
		return ((high & highMask) >>> 0) * powerOfTwo(32 - shift) + (low >>> shift) + wide * WIDE_ADDRESS_UNIT;
	}

	#fault(kind: FaultKind, reason: string, level: number): DmaFault {
		return fault(this.#request, kind, reason, level);
	}
}

function isEmptyEntry(level: TableLevel, { low }: Entry): boolean {
	return (low & level.emptyMask) === level.emptyValue;
}

function wholeOf({ low, high }: Entry): bigint {
	return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** "PTE 5 at guest-physical 0x3028, which is 0x8067," */
function inWords(step: Step): string {
	return `${step.name} at guest-physical ${hex(step.address)}, which is ${hex(wholeOf(step))},`;
}
