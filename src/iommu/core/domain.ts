// What drivers make their domains of. struct iommu_domain and its ops in include/linux/iommu.h; iommu.ts says what each op is for.

import type { PageTable } from "../../pagetable/pagetable.js";
import { Errno } from "../../uapi/errno.js";
import type {
	Device,
	DirtyTracking,
	Domain,
	DomainType,
	DomainWatcher,
	FaultHandler,
	IommuDriver,
	PagingDomain,
	Stretch,
} from "./iommu.js";
import { Notes } from "./notes.js";
import type { Pasid } from "./pasid.js";

export abstract class BaseDomain implements Domain {
	abstract readonly type: DomainType;
	readonly driver: IommuDriver;
	faultHandler: FaultHandler | undefined;

	constructor(driver: IommuDriver) {
		this.driver = driver;
	}

	abstract attachDevice(device: Device, old: Domain): void;

	setDevicePasid?(device: Device, pasid: Pasid, old: Domain | undefined): void;

	abstract free(): void;
}

/** A paging domain, which has its page table from the beginning, or gets it later. */
export abstract class PageTableDomain extends BaseDomain implements PagingDomain {
	override readonly type = "paging";
	pageSizes = 4096n;
	aperture = { first: 0n, last: (1n << 64n) - 1n };
	dirtyTracking: DirtyTracking | undefined;
	flushes = 0;
	readonly watchers = new Set<DomainWatcher>();
	stretches: () => Iterable<Stretch> = () => [];
	readonly notes = new Notes();
	#table: PageTable | undefined;

	/** @param table undefined where the driver finishes its domains only when they are attached: see finish() */
	constructor(driver: IommuDriver, table: PageTable | undefined) {
		super(driver);
		if (table !== undefined) this.finish(table);
	}

	get table(): PageTable {
		if (this.#table === undefined)
			throw new Errno(
				"ENODEV",
				`${this.driver.name} finishes a domain when it is first attached: nothing can be mapped before that`,
				"deferred-domain",
			);
		return this.#table;
	}

	get isFinished(): boolean {
		return this.#table !== undefined;
	}

	/** Gives the domain its page table, and what follows from it. */
	protected finish(table: PageTable): void {
		this.#table = table;
		this.pageSizes = table.pageSizes;
		this.aperture = { first: table.firstAddress, last: table.lastAddress };
	}

	map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void {
		this.table.map(va, pa, count, protection, allowedSizes);
	}

	hasMapped(first: number, count: number): void {
		if (this.watchers.size > 0) for (const watcher of this.watchers) watcher.mapped({ first, count });
	}

	unmap(va: number, count: number): number {
		this.flushes++;
		const unmapped = this.table.unmap(va, count);
		if (this.watchers.size > 0) for (const watcher of this.watchers) watcher.unmapped({ first: va, count });
		this.notes.tell();
		return unmapped;
	}

	get marksLeaves(): boolean {
		return this.dirtyTracking?.enabled ?? false;
	}

	enforceCacheCoherency?(attached?: readonly Device[]): boolean;

	override free(): void {
		this.#table?.free();
	}
}
