// The map of an IOAS from IOVA to memory, and the domains that mirror it. drivers/iommu/iommufd/io_pagetable.c.

import { allocation, iommufdFails } from "../../faults/faults.js";
import { Undo } from "../../faults/undo.js";
import type { Device, PagingDomain, Stretch } from "../../iommu/core/iommu.js";
import { regionInWords } from "../../iommu/core/reserved.js";
import type { AddressMap, Range } from "../../iommu/dma/mapping-history.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { WRITE } from "../../pagetable/format.js";
import { Errno, hex } from "../../uapi/errno.js";
import { worked } from "../../uapi/slices.js";
import { Area } from "./area.js";
import { AreaTree } from "./area-tree.js";
import { AreaUses } from "./area-uses.js";
import type { IntervalSet } from "./interval-set.js";
import { alignmentFor, type Interval, IovaRanges, LAST_IOVA } from "./iova-ranges.js";
import type { Pages, PagesContext } from "./pages.js";

/** A part of some Pages that is to be mapped: from a new mapping, or taken from another one by IOAS_COPY. */
export interface Slice {
	readonly pages: Pages;
	/** Byte of `pages` that it begins with, and its length. */
	readonly startByte: bigint;
	readonly length: bigint;
}

/** An in-kernel user of the map, as far as the map has to know it. */
export interface MapUser {
	/** What an IOVA must be a multiple of for it, in bytes. */
	readonly iovaAlignment: bigint;
	/** Asks it to let go of first..last. Absent where it can't. */
	unmap?(first: bigint, last: bigint): void;
	/** Whether it keeps something of first..last from being unmapped. */
	hasLocked?(first: bigint, last: bigint): boolean;
}

/** What an Area and a Slice take while they are worked with, in bytes. */
const AREA_BYTES = 100;
const SLICE_BYTES = 150;
/** What it takes to look at an area, or to map it, as slices.ts counts. */
const PER_AREA = 100;

export class IoPagetable implements AddressMap {
	readonly areas: AreaTree;
	readonly uses = new AreaUses();
	readonly ranges: IovaRanges;
	/** Domains that show every area, so that its pages are held for them. The last one moves into the place of one that goes. */
	readonly domains: PagingDomain[] = [];
	readonly accesses: MapUser[] = [];
	/** What IOVAs, lengths and offsets in pages must be multiples of, in bytes: what the domains and accesses need. */
	alignment = 1n;
	/** IOMMU_OPTION_HUGE_PAGES 0: every page of 4096 bytes is mapped by itself. */
	largePagesDisabled = false;
	readonly #platform: PagesContext["platform"];
	/** What reasons call it: "IOAS 1". */
	readonly name: string;
	/** What reasons call the domains. */
	readonly #domainNames = new Map<PagingDomain, string>();

	constructor(platform: PagesContext["platform"], name: string) {
		this.#platform = platform;
		this.name = name;
		this.areas = new AreaTree(platform.budget.areas);
		this.ranges = new IovaRanges(platform.budget.ranges);
		platform.history?.add(this);
	}

	/** Gives back what it has; nothing is mapped, and no domain, device or access uses it any more. */
	dispose(): void {
		this.#platform.history?.remove(this);
		this.areas.dispose();
		this.ranges.dispose();
	}

	/**
	 * Maps slices one after the other at an IOVA.
	 * @param iova in bytes; undefined to have one chosen
	 * @returns where they begin
	 * @throws EINVAL for alignment or a reserved range, EEXIST for one that is taken, EOVERFLOW, EPERM for pages that are
	 * mapped read-only, ENOSPC when there is no room, and what pinning and mapping throw; nothing is mapped then
	 */
	map(slices: readonly Slice[], length: bigint, iova: bigint | undefined, protection: number): bigint {
		if (length & (this.alignment - 1n))
			throw new Errno("EINVAL", `length ${hex(length)} is not a multiple of ${this.#alignmentInWords()}`, "alignment");
		const first = iova === undefined ? this.#choose(slices[0], length) : this.#check(iova, length);
		const { areas: budget } = this.#platform.budget;
		const areas: Area[] = [];
		const transient = slices.length * AREA_BYTES;
		budget.charge(transient);
		try {
			for (const slice of slices) {
				const at = areas.length === 0 ? first : areas[areas.length - 1].last + 1n;
				areas.push(this.#insert(slice, at, protection));
				worked(PER_AREA);
			}
			this.#fillAll(areas);
		} catch (error) {
			for (const area of areas) {
				this.#takeOut(area);
				worked(PER_AREA);
			}
			throw error;
		} finally {
			budget.uncharge(transient);
		}
		this.#platform.history?.mapped(this, first, first + length - 1n);
		return first;
	}

	nearest(iova: bigint): { below: Range | undefined; above: Range | undefined } {
		return this.areas.nearest(iova);
	}

	/**
	 * Unmaps the areas in a range; the range must not cut one in two.
	 * @param done counts the bytes that were unmapped, also those before an error
	 * @returns the bytes that were unmapped: 0 when there were no areas
	 * @throws ENOENT for an area that lies in it only in part, EBUSY for one that is locked; areas before it are gone then
	 */
	unmap(first: bigint, last: bigint, done = { bytes: 0n }): bigint {
		let end = last;
		try {
			this.#unmapEach(first, last, done);
		} catch (error) {
			if (!(error instanceof Errno) || done.bytes === 0n) throw error;
			// Where the one begins that can't be unmapped.
			end = this.areas.firstIn(first, last)!.first - 1n;
			throw error.after(`What is mapped before it in the range, ${hex(done.bytes)} bytes, is unmapped by now`);
		} finally {
			if (done.bytes > 0n) this.#platform.history?.unmapped(this, first, end);
		}
		return done.bytes;
	}

	#unmapEach(first: bigint, last: bigint, done: { bytes: bigint }): void {
		let from = first;
		for (let area = this.areas.firstIn(from, last); area !== undefined; area = this.areas.firstIn(from, last)) {
			if (this.uses.of(area).locks > 0)
				throw new Errno(
					"EBUSY",
					`the mapping ${inWords(area)} can't be unmapped: ${this.#lockersOf(area)} has pinned it`,
					"locked-area",
				);
			if (area.first < from || area.last > last)
				throw new Errno(
					"ENOENT",
					`the range ${hex(first)} to ${hex(last)} cuts the mapping ${inWords(area)} in two: mappings are unmapped whole`,
					"unmap-whole",
				);
			this.#evictAccesses(area);
			this.#emptyArea(area);
			this.#takeOut(area);
			done.bytes += area.length;
			worked(PER_AREA);
			if (area.last >= last) break;
			from = area.last + 1n;
		}
	}

	/**
	 * The slices behind a range, which mappings must cover without a gap. They are charged until they are released.
	 * @throws ENOENT for a gap, EINVAL for an empty range, EOVERFLOW
	 */
	slices(iova: bigint, length: bigint): Slice[] {
		if (length === 0n) throw new Errno("EINVAL", "length is 0: nothing is to be copied", "zero-length");
		const last = iova + length - 1n;
		if (last > LAST_IOVA)
			throw new Errno(
				"EOVERFLOW",
				`the source's IOVA ${hex(iova)} + length ${hex(length)} goes beyond the 64-bit space`,
				"overflow",
			);
		const slices: Slice[] = [];
		using undo = new Undo();
		undo.push(() => this.releaseSlices(slices));
		let at = iova;
		for (const area of this.contiguous(iova, last)) {
			const end = area.last < last ? area.last : last;
			allocation("what is to be copied of an area");
			this.#platform.budget.areas.charge(SLICE_BYTES);
			slices.push({ pages: area.pages, startByte: area.startByte(at), length: end - at + 1n });
			at = end + 1n;
			worked(PER_AREA);
		}
		if (at <= last)
			throw new Errno("ENOENT", `there is no mapping at IOVA ${hex(at)} of ${this.name}`, "nothing-mapped");
		undo.keep();
		return slices;
	}

	/** Nobody needs them any more. */
	releaseSlices(slices: readonly Slice[]): void {
		this.#platform.budget.areas.uncharge(slices.length * SLICE_BYTES);
	}

	/** The areas that cover first..last from `first` on, up to the first gap. */
	*contiguous(first: bigint, last: bigint): Generator<Area> {
		let area = this.areas.firstIn(first, first);
		while (area !== undefined) {
			yield area;
			if (area.last >= last) return;
			const next = this.areas.next(area, last);
			area = next !== undefined && next.first === area.last + 1n ? next : undefined;
		}
	}

	/**
	 * Lets a domain mirror the map: all areas are mapped into it.
	 * @param name what reasons call it: "HWPT 3"
	 * @throws EINVAL when its smallest page is larger than 4096 bytes, EADDRINUSE when an area or an allowed range lies
	 * outside its aperture or isn't aligned for it, and what pinning and mapping throw; it mirrors nothing then
	 */
	addDomain(domain: PagingDomain, name: string): void {
		const smallest = domain.pageSizes & -domain.pageSizes;
		if (smallest > PAGE_SIZE)
			throw new Errno(
				"EINVAL",
				`the domain's smallest page is ${hex(smallest)} bytes, larger than the CPU's ${hex(PAGE_SIZE)}`,
				"hardware-lacks",
			);
		const alignment = smallest > this.alignment ? smallest : this.alignment;
		if (alignment !== this.alignment) this.#checkAlignment(alignment);
		const { first, last } = domain.aperture;
		allocation("a place in the list of an IOAS's domains");
		try {
			const beyond = `beyond the aperture of ${name}, ${inWords(domain.aperture)}`;
			if (first !== 0n) this.reserve(0n, first - 1n, domain, beyond);
			if (last !== LAST_IOVA) this.reserve(last + 1n, LAST_IOVA, domain, beyond);
			this.#fillDomain(domain);
		} catch (error) {
			this.ranges.unreserve(domain);
			throw error;
		}
		this.alignment = alignment;
		this.domains.push(domain);
		this.#domainNames.set(domain, name);
		domain.stretches = () => this.#stretchesIn(domain);
	}

	*#stretchesIn(domain: PagingDomain): Iterable<Stretch> {
		for (const area of this.areas) {
			const stretch = area.stretchIn(domain);
			if (stretch !== undefined) yield stretch;
		}
	}

	/** Unmaps everything from a domain, and lets go of it. The last domain's pages are unpinned. */
	removeDomain(domain: PagingDomain): void {
		const at = this.domains.indexOf(domain);
		const tail = this.domains.pop()!;
		if (at < this.domains.length) this.domains[at] = tail;
		for (const area of this.areas) {
			area.unmap(domain);
			if (this.domains.length === 0) area.pages.drop(area.index, area.lastIndex);
			worked(PER_AREA);
		}
		this.ranges.unreserve(domain);
		this.#domainNames.delete(domain);
		this.#recalculateAlignment();
	}

	/**
	 * Takes a range of IOVA away.
	 * @param what it is, for a reason: "the interrupt window of 0000:00:02.0"
	 * @throws EADDRINUSE when something is mapped there, or the range was promised by ALLOW_IOVAS
	 */
	reserve(first: bigint, last: bigint, owner: object | undefined, what: string): void {
		const area = this.areas.firstIn(first, last);
		if (area !== undefined)
			throw new Errno(
				"EADDRINUSE",
				`${hex(first)} to ${hex(last)} (${what}) can't be reserved in ${this.name}: ${inWords(area)} is mapped`,
				"reserved-iova",
			);
		const allowed = this.ranges.allowedIn(first, last);
		if (allowed !== undefined)
			throw new Errno(
				"EADDRINUSE",
				`${hex(first)} to ${hex(last)} (${what}) can't be reserved in ${this.name}: ALLOW_IOVAS promised ${inWords(allowed)}`,
				"allowed-iovas",
			);
		allocation("a reserved range");
		this.ranges.reserve(first, last, owner, what);
	}

	/**
	 * Takes away what a device can't use.
	 * @returns where the kernel may map the page of a software MSI, if the device needs one
	 * @throws EADDRINUSE; nothing is reserved then
	 */
	reserveForDevice(device: Device): bigint | undefined {
		if (iommufdFails("reserving what a device needs"))
			throw new Errno("EINVAL", `fault injection: what ${device.name} needs can't be reserved`);
		let softwareMsi: bigint | undefined;
		try {
			for (const region of device.driver.reservedRegions?.(device) ?? []) {
				if (region.kind === "direct-relaxable") continue;
				if (region.kind === "software-msi") softwareMsi = region.first;
				this.reserve(region.first, region.last, device, regionInWords(region, device.name));
			}
		} catch (error) {
			this.ranges.unreserve(device);
			throw error;
		}
		return softwareMsi;
	}

	/**
	 * Makes ranges available for good, from ranges.newSet(): nothing that would narrow them is let in.
	 * @throws EADDRINUSE when one of them is reserved already; nothing changes then
	 */
	allow(ranges: IntervalSet): void {
		const range = this.ranges.firstReserved(ranges);
		if (range !== undefined) {
			const reserved = this.ranges.reservedIn(range.first, range.last)!;
			throw new Errno(
				"EADDRINUSE",
				`${inWords(range)} can't be allowed: ${inWords(reserved)} is reserved (${reserved.what})`,
				"reserved-iova",
			);
		}
		this.ranges.allow(ranges);
	}

	/** @throws EADDRINUSE when an area doesn't fit the alignment that the access needs */
	addAccess(access: MapUser): void {
		allocation("a place in the list of an IOAS's accesses");
		this.accesses.push(access);
		try {
			this.#recalculateAlignment();
		} catch (error) {
			this.accesses.pop();
			throw error;
		}
	}

	removeAccess(access: MapUser): void {
		this.accesses.splice(this.accesses.indexOf(access), 1);
		this.#recalculateAlignment();
	}

	enableLargePages(): void {
		this.largePagesDisabled = false;
		this.#recalculateAlignment();
	}

	/** @throws EINVAL when domains have mappings already, EADDRINUSE when an area isn't aligned to 4096 bytes */
	disableLargePages(): void {
		if (this.largePagesDisabled) return;
		if (this.domains.length > 0 && this.areas.size > 0)
			throw new Errno(
				"EINVAL",
				`${this.name} has mappings in domains already: they can't be made of small pages afterwards`,
				"huge-pages-option",
			);
		this.largePagesDisabled = true;
		try {
			this.#recalculateAlignment();
		} catch (error) {
			this.largePagesDisabled = false;
			throw error;
		}
	}

	#check(iova: bigint, length: bigint): bigint {
		if (iova & (this.alignment - 1n))
			throw new Errno("EINVAL", `iova ${hex(iova)} is not a multiple of ${this.#alignmentInWords()}`, "alignment");
		const last = iova + length - 1n;
		if (last > LAST_IOVA)
			throw new Errno(
				"EOVERFLOW",
				`a mapping from iova ${hex(iova)} on of length ${hex(length)} goes beyond the 64-bit space`,
				"overflow",
			);
		const reserved = this.ranges.reservedIn(iova, last);
		if (reserved !== undefined)
			throw new Errno(
				"EINVAL",
				`${hex(iova)} to ${hex(last)} touches ${inWords(reserved)}, which is reserved in ${this.name}: ${reserved.what}`,
				"reserved-iova",
			);
		const area = this.areas.firstIn(iova, last);
		if (area !== undefined)
			throw new Errno(
				"EEXIST",
				`${hex(iova)} to ${hex(last)} touches ${inWords(area)}, which is mapped in ${this.name}`,
				"mapped-already",
			);
		return iova;
	}

	#choose(slice: Slice, length: bigint): bigint {
		if (length >= LAST_IOVA / 2n)
			throw new Errno("EOVERFLOW", `no IOVA is chosen for a length of ${hex(length)}`, "no-room");
		const address = slice.pages.start + slice.startByte;
		const alignment = alignmentFor(address, length);
		if (alignment < this.alignment)
			throw new Errno(
				"EINVAL",
				`the memory at ${hex(address)} is aligned to ${hex(alignment)} only, less than ${this.#alignmentInWords()}`,
				"alignment",
			);
		const iova = this.ranges.choose(address, length, (from, room) => this.areas.taken(from, room));
		if (iova === undefined)
			throw new Errno(
				"ENOSPC",
				`${this.name} has no room for ${hex(length)} bytes aligned to ${hex(alignment)}${this.#whereInWords()}: the first and the last page of the 64-bit space are never chosen`,
				"no-room",
			);
		return iova;
	}

	#insert(slice: Slice, iova: bigint, protection: number): Area {
		if (protection & WRITE && !slice.pages.writable)
			throw new Errno(
				"EPERM",
				"the mapping that is copied is read-only, and the copy is to be writeable",
				"copy-permission",
			);
		allocation("an area");
		const area = Area.of(iova, slice.length, slice.pages, slice.startByte, protection);
		if (BigInt(area.pageOffset) & (this.alignment - 1n))
			throw new Errno(
				"EINVAL",
				`the memory begins ${hex(area.pageOffset)} bytes into a page, which is not a multiple of ${this.#alignmentInWords()}`,
				"alignment",
			);
		area.pages.addArea();
		try {
			this.areas.insert(area);
		} catch (error) {
			area.pages.removeArea();
			throw error;
		}
		return area;
	}

	/** Shows new areas in all domains, or in none. */
	#fillAll(areas: readonly Area[]): void {
		if (this.domains.length === 0) return;
		let filled = 0;
		try {
			for (; filled < areas.length; filled++) {
				this.#fillAreaInDomains(areas[filled]);
				worked(PER_AREA);
			}
		} catch (error) {
			for (let i = 0; i < filled; i++) {
				this.#emptyArea(areas[i]);
				worked(PER_AREA);
			}
			throw error;
		}
	}

	#fillAreaInDomains(area: Area): void {
		const { pages } = area;
		pages.hold(area.index, area.lastIndex);
		let mapped = 0;
		try {
			for (; mapped < this.domains.length; mapped++) area.map(this.domains[mapped], this.largePagesDisabled);
			pages.account();
		} catch (error) {
			for (const domain of this.domains.slice(0, mapped)) area.unmap(domain);
			pages.drop(area.index, area.lastIndex);
			throw error;
		}
	}

	#emptyArea(area: Area): void {
		if (this.domains.length === 0) return;
		for (const domain of this.domains) area.unmap(domain);
		area.pages.drop(area.index, area.lastIndex);
	}

	/** Shows all areas in a domain, or none. */
	#fillDomain(domain: PagingDomain): void {
		let filled = 0;
		try {
			for (const area of this.areas) {
				this.#fillAreaInDomain(area, domain);
				filled++;
				worked(PER_AREA);
			}
		} catch (error) {
			for (const area of this.areas) {
				if (filled-- === 0) break;
				area.unmap(domain);
				if (this.domains.length === 0) area.pages.drop(area.index, area.lastIndex);
				worked(PER_AREA);
			}
			throw error;
		}
	}

	#fillAreaInDomain(area: Area, domain: PagingDomain): void {
		if (this.domains.length > 0) {
			area.map(domain, this.largePagesDisabled);
			return;
		}
		const { pages } = area;
		pages.hold(area.index, area.lastIndex);
		let mapped = false;
		try {
			area.map(domain, this.largePagesDisabled);
			mapped = true;
			pages.account();
		} catch (error) {
			if (mapped) area.unmap(domain);
			pages.drop(area.index, area.lastIndex);
			throw error;
		}
	}

	/** Takes an area that no domain shows out of the map. */
	#takeOut(area: Area): void {
		this.areas.remove(area);
		this.uses.forget(area);
		area.pages.removeArea();
	}

	/**
	 * Has in-kernel users let go of an area that is to be unmapped.
	 * @throws EDEADLK when they don't
	 */
	#evictAccesses(area: Area): void {
		if (this.uses.of(area).accesses === 0) return;
		this.uses.prevent(area);
		for (const access of [...this.accesses]) access.unmap?.(area.first, area.last);
		// They let go while they are asked, or when a file of theirs that is closed already is released.
		if (this.uses.of(area).accesses > 0) this.#platform.settle();
		if (this.uses.of(area).accesses > 0)
			throw new Errno(
				"EDEADLK",
				`${this.accesses.join(" or ")} keeps ${inWords(area)} pinned after it was asked to let go`,
				"in-kernel-user",
			);
	}

	#lockersOf({ first, last }: Area): string {
		return this.accesses.filter((access) => access.hasLocked?.(first, last)).join(", ");
	}

	/** @throws EADDRINUSE when an area doesn't fit */
	#checkAlignment(alignment: bigint): void {
		const mask = alignment - 1n;
		for (const area of this.areas) {
			worked(PER_AREA);
			if (area.first & mask || area.length & mask || BigInt(area.pageOffset) & mask)
				throw new Errno(
					"EADDRINUSE",
					`${inWords(area)} is mapped in ${this.name}, and is not aligned to ${hex(alignment)}`,
					"aligned-for-domain",
				);
		}
	}

	#recalculateAlignment(): void {
		let alignment = this.largePagesDisabled ? BigInt(PAGE_SIZE) : 1n;
		for (const domain of this.domains) {
			const smallest = domain.pageSizes & -domain.pageSizes;
			if (smallest > alignment) alignment = smallest;
		}
		for (const access of this.accesses) if (access.iovaAlignment > alignment) alignment = access.iovaAlignment;
		if (alignment > this.alignment) this.#checkAlignment(alignment);
		this.alignment = alignment;
	}

	/** Who wants it to be aligned so much, for a reason. */
	#whoAligns(): string {
		const domain = this.domains.find(({ pageSizes }) => (pageSizes & -pageSizes) === this.alignment);
		if (domain !== undefined) return `the smallest page of ${this.#domainNames.get(domain)}`;
		const access = this.accesses.find(({ iovaAlignment }) => iovaAlignment === this.alignment);
		return access === undefined ? "the option HUGE_PAGES is 0" : `what ${access} pins`;
	}

	/** Where an IOVA is looked for. */
	#whereInWords(): string {
		return this.ranges.hasAllowed ? " in what ALLOW_IOVAS allows" : "";
	}

	#alignmentInWords(): string {
		return `${hex(this.alignment)}, the alignment of ${this.name} (${this.#whoAligns()})`;
	}
}

/** For a reason: "0x1000 to 0x1fff". */
export function inWords(interval: Interval): string {
	return `${hex(interval.first)} to ${hex(interval.last)}`;
}
