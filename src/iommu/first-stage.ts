// The walk of a first stage: page tables that a guest keeps in its own memory. Each table's address is guest-physical, so
// the second stage translates it before an entry is read, and translates what comes out in the end.
// VT-d 3.8 "Nested Translation"; AMD (48882) 2.2.6; SMMUv3 (IHI 0070) 3.3.2, Arm ARM (DDI 0487) D8.2.

import { pageOf } from "../memory/page-number.js";
import { alignDown, powerOfTwo } from "../pagetable/bits.js";
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
	return new Walk(stage, request, memory, undefined).run(inputPageOf(stage, request));
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
	readonly #stage: FirstStage;
	readonly #request: DmaRequest;
	readonly #memory: GuestMemory;
	readonly #tlb: Iotlb | undefined;
	/** lg2 of the pages of 4 KiB in a granule. */
	readonly #granulePagesLg2: number;

	/** @param tlb undefined for a look that leaves nothing behind */
	constructor(stage: FirstStage, request: DmaRequest, memory: GuestMemory, tlb: Iotlb | undefined) {
		this.#stage = stage;
		this.#request = request;
		this.#memory = memory;
		this.#tlb = tlb;
		this.#granulePagesLg2 = stage.format.granuleLg2 - PAGE_LG2;
	}

	run(page: number): CachedLeaf {
		const { format, topLevel, root, rules, asid } = this.#stage;
		const levels = levelsOf(format);
		const known = this.#tlb?.table(asid, page);
		const va = Math.floor(page / powerOfTwo(this.#granulePagesLg2));
		const way: Step[] = [];
		let table = known?.address ?? Number(root);
		let number = known?.level ?? topLevel;
		let protection = known?.protection ?? READ | WRITE;
		for (; ; number--) {
			const level = levels[number]!;
			const step = this.#read(number, level, table, indexOf(level, va));
			way.push(step);
			protection &= rules.permits(step);
			if (step.isLeaf) return this.#leaf(page, level, way, protection);
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
		if ((low & level.emptyMask) === level.emptyValue)
			throw this.#fault("not-present", `${inWords({ name, address, low, high })} is not present`, number);
		const isLeaf = (low & level.tableMask) !== level.tableValue;
		const step = { level: number, address, name, low, high, isLeaf };
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

	#leaf(page: number, level: TableLevel, way: readonly Step[], protection: number): CachedLeaf {
		const { asid, rules } = this.#stage;
		const { write } = this.#request;
		const leaf = way.at(-1)!;
		if (!(protection & (write ? WRITE : READ))) throw this.#notPermitted(way, protection);
		const pagesLg2 = level.itemSize + this.#granulePagesLg2;
		const guestPage = alignDown(this.#frameIn(leaf) * powerOfTwo(this.#granulePagesLg2), pagesLg2);
		const firstPage = alignDown(page, pagesLg2);
		if (this.#tlb === undefined) return { firstPage, pagesLg2, guestPage, protection, isDirty: false };
		const low = this.#mark(way);
		const found = { firstPage, pagesLg2, guestPage, protection, isDirty: rules.isDirty({ ...leaf, low }) };
		this.#tlb.addLeaf(rules.isGlobal(leaf) ? GLOBAL : asid, found);
		return found;
	}

	/** Marks what the walk went through; returns the lower half of the leaf after that. */
	#mark(way: readonly Step[]): number {
		let low = 0;
		for (const step of way) {
			low = this.#stage.rules.marked(step, this.#request.write) | 0;
			if (low !== (step.low | 0)) this.#memory.writeLow(step.address, low, step.name);
		}
		return low;
	}

	#notPermitted(way: readonly Step[], protection: number): DmaFault {
		const wanted = this.#request.write ? WRITE : READ;
		const refusing = way.find((step) => !(this.#stage.rules.permits(step) & wanted));
		// With a table that was cached, the entry that refuses may have been read earlier.
		if (refusing === undefined)
			return this.#fault("permission", `the tables permit ${accessInWords(protection)}`, way.at(-1)!.level);
		const permits = accessInWords(this.#stage.rules.permits(refusing));
		return this.#fault("permission", `${inWords(refusing)} permits ${permits}`, refusing.level);
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

/** "PTE 5 at guest-physical 0x3028, which is 0x8067," */
function inWords({ name, address, low, high }: Pick<Step, "name" | "address" | "low" | "high">): string {
	const value = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
	return `${name} at guest-physical ${hex(address)}, which is ${hex(value)},`;
}
