// A domain: one translation that devices can be attached to. struct iommu_domain and its ops in include/linux/iommu.h.
//
// IOVAs and physical addresses that go through map, unmap and translate are counted in the granules of the domain's page
// table (2^granuleLg2 bytes), as doubles; ranges in bytes are bigints.

import type { PageTable } from "../../pagetable/pagetable.js";
import { Errno } from "../../uapi/errno.js";
import type { Access } from "../translation/access.js";
import type { FirstStage } from "../translation/first-stage.js";
import type { GuestMemory } from "../translation/guest-memory.js";
import { Iotlb } from "../translation/iotlb.js";
import type { Device } from "./device.js";
import type { IommuDriver } from "./driver.js";
import type { FaultHandler } from "./fault.js";
import type { Pasid } from "./pasid.js";
import type { UserDataArray } from "./user-data.js";

export type DomainType = "paging" | "nested" | "blocked" | "identity";

export abstract class Domain {
	abstract readonly type: DomainType;
	/** Whose domain it is: a device of another driver can't be attached. */
	readonly driver: IommuDriver;
	/** Who takes page faults of this domain. A driver looks only at whether there is one: then devices may fault. */
	faultHandler: FaultHandler | undefined;

	constructor(driver: IommuDriver) {
		this.driver = driver;
	}

	/**
	 * Makes the device translate its untagged requests through this domain.
	 * @throws EINVAL when this device can't use this domain (the core may then try another); other errors end the attach
	 */
	abstract attachDevice(device: Device, old: Domain): void;

	/** The same for requests with a PASID. Absent where the driver has no PASIDs. */
	setDevicePasid?(device: Device, pasid: Pasid, old: Domain | undefined): void;

	/** Gives everything back. Nothing is attached any more. */
	abstract free(): void;
}

/** A domain whose translation the kernel keeps, in an I/O page table. */
export abstract class PagingDomain extends Domain {
	override readonly type = "paging";
	/** Page sizes in bytes as a bitmap; 4096 or something smaller is among them. */
	pageSizes = 4096n;
	/** The IOVAs that it translates, in bytes, both ends included. */
	aperture = { first: 0n, last: (1n << 64n) - 1n };
	/** Present where the domain was made to track what devices write. */
	dirtyTracking: DirtyTracking | undefined;
	/** How often what IOMMUs have cached of the table was flushed. What was cached before the last time doesn't count. */
	flushes = 0;
	#table: PageTable | undefined;

	/** @param table undefined where the driver finishes its domains only when they are attached: see finish() */
	constructor(driver: IommuDriver, table: PageTable | undefined) {
		super(driver);
		if (table !== undefined) this.finish(table);
	}

	/** @throws ENODEV while the domain is not finished */
	get table(): PageTable {
		if (this.#table === undefined)
			throw new Errno(
				"ENODEV",
				`${this.driver.name} finishes a domain when it is first attached: nothing can be mapped before that`,
			);
		return this.#table;
	}

	/** Whether it has its page table. */
	get isFinished(): boolean {
		return this.#table !== undefined;
	}

	/** Gives the domain its page table, and what follows from it. */
	protected finish(table: PageTable): void {
		this.#table = table;
		this.pageSizes = table.pageSizes;
		this.aperture = { first: table.firstAddress, last: table.lastAddress };
	}

	/** Maps frames as PageTable.map does; a driver may have to refuse some, or want more in every entry. */
	map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void {
		this.table.map(va, pa, count, protection, allowedSizes);
	}

	/** Unmaps frames as PageTable.unmap does, and flushes what IOMMUs have cached: iommu_unmap(). */
	unmap(va: number, count: number): number {
		this.flushes++;
		return this.table.unmap(va, count);
	}

	/** Whether the IOMMU marks leaves as accessed and dirty. */
	get marksLeaves(): boolean {
		return this.dirtyTracking?.enabled ?? false;
	}

	/** Makes every request snoop the CPU's caches from now on; false where the IOMMU can't. Called before any map. */
	enforceCacheCoherency?(): boolean;

	override free(): void {
		this.#table?.free();
	}
}

/** Recording which pages devices have written. */
export interface DirtyTracking {
	enabled: boolean;
	/** @throws EINVAL where it can't be switched now */
	set(enable: boolean): void;
}

/** A domain whose first stage is in the hands of user space, and whose second stage is a paging domain. */
export abstract class NestedDomain extends Domain {
	override readonly type = "nested";
	/** What the IOMMU has cached of the first stage. Domains that the hardware doesn't tell apart share one. */
	readonly tlb: Iotlb;
	/** Whether requests with any PASID go through what the device itself is attached to. */
	readonly bringsPasids: boolean = false;

	constructor(driver: IommuDriver, tlb = new Iotlb()) {
		super(driver);
		this.tlb = tlb;
	}

	/** Translates what the first stage puts out. Undefined for a domain that no DMA can go through. */
	get secondStage(): PagingDomain | undefined {
		return undefined;
	}

	/**
	 * Where the first stage for an access is; undefined when the guest has it bypass that.
	 * @param fresh what the guest's memory says now, rather than what the IOMMU has cached of it
	 * @throws DmaFault when the guest has the request refused, or has made a mistake
	 */
	firstStageFor?(access: Access, memory: GuestMemory, fresh: boolean): FirstStage | undefined;

	/**
	 * What the IOMMU has cached of where the first stage for a request is, if anything: `stage` as firstStageFor() gives it.
	 * Absent where it caches nothing of that.
	 */
	cachedFirstStage?(access: Access): { readonly stage: FirstStage | undefined } | undefined;

	/**
	 * Carries out invalidations that user space queued, in order.
	 * Sets `array.done` to how many were carried out, also when it throws.
	 */
	invalidateCache?(array: UserDataArray): void;
}
