// Where an access of a device leads: through whatever its group is attached to for the PASID, page tables and all.
// VT-d 3 "DMA Remapping"; AMD (48882) 2.2 "Data Structures"; SMMUv3 (IHI 0070) 3.3.
//
// There is one for all accesses of a machine, one after the other. It makes no object, bigint or string for one that isn't refused,
// marks nothing for the first time, and isn't watched. (AMD's driver does, where it reads the Guest CR3 table.)

import { PAGE_SIZE } from "../../memory/address-space.js";
import type { PhysicalMemory } from "../../memory/physical-memory.js";
import { hex } from "../../uapi/errno.js";
import type { Device, Domain, PagingDomain } from "../core/iommu.js";
import { NO_PASID, type Pasid } from "../core/pasid.js";
import { Access } from "../translation/access.js";
import { DmaFault, type DmaRequest } from "../translation/dma-fault.js";
import type { FirstStage } from "../translation/first-stage.js";
import { Walk } from "../translation/first-stage-walk.js";
import { GuestMemory } from "../translation/guest-memory.js";
import { PagingStage } from "../translation/paging-stage.js";
import type { TwoStageDomain } from "../translation/two-stage-domain.js";
import {
	type InterruptRange,
	interruptFault,
	interruptRanges,
	isForInterrupts,
	pagesUntilInterrupts,
} from "./interrupt-ranges.js";

/** Of the 64-bit address space. What goes beyond comes back at 0. */
const ALL_PAGES = 2 ** 52;

export class Remapping {
	/** What is asked for. */
	readonly access: Access = new Access();
	/** Is told when a first stage that was cached isn't what the tables say. With nobody to tell, it isn't looked at. */
	reportStale: ((request: DmaRequest, message: string) => void) | undefined;
	#domain!: Domain;
	#interrupts: readonly InterruptRange[] = [];
	readonly #table = new PagingStage("page table", this.access);
	readonly #second = new PagingStage("second stage", this.access);
	/** Which of the two an access went through, and so what knows where it leads. */
	#last = this.#table;
	/** Whether what it asked for there is what came out of a first stage. */
	#isNested = false;
	readonly #guest: GuestMemory;
	readonly #walk: Walk;
	/** For a look at what the guest's memory says now. */
	readonly #guestNow: GuestMemory;
	readonly #walkNow: Walk;

	constructor(memory: PhysicalMemory) {
		this.#guest = new GuestMemory(this.#second, memory, this.access, true);
		this.#walk = new Walk(this.access, this.#guest);
		this.#guestNow = new GuestMemory(this.#second, memory, this.access, false);
		this.#walkNow = new Walk(this.access, this.#guestNow);
	}

	/**
	 * The next access.
	 * @param page of 4 KiB, in which the address lies at `offset`
	 * @throws DmaFault if its addresses are addresses of nothing
	 */
	begin(device: Device, pasid: Pasid, page: number, offset: number, write: boolean): void {
		const { access } = this;
		if (device !== access.device || pasid !== access.pasid) this.#interrupts = interruptRanges(device, pasid);
		access.begin(device, pasid, write);
		access.page = page;
		access.offset = offset;
		this.#domain = domainFor(access);
	}

	/** The same access goes on so many bytes later. */
	advance(bytes: number): void {
		const { access } = this;
		const rest = access.offset + bytes;
		const pages = Math.floor(rest / PAGE_SIZE);
		access.page += pages;
		if (access.page >= ALL_PAGES) access.page -= ALL_PAGES;
		access.offset = rest - pages * PAGE_SIZE;
	}

	/** Finds out where the access leads. @throws DmaFault */
	translate(): void {
		const { access } = this;
		if (isForInterrupts(access.page, this.#interrupts)) throw interruptFault(access, this.#interrupts);
		const domain = this.#domain;
		if (domain.type === "nested") this.#throughBoth(domain as TwoStageDomain);
		else if (domain.type === "paging") this.#throughOne(this.#table, domain as PagingDomain);
		else
			throw new DmaFault(
				access,
				"attachment",
				"blocked",
				`${access.device.name} is attached to a ${domain.type} domain`,
			);
	}

	/** The paging domain that alone translates the access; undefined where it goes through two stages. */
	get single(): PagingDomain | undefined {
		return this.#domain.type === "paging" ? (this.#domain as PagingDomain) : undefined;
	}

	/** What may be done where it leads: READ, WRITE. */
	get protection(): number {
		return this.#last.protection;
	}

	/** Where it leads, in bytes. */
	get physical(): number {
		return this.#last.physical;
	}

	/** How many bytes follow on from there. */
	get length(): number {
		const { page, offset } = this.access;
		const free = pagesUntilInterrupts(page, this.#interrupts);
		const pages = this.#isNested ? Math.min(free, this.#walk.pagesLeft) : free;
		return Math.min(this.#last.length, pages * PAGE_SIZE - offset);
	}

	#throughOne(stage: PagingStage, domain: PagingDomain): void {
		const { page, offset, write } = this.access;
		this.#last = stage;
		this.#isNested = false;
		stage.domain = domain;
		stage.translateAt(page, offset, write);
	}

	/** The first stage by its cache or its tables, and the second stage for what comes out of it. */
	#throughBoth(domain: TwoStageDomain): void {
		const { access } = this;
		const second = this.#second;
		const parent = domain.secondStage;
		if (parent === undefined) throw noFirstStage(access, domain);
		domain.tlb.followSecondStage(parent.flushes);
		second.domain = parent;
		const first = domain.firstStageFor?.(access, this.#guest, false);
		if (first === undefined) {
			this.#throughOne(second, parent);
			return;
		}
		const walk = this.#walk;
		if (this.reportStale === undefined) walk.find(first, domain.tlb);
		else this.#findAndCompare(domain, first);
		this.#last = second;
		this.#isNested = true;
		second.translateAt(walk.guestPage, access.offset, access.write);
	}

	/** Finds what the access goes through, and compares it with what the guest's memory says now. */
	#findAndCompare(domain: TwoStageDomain, first: FirstStage): void {
		const refused = faultOf(() => this.#walk.find(first, domain.tlb));
		// The second stage is not cached.
		if (refused?.stage !== "second stage") this.#compare(domain, refused);
		if (refused !== undefined) throw refused;
	}

	#compare(domain: TwoStageDomain, refused: DmaFault | undefined): void {
		let firstNow: FirstStage | undefined;
		const refusedNow = faultOf(() => {
			firstNow = domain.firstStageFor?.(this.access, this.#guestNow, true);
			if (firstNow !== undefined) this.#walkNow.peek(firstNow);
		});
		const isSame =
			refused === undefined
				? refusedNow === undefined && firstNow !== undefined && this.#walkNow.endsAs(this.#walk)
				: refusedNow?.stage === refused.stage && refusedNow.kind === refused.kind;
		if (isSame) return;
		const used = refused?.reason ?? this.#walk.leafInWords;
		const bypass = "the first stage is bypassed";
		const now = refusedNow?.reason ?? (firstNow === undefined ? bypass : this.#walkNow.leafInWords);
		this.reportStale?.(this.access, staleMessage(this.access, used, now));
	}
}

/** What an access's address is an address of. @throws DmaFault when that is nothing */
function domainFor(access: Access): Domain {
	checkPasid(access);
	const { pasid } = access;
	const { group } = access.device;
	const attachment = group.attachment(pasid);
	if (attachment !== undefined) return attachment.domain;
	const base = group.attachment(NO_PASID)?.domain;
	if (base?.type === "nested" && (base as TwoStageDomain).bringsPasids) return base;
	const what = pasid === NO_PASID ? `group ${group.id}` : `PASID ${pasid} of group ${group.id}`;
	throw new DmaFault(access, "attachment", "blocked", `${what} is attached to nothing`);
}

/** @throws DmaFault for a PASID that the device doesn't have */
export function checkPasid(request: DmaRequest): void {
	const { maxPasids } = request.device;
	if (request.pasid === NO_PASID || request.pasid < maxPasids) return;
	const reason = `the device has ${maxPasids <= 1 ? "no PASIDs" : `the PASIDs 1 to ${maxPasids - 1}`}`;
	throw new DmaFault(request, "attachment", "blocked", reason);
}

function noFirstStage(access: Access, { driver }: TwoStageDomain): DmaFault {
	return new DmaFault(access, "attachment", "blocked", `${driver.name} has no first stage that DMA goes through`);
}

/** Why something is refused, if it is. */
function faultOf(action: () => void): DmaFault | undefined {
	try {
		action();
		return undefined;
	} catch (fault) {
		if (!(fault instanceof DmaFault)) throw fault;
		return fault;
	}
}

function staleMessage({ device, iova }: DmaRequest, used: string, now: string): string {
	return [
		`DMA of ${device.name} at iova ${hex(iova)} used a cached translation that the table no longer has.`,
		`Cached: ${used}.`,
		`In the table now: ${now}.`,
		"The change was not invalidated.",
	].join(" ");
}
