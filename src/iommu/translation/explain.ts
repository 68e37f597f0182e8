// How a request would be translated now, through one stage or two, for people: the walks of a real DMA, watched, and without a
// trace: nothing is marked, and nothing is cached.

import { addressOf } from "../../memory/page-number.js";
import type { PhysicalMemory } from "../../memory/physical-memory.js";
import { READ, Translation, type WalkStep, WRITE } from "../../pagetable/pagetable.js";
import { hex } from "../../uapi/errno.js";
import type { NestedDomain, PagingDomain } from "../core/iommu.js";
import { Access } from "./access.js";
import { DmaFault, type DmaRequest } from "./dma-fault.js";
import type { FirstStage } from "./first-stage.js";
import { Walk } from "./first-stage-walk.js";
import { GuestMemory } from "./guest-memory.js";
import { PagingStage, type Words } from "./paging-stage.js";
import { TwoStageDomain } from "./two-stage-domain.js";

/** One address by a page table of the kernel's. */
export interface TableWalk {
	/** In bytes. */
	readonly address: bigint;
	/** None where the address is out of the table's range, or there is no table yet. */
	readonly steps: readonly WalkStep[];
	/** Where it leads, in bytes, and what the leaf permits (READ, WRITE); undefined where it leads nowhere. */
	readonly physical: number | undefined;
	readonly protection: number;
	/** Why it leads nowhere. */
	readonly fault: string | undefined;
}

/** Something that the IOMMU reads in the guest's memory on its way. */
export interface GuestStep {
	/** "context descriptor 0", "PTE 5" */
	readonly name: string;
	/** Guest-physical, and where the second stage has it. In bytes. */
	readonly address: bigint;
	readonly physical: number;
	/** Its words of 64 bits, without the zeroes at the end. */
	readonly words: readonly bigint[];
	/** What an entry of a page table means; undefined for what leads to the tables. */
	readonly meaning: string | undefined;
}

export interface FirstStageWalk {
	/** "x86-64, 4 levels from guest-physical 0x40000000 on"; undefined where that wasn't found out. */
	readonly tables: string | undefined;
	readonly steps: readonly GuestStep[];
	/** The guest-physical address that comes out; the request's own where the guest has it bypass its tables. */
	readonly output: bigint | undefined;
	/** What all entries on the way permit: READ, WRITE. */
	readonly protection: number;
	readonly isBypassed: boolean;
	/** Which entry is in the way, and which bit of it. */
	readonly fault: string | undefined;
	/** What the IOMMU would do by what it has cached, where that is something else. */
	readonly cached: string | undefined;
}

const leaf = new Translation();

export function walkTable(domain: PagingDomain, address: bigint): TableWalk {
	const nowhere = { address, steps: [], physical: undefined, protection: 0 };
	if (!domain.isFinished)
		return { ...nowhere, fault: "there is no table yet: this driver makes it when a device is attached" };
	const { table } = domain;
	const granuleLg2 = BigInt(table.format.granuleLg2);
	const va = Number(address >> granuleLg2);
	const steps = table.explain(va);
	const last = steps.at(-1);
	if (last === undefined) {
		const range = `${hex(table.firstAddress)} to ${hex(table.lastAddress)}`;
		return { ...nowhere, fault: `${hex(address)} is outside of ${range}, which the table translates` };
	}
	if (!table.lookup(va, leaf))
		return {
			...nowhere,
			steps,
			fault: `${hex(address)} is not mapped: ${last.name} ${last.index} is ${hex(last.entry)}`,
		};
	const offset = Number(address & ((1n << granuleLg2) - 1n));
	return {
		address,
		steps,
		physical: leaf.frame * 2 ** table.format.granuleLg2 + offset,
		protection: leaf.protection,
		fault: undefined,
	};
}

/**
 * The first stage for a request of a device that a domain is attached to.
 * @param missing what it means when there is no memory where the second stage says; by default that it isn't there
 */
export function walkFirstStage(
	domain: NestedDomain,
	request: DmaRequest,
	memory: PhysicalMemory,
	missing?: string,
): FirstStageWalk {
	if (!(domain instanceof TwoStageDomain) || domain.secondStage === undefined || !domain.firstStageFor)
		return { ...nothing, fault: `${domain.driver.name} has no first stage that DMA goes through` };
	const parent = domain.secondStage;
	const access = Access.of(request);
	const secondStage = new PagingStage("second stage", access);
	secondStage.domain = parent;
	const watched = () => new WatchedMemory(secondStage, memory, access, missing);
	const { key, ...now } = walkNow(domain, access, watched());
	const cached = domain.tlb.isCurrent(parent.flushes) ? walkCached(domain, access, watched()) : undefined;
	return { ...now, cached: cached === undefined || cached.key === key ? undefined : cached.text };
}

const nothing: FirstStageWalk = {
	tables: undefined,
	steps: [],
	output: undefined,
	protection: READ | WRITE,
	isBypassed: false,
	fault: undefined,
	cached: undefined,
};

/** How a look at the first stage ended. */
interface Outcome {
	/** The same for outcomes that come to the same for the device. */
	readonly key: string;
	readonly text: string;
}

const BYPASS: Outcome = { key: "bypass", text: "the first stage is bypassed" };

function walkNow(
	domain: TwoStageDomain,
	access: Access,
	memory: WatchedMemory,
): Omit<FirstStageWalk, "cached"> & { key: string } {
	let stage: FirstStage | undefined;
	try {
		stage = domain.firstStageFor!(access, memory, true);
	} catch (fault) {
		const { key, text } = refused(fault);
		return { ...nothing, steps: memory.steps(), fault: text, key };
	}
	if (stage === undefined)
		return { ...nothing, steps: memory.steps(), output: access.iova, isBypassed: true, key: BYPASS.key };
	const before = memory.count;
	const walk = new Walk(access, memory);
	let refusal: Outcome | undefined;
	try {
		walk.peek(stage);
	} catch (fault) {
		refusal = refused(fault);
	}
	const meanings = walk.explain(stage).map(({ meaning }) => meaning);
	const steps = memory.steps(meanings, before);
	const tables = `${stage.format.name}, ${stage.topLevel + 1} levels from guest-physical ${hex(stage.root)} on`;
	if (refusal !== undefined) return { ...nothing, tables, steps, fault: refusal.text, key: refusal.key };
	const { protection } = walk.leaf;
	return { ...nothing, tables, steps, output: walk.guestAddress, protection, key: walk.leafInWords };
}

/** What a DMA would find by what is cached. */
function walkCached(domain: TwoStageDomain, access: Access, memory: WatchedMemory): Outcome {
	try {
		const cached = domain.cachedFirstStage?.(access);
		const stage = cached === undefined ? domain.firstStageFor!(access, memory, true) : cached.stage;
		if (stage === undefined) return BYPASS;
		const walk = new Walk(access, memory);
		const isCached = walk.peekCached(stage, domain.tlb);
		const key = walk.leafInWords;
		return {
			key,
			text: isCached ? `the IOTLB still has ${key}` : `by the tables that the IOTLB still has it is ${key}`,
		};
	} catch (fault) {
		const { key, text } = refused(fault);
		return { key, text: `by what the IOTLB still has of the tables, ${text}` };
	}
}

/** @throws what isn't a DmaFault */
function refused(fault: unknown): Outcome {
	if (!(fault instanceof DmaFault)) throw fault;
	const { stage, kind, reason } = fault;
	return { key: `${stage}: ${kind}`, text: stage === "memory" ? reason : `${stage}: ${reason}` };
}

/** The guest's memory, with a note of all that is read. */
class WatchedMemory extends GuestMemory {
	readonly #reads: Omit<GuestStep, "meaning">[] = [];
	readonly #missing: string | undefined;

	constructor(secondStage: PagingStage, memory: PhysicalMemory, request: DmaRequest, missing: string | undefined) {
		super(secondStage, memory, request, false);
		this.#missing = missing;
	}

	get count(): number {
		return this.#reads.length;
	}

	/** @param meanings of what was read from the nth on */
	steps(meanings: readonly string[] = [], from = 0): GuestStep[] {
		return this.#reads.map((read, i) => ({ ...read, meaning: meanings[i - from] }));
	}

	override read(address: bigint, words: number, what: Words): Uint32Array {
		const into = super.read(address, words, what);
		this.#note(address, [...new BigUint64Array(into.buffer)], what);
		return into;
	}

	override readEntry(page: number, offset: number, what: Words): Int32Array {
		const entry = super.readEntry(page, offset, what);
		this.#note(addressOf(page, offset), [...new BigUint64Array(entry.buffer)], what);
		return entry;
	}

	#note(address: bigint, words: bigint[], what: Words): void {
		const end = words.findLastIndex((word) => word !== 0n);
		const { physical } = this.secondStage;
		this.#reads.push({ name: `${what}`, address, physical, words: words.slice(0, Math.max(1, end + 1)) });
	}

	protected override noMemory(address: bigint, what: Words): DmaFault {
		if (this.#missing === undefined) return super.noMemory(address, what);
		return new DmaFault(this.request, "memory", "no-memory", `${hex(address)} (${what}) ${this.#missing}`);
	}
}
