// VFIO's own back end of a container: what is mapped in it, and the domains that its groups are attached to.
// drivers/vfio/vfio_iommu_type1.c. It differs from iommufd, which can stand in for it (iommufd/vfio-compat.ts): mappings are pinned
// one by one and charged to the process, there is a limit for how many there are, and memory of devices can be mapped.

import { allocation } from "../../faults/faults.js";
import type { MemoryBudget } from "../../faults/memory-budget.js";
import { Undo } from "../../faults/undo.js";
import type { Device, Group, PagingDomain, Stretch } from "../../iommu/core/iommu.js";
import { type ReservedRegion, regionInWords } from "../../iommu/core/reserved.js";
import type { AddressMap, MappingHistory, Range } from "../../iommu/dma/mapping-history.js";
import { ordinaryDomain } from "../../iommufd/hwpt-policy.js";
import { Extents, PAGE_SIZE, PINNABLE_END } from "../../memory/address-space.js";
import type { Frames } from "../../memory/frames.js";
import type { Memlock } from "../../memory/memlock.js";
import { pageOf } from "../../memory/page-number.js";
import { giveRunsBack, takeRuns } from "../../memory/runs.js";
import { powerOfTwo } from "../../pagetable/bits.js";
import { Errno, hex } from "../../uapi/errno.js";
import { worked } from "../../uapi/slices.js";
import { DirtyBits } from "./dirty-bits.js";
import { commonAperture, IovaList } from "./iova-list.js";
import { Mapping, type MappingOwner, Mappings } from "./mapping.js";

/** The parameter dma_entry_limit of the module. */
export const DMA_ENTRY_LIMIT = 0xffff;

/** What a mapping takes, and each stretch of pages that is pinned for it, in bytes. */
const MAPPING_BYTES = 200;
const PINNED_BYTES = 64;
/** What it takes to map or unmap one, as slices.ts counts. */
const PER_MAPPING = 200;

const PAGE_BITS = BigInt(PAGE_SIZE - 1);
const ALL_SIZES = (1n << 64n) - 1n;
const found = new Extents();

/** What a container of a machine works with. */
export interface Type1Platform {
	readonly frames: Frames;
	readonly memlock: Memlock;
	readonly budget: MemoryBudget;
	/** Who remembers what was mapped and unmapped; absent where nobody asks. */
	readonly history?: MappingHistory | undefined;
	/** Has closed files released, before a limit is found to be exceeded for their sake. */
	settle(): void;
}

/** A domain, and the groups that share it. */
interface SharedDomain {
	readonly domain: PagingDomain;
	readonly groups: Set<Group>;
	readonly enforcesCacheCoherency: boolean;
}

export class Type1 implements AddressMap {
	readonly name = "the container";
	/** Whether a mapping can only be unmapped as a whole, and dirty pages can be tracked. */
	readonly isV2: boolean;
	readonly mappings = new Mappings();
	/** How many mappings more there can be. */
	available = DMA_ENTRY_LIMIT;
	/** The page sizes that all domains have, in bytes as a bitmap; none is smaller than the CPU's. */
	pageSizes = ALL_SIZES & ~PAGE_BITS;
	iovas = IovaList.empty;
	isTrackingDirtyPages = false;
	/** The newest first. */
	#domains: SharedDomain[] = [];
	#invalidVaddrs = 0;
	readonly #platform: Type1Platform;

	constructor(platform: Type1Platform, isV2: boolean) {
		allocation("what VFIO keeps of an IOMMU");
		this.#platform = platform;
		this.isV2 = isV2;
		platform.history?.add(this);
	}

	/** The smallest page that can be mapped, in bytes. */
	get pageSize(): bigint {
		return this.pageSizes & -this.pageSizes;
	}

	/** Whether no device's request can get around the CPU's caches. */
	get enforcesCacheCoherency(): boolean {
		return this.#domains.every((shared) => shared.enforcesCacheCoherency);
	}

	/** What the groups translate through. */
	get domains(): readonly PagingDomain[] {
		return this.#domains.map(({ domain }) => domain);
	}

	// --- Groups ---

	/**
	 * Attaches a group: to a domain that is there and fits, or to another one, which shows all that is mapped.
	 * @throws EBUSY while a mapping's address is invalid, EINVAL when what the group can't use is mapped, EPERM for a group whose devices could forge
	 * interrupts, and what the driver throws
	 */
	attachGroup(group: Group): void {
		if (this.#invalidVaddrs > 0)
			throw new Errno(
				"EBUSY",
				`${this.#invalidVaddrs} mappings wait for their new addresses: a group can't be added`,
				"vaddr",
			);
		allocation("a group of a container");
		allocation("a domain of a container");
		const domain = ordinaryDomain(group.devices[0]);
		let isAttached = false;
		try {
			group.attach(domain, this);
			isAttached = true;
			const regions = reservedInGroup(group);
			const iovas = this.#iovasWith(group, domain, regions);
			checkInterrupts(group);
			const enforcesCacheCoherency = domain.enforceCacheCoherency?.(group.devices) ?? false;
			const shared = this.#shareDomain(group, domain, enforcesCacheCoherency);
			if (!shared) {
				this.#showAll(domain);
				this.#domains.unshift({ domain, groups: new Set([group]), enforcesCacheCoherency });
				this.#updatePageSizes();
			}
			this.iovas = iovas;
		} catch (error) {
			if (isAttached) group.detach();
			domain.free();
			throw error;
		}
	}

	/** Undoes attachGroup(). With the last domain all mappings go. */
	detachGroup(group: Group): void {
		const shared = this.#domains.find(({ groups }) => groups.has(group));
		if (shared === undefined) return;
		group.detach();
		shared.groups.delete(group);
		let iovas = this.iovas;
		if (shared.groups.size === 0) {
			if (this.#domains.length === 1) this.unmapAll();
			shared.domain.free();
			this.#domains = this.#domains.filter((other) => other !== shared);
			iovas = iovas.widenedTo(commonAperture(this.domains.map(({ aperture }) => aperture)));
			this.#updatePageSizes();
		}
		// Other groups may have reserved the same, so what is left is found out anew.
		const groups = this.#domains.flatMap((other) => [...other.groups]);
		if (iovas.ranges.length > 0) this.iovas = iovas.whole.without(groups.flatMap(reservedInGroup));
	}

	/** The container has no group any more. */
	release(): void {
		this.unmapAll();
		this.#platform.history?.remove(this);
		for (const { domain, groups } of this.#domains) {
			for (const group of groups) group.detach();
			domain.free();
		}
		this.#domains = [];
	}

	/** What can be mapped with a group more. @throws EINVAL */
	#iovasWith(group: Group, { aperture }: PagingDomain, regions: readonly ReservedRegion[]): IovaList {
		const conflict = this.iovas.conflictWith(aperture, (first, last) => this.mappings.touches(first, last));
		if (conflict !== undefined)
			throw new Errno("EINVAL", `a domain for group ${group.id} doesn't fit: ${conflict}`, "domain-does-not-fit");
		for (const { kind, first, last } of regions)
			if (kind !== "direct-relaxable" && this.mappings.touches(first, last))
				throw new Errno(
					"EINVAL",
					`something is mapped in ${hex(first)} to ${hex(last)}, which group ${group.id} can't use (${kind})`,
					"group-iovas",
				);
		return this.iovas.narrowedTo(aperture).without(regions);
	}

	/** Who can't use a range, in words. */
	#whyNotUsable({ first, last }: Mapping): string {
		for (const { domain, groups } of this.#domains) {
			for (const device of [...groups].flatMap(({ devices }) => devices)) {
				const region = reservedOf(device).find((region) => region.first <= last && region.last >= first);
				if (region !== undefined)
					return `${hex(region.first)} to ${hex(region.last)} is ${regionInWords(region, device.name)}`;
			}
			const { aperture } = domain;
			if (first < aperture.first || last > aperture.last)
				return `a group's IOMMU translates ${hex(aperture.first)} to ${hex(aperture.last)} only`;
		}
		return "it isn't in the list of IOVAs that the container's groups can use";
	}

	/** Has a group go over to a domain that is there, if one takes it; the group's own isn't needed then. */
	#shareDomain(group: Group, own: PagingDomain, enforcesCacheCoherency: boolean): boolean {
		for (const shared of this.#domains) {
			const { domain } = shared;
			if (domain.constructor !== own.constructor || shared.enforcesCacheCoherency !== enforcesCacheCoherency) continue;
			group.detach();
			try {
				group.attach(domain, this);
			} catch (error) {
				if (!(error instanceof Errno)) throw error;
				group.attach(own, this);
				continue;
			}
			shared.groups.add(group);
			own.free();
			return true;
		}
		return false;
	}

	/** Maps all that there is into a new domain, or nothing. */
	#showAll(domain: PagingDomain): void {
		const shown: Mapping[] = [];
		try {
			for (const mapping of this.mappings) {
				this.#putIn(mapping, domain);
				shown.push(mapping);
				worked(PER_MAPPING);
			}
		} catch (error) {
			for (const mapping of shown) {
				this.#takeOut(mapping, [domain]);
				worked(PER_MAPPING);
			}
			throw error;
		}
		domain.stretches = () => this.#stretchesIn(domain);
	}

	*#stretchesIn({ table }: PagingDomain): Iterable<Stretch> {
		const perPage = PAGE_SIZE / powerOfTwo(table.format.granuleLg2);
		for (const { page, count } of this.mappings) yield { first: page * perPage, count: count * perPage };
	}

	#updatePageSizes(): void {
		let sizes = ALL_SIZES;
		for (const { domain } of this.#domains) sizes &= domain.pageSizes;
		this.pageSizes = sizes & PAGE_BITS ? (sizes & ~PAGE_BITS) | BigInt(PAGE_SIZE) : sizes;
	}

	nearest(iova: bigint): { below: Range | undefined; above: Range | undefined } {
		return this.mappings.nearest(pageOf(iova));
	}

	// --- Mappings ---

	/**
	 * Pins memory of the caller and maps it.
	 * @param page of IOVA, aligned as pageSize says, and so is all the rest
	 * @param memoryPage of the owner's memory
	 * @throws EEXIST, ENOSPC when there are too many, EINVAL where the container can't map, EFAULT, ENOMEM
	 */
	map(
		page: number,
		memoryPage: number,
		count: number,
		protection: number,
		isWritten: boolean,
		owner: MappingOwner,
	): void {
		const other = this.mappings.firstIn(page, page + count - 1);
		const mapping = new Mapping(page, count, protection, owner);
		if (other !== undefined) throw new Errno("EEXIST", `${mapping} can't be made: ${other} is there`, "unmap-first");
		if (this.available === 0)
			throw new Errno(
				"ENOSPC",
				`the container has ${this.mappings.size} mappings, as many as it may have`,
				"mapping-limit",
			);
		if (!this.iovas.allows(mapping.first, mapping.last))
			throw new Errno("EINVAL", `${mapping} can't be made: ${this.#whyNotUsable(mapping)}`, "group-iovas");
		allocation("a mapping of a container");
		this.#pin(mapping, memoryPage, isWritten);
		using undo = new Undo();
		undo.push(() => this.#unpin(mapping));
		this.#putInAll(mapping);
		undo.push(() => this.#takeOut(mapping, this.domains));
		if (this.isTrackingDirtyPages) mapping.dirty = this.#dirtyBitsOf(mapping);
		undo.keep();
		this.mappings.add(mapping);
		this.available--;
		this.#platform.history?.mapped(this, mapping.first, mapping.last);
	}

	/** Unmaps and unpins some that are there, and follow one another. */
	unmap(mappings: readonly Mapping[]): void {
		this.mappings.remove(mappings);
		for (const mapping of mappings) {
			this.#forget(mapping);
			worked(PER_MAPPING);
		}
	}

	unmapAll(): void {
		this.unmap([...this.mappings]);
	}

	#forget(mapping: Mapping): void {
		this.#takeOut(mapping, this.domains);
		this.#unpin(mapping);
		this.#platform.history?.unmapped(this, mapping.first, mapping.last);
		if (mapping.isVaddrInvalid) this.#invalidVaddrs--;
		this.available++;
	}

	/** The program will say later where the memory is. What is pinned stays. */
	invalidateVaddr(mapping: Mapping): void {
		mapping.isVaddrInvalid = true;
		this.#invalidVaddrs++;
	}

	/** Takes that back. */
	revalidateVaddr(mapping: Mapping): void {
		mapping.isVaddrInvalid = false;
		this.#invalidVaddrs--;
	}

	/**
	 * The memory of a mapping is another process's from now on, which is charged for it.
	 * @throws ENOENT where nothing is mapped, EINVAL for what wasn't invalidated, or not as a whole, ENOMEM
	 */
	updateVaddr(page: number, count: number, owner: MappingOwner): void {
		const mapping = this.mappings.firstIn(page, page + count - 1);
		if (mapping === undefined)
			throw new Errno("ENOENT", "a new address is given for IOVAs at which nothing is mapped", "vaddr");
		if (!mapping.isVaddrInvalid)
			throw new Errno(
				"EINVAL",
				`${mapping} has an address: UNMAP_DMA with the flag VADDR comes before a new one`,
				"vaddr",
			);
		if (mapping.page !== page || mapping.count !== count)
			throw new Errno("EINVAL", `a new address is for all of ${mapping}, or for none of it`, "vaddr");
		if (owner.space !== mapping.owner.space) {
			const { memlock } = this.#platform;
			memlock.lock(owner.space, owner.isUnlimited ? undefined : owner.owner, mapping.locked);
			memlock.unlock(mapping.owner.space, mapping.locked);
			mapping.owner = owner;
		}
		this.revalidateVaddr(mapping);
	}

	// --- Dirty pages ---

	/** @throws EINVAL for a mapping with more pages than can be tracked; nothing is tracked then */
	startTracking(): void {
		if (this.isTrackingDirtyPages) return;
		const all = [...this.mappings];
		const bits = all.map((mapping) => this.#dirtyBitsOf(mapping));
		all.forEach((mapping, index) => {
			mapping.dirty = bits[index];
		});
		this.isTrackingDirtyPages = true;
	}

	stopTracking(): void {
		if (!this.isTrackingDirtyPages) return;
		this.isTrackingDirtyPages = false;
		for (const mapping of this.mappings) mapping.dirty = undefined;
	}

	#dirtyBitsOf({ count }: Mapping): DirtyBits {
		const bits = new DirtyBits(count / (Number(this.pageSize) / PAGE_SIZE));
		allocation("the bitmap of a mapping", "fail_page_alloc");
		return bits;
	}

	// --- Pins ---

	/**
	 * Pins and charges what a mapping shows. The memory is looked at from its beginning: what comes first, too much of it or a page that
	 * isn't there, decides the errno.
	 */
	#pin(mapping: Mapping, memoryPage: number, isWritten: boolean): void {
		const problem = resolve(mapping, memoryPage, isWritten);
		let locked = 0;
		for (let i = 0; i < found.length; i++) if (!found.backing[i].isDeviceMemory) locked += found.count[i];
		this.#charge(mapping.owner, locked);
		if (problem !== undefined) {
			this.#platform.memlock.unlock(mapping.owner.space, locked);
			throw problem;
		}
		mapping.locked = locked;
		using undo = new Undo();
		undo.push(() => this.#platform.memlock.unlock(mapping.owner.space, locked));
		mapping.bytes = MAPPING_BYTES + found.length * PINNED_BYTES;
		this.#platform.budget.areas.charge(mapping.bytes);
		undo.push(() => this.#platform.budget.areas.uncharge(mapping.bytes));
		this.#platform.frames.pinAll(found);
		undo.keep();
		const pinned = [];
		for (let i = 0; i < found.length; i++)
			pinned.push({ backing: found.backing[i], page: found.page[i], count: found.count[i] });
		mapping.pinned = pinned;
	}

	#charge({ space, owner, isUnlimited }: MappingOwner, pages: number): void {
		const { memlock } = this.#platform;
		const limited = isUnlimited ? undefined : owner;
		try {
			memlock.lock(space, limited, pages);
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			// A file that was closed just now may hold what is missing.
			this.#platform.settle();
			memlock.lock(space, limited, pages);
		}
	}

	#unpin(mapping: Mapping): void {
		for (const { backing, page, count } of mapping.pinned) this.#platform.frames.unpin(backing, page, count);
		this.#platform.memlock.unlock(mapping.owner.space, mapping.locked);
		this.#platform.budget.areas.uncharge(mapping.bytes);
	}

	// --- Page tables ---

	#putInAll(mapping: Mapping): void {
		const done: PagingDomain[] = [];
		try {
			for (const { domain } of this.#domains) {
				this.#putIn(mapping, domain);
				done.push(domain);
			}
		} catch (error) {
			this.#takeOut(mapping, done);
			throw error;
		}
	}

	/** Maps what is pinned into a domain, as large as its pages can be. */
	#putIn(mapping: Mapping, domain: PagingDomain): void {
		const perPage = PAGE_SIZE / powerOfTwo(domain.table.format.granuleLg2);
		const { frames } = this.#platform;
		const runs = takeRuns();
		const start = mapping.page * perPage;
		let at = start;
		const put = (ready: number): void => {
			for (let i = 0; i < ready; i++) {
				const count = runs.count[i] * perPage;
				domain.map(at, runs.frame[i] * perPage, count, mapping.protection, domain.pageSizes);
				at += count;
			}
		};
		try {
			for (const { backing, page, count } of mapping.pinned) {
				let done = frames.runs(backing, page, count, runs);
				while (done < count) {
					// The last one may go on, and is mapped as a whole: how large its pages are depends on that.
					put(runs.length - 1);
					runs.keepLast();
					done += frames.runs(backing, page + done, count - done, runs);
				}
			}
			put(runs.length);
		} catch (error) {
			if (at > start) domain.unmap(start, at - start);
			throw error;
		} finally {
			giveRunsBack(runs);
		}
		domain.hasMapped(start, at - start);
	}

	#takeOut({ page, count }: Mapping, domains: readonly PagingDomain[]): void {
		for (const domain of domains) {
			const perPage = PAGE_SIZE / powerOfTwo(domain.table.format.granuleLg2);
			domain.unmap(page * perPage, count * perPage);
		}
	}
}

/**
 * Finds what is behind the pages of a mapping, as `found`: all of it, or as far as it is there.
 * @returns why it isn't all
 */
function resolve({ count, owner }: Mapping, memoryPage: number, isWritten: boolean): Errno | undefined {
	found.clear();
	const end = Math.min(memoryPage + count, PINNABLE_END / PAGE_SIZE);
	try {
		if (memoryPage < end) owner.space.resolve(memoryPage, end - memoryPage, isWritten, found);
	} catch (error) {
		if (!(error instanceof Errno)) throw error;
		return error;
	}
	if (end === memoryPage + count) return undefined;
	return new Errno(
		"EFAULT",
		`page ${hex(Math.max(memoryPage, end))} of the memory is beyond what a program can have`,
		"user-address",
	);
}

function reservedOf(device: Device): readonly ReservedRegion[] {
	return device.driver.reservedRegions?.(device) ?? [];
}

function reservedInGroup({ devices }: Group): ReservedRegion[] {
	return devices.flatMap(reservedOf);
}

/** @throws EPERM for devices that could forge interrupts: the module's parameter allow_unsafe_interrupts isn't set */
function checkInterrupts({ devices }: Group): void {
	for (const device of devices)
		if (device.driver.isolatesInterrupts?.(device) === false)
			throw new Errno(
				"EPERM",
				`${device.name} could forge interrupts, which no IOMMU remaps: its group is in nobody's container`,
				"interrupt-remapping",
			);
}
