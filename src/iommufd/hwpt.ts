// The hardware page table: an object around a domain. drivers/iommu/iommufd/hw_pagetable.c.

import type { Domain, NestedDomain, PagingDomain } from "../iommu/core/iommu.js";
import { Errno } from "../uapi/errno.js";
import { HwptAllocFlags } from "../uapi/iommufd.js";
import type { FaultQueue } from "./fault-queue.js";
import type { Ioas } from "./ioas.js";
import { IommufdObject, type ObjectKind } from "./object.js";
import type { Viommu } from "./viommu.js";

export abstract class Hwpt extends IommufdObject {
	abstract override readonly kind: ObjectKind;
	abstract readonly domain: Domain;
	/** Whether it may be attached to a PASID, or to a device that has something attached to a PASID. */
	readonly pasidCompatible: boolean;
	/** Gets the page faults of devices that are attached; absent where they can't fault. */
	#faultQueue: FaultQueue | undefined;

	constructor(id: number, flags: number) {
		super(id);
		this.pasidCompatible = (flags & HwptAllocFlags.PASID) !== 0;
	}

	/** The HWPT whose IOAS the devices' reserved regions come from. */
	abstract get paging(): PagingHwpt;

	/** What it was made on. */
	protected abstract get base(): IommufdObject;

	get faultQueue(): FaultQueue | undefined {
		return this.#faultQueue;
	}

	/** Before the first attach: has page faults go to a queue. */
	sendFaultsTo(queue: FaultQueue): void {
		this.#faultQueue = queue;
		queue.users++;
		this.domain.faultHandler = (group) => queue.deliver(group);
	}

	override uses(): readonly IommufdObject[] {
		const base = this.base;
		return this.#faultQueue === undefined ? [base] : [base, this.#faultQueue];
	}

	/** The part of destroy() that all kinds have. */
	protected freeDomain(): void {
		this.domain.free();
		if (this.#faultQueue) this.#faultQueue.users--;
	}

	override toString(): string {
		return `HWPT ${this.id}`;
	}
}

/** A HWPT that shows an IOAS. */
export class PagingHwpt extends Hwpt {
	override readonly kind = "HWPT_PAGING";
	override readonly domain: PagingDomain;
	readonly ioas: Ioas;
	readonly isNestParent: boolean;
	/** Made for an attach to the IOAS: shared by such devices, and destroyed with the last of them. */
	isAutomatic = false;
	enforcesCacheCoherency = false;

	constructor(id: number, flags: number, ioas: Ioas, domain: PagingDomain) {
		super(id, flags);
		this.ioas = ioas;
		this.domain = domain;
		this.isNestParent = (flags & HwptAllocFlags.NEST_PARENT) !== 0;
		ioas.users++;
	}

	override get paging(): PagingHwpt {
		return this;
	}

	protected override get base(): Ioas {
		return this.ioas;
	}

	/** Maps the IOAS into the domain, and keeps it so. */
	show(): void {
		this.ioas.map.addDomain(this.domain, this.toString());
		this.ioas.hwpts.push(this);
	}

	/** Before the first map: every DMA through the domain snoops the CPU's caches, whatever the device asks for. */
	enforceCacheCoherency(): void {
		this.enforcesCacheCoherency ||= this.domain.enforceCacheCoherency?.() ?? false;
		if (!this.enforcesCacheCoherency)
			throw new Errno(
				"EINVAL",
				`${this.domain.driver.name} can't make this domain enforce cache coherency`,
				"cache-coherency",
			);
	}

	override destroy(): void {
		const at = this.ioas.hwpts.indexOf(this);
		if (at >= 0) {
			this.ioas.hwpts.splice(at, 1);
			this.ioas.map.removeDomain(this.domain);
		}
		this.freeDomain();
		this.ioas.users--;
	}
}

/** A HWPT whose first stage is user space's, on top of one that shows an IOAS. */
export class NestedHwpt extends Hwpt {
	override readonly kind = "HWPT_NESTED";
	override readonly domain: NestedDomain;
	readonly parent: PagingHwpt;
	/** The parent, or a vIOMMU that is on the parent. */
	protected override readonly base: PagingHwpt | Viommu;

	constructor(id: number, flags: number, base: PagingHwpt | Viommu, domain: NestedDomain) {
		super(id, flags);
		this.parent = base instanceof PagingHwpt ? base : base.hwpt;
		this.domain = domain;
		this.base = base;
		base.users++;
	}

	override get paging(): PagingHwpt {
		return this.parent;
	}

	override destroy(): void {
		this.freeDomain();
		this.base.users--;
	}
}
