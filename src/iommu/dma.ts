// What a device does to memory: each DMA goes through whatever its group is attached to, page tables and all.
// VT-d 3 "DMA Remapping"; AMD (48882) 2.2 "Data Structures"; SMMUv3 (IHI 0070) 3.3.

import { PAGE_SIZE } from "../memory/address-space.js";
import type { Frames } from "../memory/frames.js";
import { offsetInPage } from "../memory/page-number.js";
import { powerOfTwo } from "../pagetable/bits.js";
import type { DmaEvent } from "../trace/event.js";
import { hex } from "../uapi/errno.js";
import type { Device } from "./device.js";
import { DmaFault, type DmaRequest } from "./dma-fault.js";
import { type Domain, type NestedDomain, NO_PASID, type PagingDomain, type Pasid } from "./domain.js";
import { type FirstStage, findLeaf, guestPageOf, leafInWords, peekLeaf } from "./first-stage.js";
import { GuestMemory } from "./guest-memory.js";
import type { CachedLeaf } from "./iotlb.js";
import { PagingStage } from "./paging-stage.js";
import { PhysicalMemory } from "./physical-memory.js";
import type { ReservedRegion } from "./reserved.js";

/** Physical memory that follows on from an address, in bytes. */
interface Stretch {
	readonly physical: number;
	readonly length: number;
}

export class Dma {
	readonly #memory: PhysicalMemory;
	/** Is told of what went wrong. With nobody to tell, what is cached isn't compared with the tables. */
	report: ((event: DmaEvent) => void) | undefined;

	/** @param frames the machine's memory */
	constructor(frames: Frames) {
		this.#memory = new PhysicalMemory(frames);
	}

	/**
	 * A device reads.
	 * @param iova in bytes
	 * @returns undefined when all of it was read, else why not; what came before the address that failed has been read then
	 */
	read(device: Device, iova: bigint, into: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer({ device, pasid, iova, write: false }, into);
	}

	/** The same, writing. */
	write(device: Device, iova: bigint, from: Uint8Array, pasid: Pasid = NO_PASID): DmaFault | undefined {
		return this.#transfer({ device, pasid, iova, write: true }, from);
	}

	/** A device can't even ask. @param reason why */
	refuse(request: DmaRequest, reason: string): DmaFault {
		const fault = new DmaFault(request, "function", "blocked", reason);
		this.#tell("fault", request, fault.message);
		return fault;
	}

	#transfer(whole: DmaRequest, data: Uint8Array): DmaFault | undefined {
		try {
			if (!whole.device.hasIommu) {
				this.#byPhysicalAddress(whole, data);
				return undefined;
			}
			const domain = domainFor(whole);
			const interrupts = interruptsOf(whole);
			for (let done = 0; done < data.length; ) {
				// Addresses are 64 bits wide, and what goes beyond comes back at 0.
				const request = done === 0 ? whole : { ...whole, iova: BigInt.asUintN(64, whole.iova + BigInt(done)) };
				const limit = Math.min(data.length - done, untilInterrupts(request, interrupts));
				const stretch = this.#translate(domain, request);
				const length = Math.min(stretch.length, limit);
				this.#copy(request, stretch.physical, length === data.length ? data : data.subarray(done, done + length));
				done += length;
			}
			return undefined;
		} catch (fault) {
			if (!(fault instanceof DmaFault)) throw fault;
			this.#tell("fault", fault.request, fault.message);
			return fault;
		}
	}

	/** Nothing is in the way. */
	#byPhysicalAddress(request: DmaRequest, data: Uint8Array): void {
		checkPasid(request);
		const { iova, write } = request;
		// Of an address that a double doesn't hold exactly there is no memory, nor near it.
		const done = write ? this.#memory.write(Number(iova), data) : this.#memory.read(Number(iova), data);
		if (done === data.length) return;
		const where = hex(iova + BigInt(done));
		const reason = `there is no memory at ${where}, which no IOMMU translates: what IOAS_NOIOMMU_GET_PA tells is needed here`;
		throw new DmaFault(request, "memory", "no-memory", reason);
	}

	#translate(domain: Domain, request: DmaRequest): Stretch {
		if (domain.type === "nested") return this.#throughBoth(domain as NestedDomain, request);
		if (domain.type === "paging") return throughOne(domain as PagingDomain, "page table", request);
		throw new DmaFault(
			request,
			"attachment",
			"blocked",
			`${request.device.name} is attached to a ${domain.type} domain`,
		);
	}

	/** The first stage by its cache or its tables, and the second stage for what comes out of it. */
	#throughBoth(domain: NestedDomain, request: DmaRequest): Stretch {
		const { secondStage: parent, tlb } = domain;
		if (parent === undefined)
			throw new DmaFault(
				request,
				"attachment",
				"blocked",
				`${domain.driver.name} has no first stage that DMA goes through`,
			);
		tlb.followSecondStage(parent.flushes);
		const second = new PagingStage(parent, "second stage", request);
		const memory = new GuestMemory(second, this.#memory, request, true);
		const first = domain.firstStageFor?.(request, memory, false);
		if (first === undefined) return throughOne(parent, "second stage", request);
		const leaf = this.#findLeaf(domain, parent, first, request, memory);
		const page = guestPageOf(leaf, first, request);
		const offset = offsetInPage(request.iova);
		second.translateAt(page, offset, request.write);
		const untilEnd = (leaf.guestPage + powerOfTwo(leaf.pagesLg2) - page) * PAGE_SIZE - offset;
		return { physical: second.physical, length: Math.min(untilEnd, second.length) };
	}

	/** Finds what the request goes through, and compares it with what the guest's memory says now. */
	#findLeaf(
		domain: NestedDomain,
		parent: PagingDomain,
		first: FirstStage,
		request: DmaRequest,
		memory: GuestMemory,
	): CachedLeaf {
		if (this.report === undefined) return findLeaf(first, request, memory, domain.tlb);
		let leaf: CachedLeaf | undefined;
		const used = outcomeOf(() => {
			leaf = findLeaf(first, request, memory, domain.tlb);
			return leafInWords(leaf, first, request);
		});
		if (used.fault?.stage !== "second stage") {
			const second = new PagingStage(parent, "second stage", request);
			const now = outcomeOf(() => lookAgain(domain, request, new GuestMemory(second, this.#memory, request, false)));
			if (used.key !== now.key) this.#tell("stale", request, staleMessage(request, used, now));
		}
		if (leaf === undefined) throw used.fault;
		return leaf;
	}

	#copy(request: DmaRequest, physical: number, piece: Uint8Array): void {
		const done = request.write ? this.#memory.write(physical, piece) : this.#memory.read(physical, piece);
		if (done === piece.length) return;
		const reason = `${hex(request.iova + BigInt(done))} leads to physical address ${hex(physical + done)}, where there is no memory`;
		throw new DmaFault(request, "memory", "no-memory", reason);
	}

	#tell(kind: DmaEvent["kind"], { device, pasid, iova }: DmaRequest, message: string): void {
		this.report?.({ kind, device: device.name, pasid, iova, message });
	}
}

/** What a request's address is an address of. @throws DmaFault when that is nothing */
function domainFor(request: DmaRequest): Domain {
	checkPasid(request);
	const { device, pasid } = request;
	const { group } = device;
	const attachment = group.attachment(pasid);
	if (attachment !== undefined) return attachment.domain;
	const base = group.attachment(NO_PASID)?.domain;
	if (base?.type === "nested" && (base as NestedDomain).bringsPasids) return base;
	const what = pasid === NO_PASID ? `group ${group.id}` : `PASID ${pasid} of group ${group.id}`;
	throw new DmaFault(request, "attachment", "blocked", `${what} is attached to nothing`);
}

function checkPasid(request: DmaRequest): void {
	const { maxPasids } = request.device;
	if (request.pasid === NO_PASID || request.pasid < maxPasids) return;
	const reason = `the device has ${maxPasids === 0 ? "no PASIDs" : `the PASIDs 1 to ${maxPasids - 1}`}`;
	throw new DmaFault(request, "attachment", "blocked", reason);
}

/** @throws DmaFault when the IOMMU takes a request for an interrupt */
export function refuseInterrupts(request: DmaRequest): void {
	untilInterrupts(request, interruptsOf(request));
}

const none: readonly ReservedRegion[] = [];
/** It never changes for a device, and drivers make their lists anew each time. */
const knownInterrupts = new WeakMap<Device, readonly ReservedRegion[]>();

/** Where the IOMMU takes requests without a PASID for interrupts. */
function interruptsOf({ device, pasid }: DmaRequest): readonly ReservedRegion[] {
	if (pasid !== NO_PASID) return none;
	let known = knownInterrupts.get(device);
	if (known === undefined) {
		known = (device.driver.reservedRegions?.(device) ?? none).filter(({ kind }) => kind === "msi");
		knownInterrupts.set(device, known);
	}
	return known;
}

/** How many bytes from a request's address on are none that interrupts go to. @throws DmaFault when its own is */
function untilInterrupts(request: DmaRequest, interrupts: readonly ReservedRegion[]): number {
	let bytes = Number.POSITIVE_INFINITY;
	for (const { first, last } of interrupts) {
		if (request.iova > last) continue;
		if (request.iova >= first) {
			const reason = `the IOMMU takes ${hex(first)} to ${hex(last)} for interrupts, and translates nothing there`;
			throw new DmaFault(request, "attachment", "out-of-range", reason);
		}
		bytes = Math.min(bytes, Number(first - request.iova));
	}
	return bytes;
}

function throughOne(domain: PagingDomain, name: PagingStage["name"], request: DmaRequest): Stretch {
	const stage = new PagingStage(domain, name, request);
	stage.translate(request.iova, request.write);
	return { physical: stage.physical, length: stage.length };
}

/** What the guest's memory says now: nothing that is cached counts. @throws DmaFault */
function lookAgain(domain: NestedDomain, request: DmaRequest, memory: GuestMemory): string {
	const stage = domain.firstStageFor?.(request, memory, true);
	if (stage === undefined) return "the first stage is bypassed";
	return leafInWords(peekLeaf(stage, request, memory), stage, request);
}

/** How a look at a first stage ended. */
interface Outcome {
	readonly text: string;
	/** The same for outcomes that come to the same for the device. */
	readonly key: string;
	readonly fault?: DmaFault;
}

function outcomeOf(look: () => string): Outcome {
	try {
		const text = look();
		return { text, key: text };
	} catch (fault) {
		if (!(fault instanceof DmaFault)) throw fault;
		return { text: fault.reason, key: `${fault.stage}: ${fault.kind}`, fault };
	}
}

function staleMessage({ device, iova }: DmaRequest, used: Outcome, now: Outcome): string {
	return [
		`DMA of ${device.name} at iova ${hex(iova)} used a cached translation that the table no longer has.`,
		`Cached: ${used.text}.`,
		`In the table now: ${now.text}.`,
		"The change was not invalidated.",
	].join(" ");
}
