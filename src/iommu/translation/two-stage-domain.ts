// A nested domain as an access goes through it: a first stage that the guest keeps in its memory, and what comes out of that through
// the second stage.

import { BaseDomain } from "../core/domain.js";
import type { IommuDriver, NestedDomain, PagingDomain } from "../core/iommu.js";
import type { UserDataArray } from "../core/user-data.js";
import type { Access } from "./access.js";
import type { FirstStage } from "./first-stage.js";
import type { GuestMemory } from "./guest-memory.js";
import { Iotlb } from "./iotlb.js";

export abstract class TwoStageDomain extends BaseDomain implements NestedDomain {
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

	invalidateCache?(array: UserDataArray): void;
}
