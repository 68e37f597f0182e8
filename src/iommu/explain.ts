// How a request would be translated now, through one stage or two, for people: the walks of a real DMA, watched, and without a
// trace: nothing is marked, and nothing is cached.

import { READ, Translation, type WalkStep, WRITE } from "../pagetable/pagetable.js";
import { hex } from "../uapi/errno.js";
import { DmaFault, type DmaRequest } from "./dma-fault.js";
import type { NestedDomain, PagingDomain } from "./domain.js";
import { explainWalk, type FirstStage, guestAddressOf, leafInWords, peekCached } from "./first-stage.js";
import { GuestMemory } from "./guest-memory.js";
import { PagingStage } from "./paging-stage.js";
import type { PhysicalMemory } from "./physical-memory.js";

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
	const parent = domain.secondStage;
	if (parent === undefined || !domain.firstStageFor)
		return { ...nothing, fault: `${domain.driver.name} has no first stage that DMA goes through` };
	const watched = () => new WatchedMemory(new PagingStage(parent, "second stage", request), memory, request, missing);
	const { key, ...now } = walkNow(domain, request, watched());
	const cached = domain.tlb.isCurrent(parent.flushes) ? walkCached(domain, request, watched()) : undefined;
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
	domain: NestedDomain,
	request: DmaRequest,
	memory: WatchedMemory,
): Omit<FirstStageWalk, "cached"> & { key: string } {
	let stage: FirstStage | undefined;
	try {
		stage = domain.firstStageFor!(request, memory, true);
	} catch (fault) {
		const { key, text } = refused(fault);
		return { ...nothing, steps: memory.steps(), fault: text, key };
	}
	if (stage === undefined)
		return { ...nothing, steps: memory.steps(), output: request.iova, isBypassed: true, key: BYPASS.key };
	const before = memory.count;
	const { entries, end } = explainWalk(stage, request, memory);
	const steps = memory.steps(
		entries.map(({ meaning }) => meaning),
		before,
	);
	const tables = `${stage.format.name}, ${stage.topLevel + 1} levels from guest-physical ${hex(stage.root)} on`;
	if (end instanceof DmaFault) {
		const { key, text } = refused(end);
		return { ...nothing, tables, steps, fault: text, key };
	}
	const output = guestAddressOf(end, stage, request);
	return { ...nothing, tables, steps, output, protection: end.protection, key: leafInWords(end, stage, request) };
}

/** What a DMA would find by what is cached. */
function walkCached(domain: NestedDomain, request: DmaRequest, memory: WatchedMemory): Outcome {
	try {
		const cached = domain.cachedFirstStage?.(request);
		const stage = cached === undefined ? domain.firstStageFor!(request, memory, true) : cached.stage;
		if (stage === undefined) return BYPASS;
		const { leaf, isCached } = peekCached(stage, request, memory, domain.tlb);
		const key = leafInWords(leaf, stage, request);
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

	override read(address: bigint, words: number, what: string): Uint32Array {
		const into = super.read(address, words, what);
		const wide = [...new BigUint64Array(into.buffer)];
		const end = wide.findLastIndex((word) => word !== 0n);
		const { physical } = this.secondStage;
		this.#reads.push({ name: what, address, physical, words: wide.slice(0, Math.max(1, end + 1)) });
		return into;
	}

	override readEntry(address: number, what: string): Uint32Array {
		return this.read(BigInt(address), 2, what);
	}

	protected override noMemory(address: bigint | number, what: string): DmaFault {
		if (this.#missing === undefined) return super.noMemory(address, what);
		return new DmaFault(this.request, "memory", "no-memory", `${hex(address)} (${what}) ${this.#missing}`);
	}
}
