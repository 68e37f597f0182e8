// The SMMUv3 driver as it was when nested translation was posted in 2023: no domain_alloc_user, and a domain is finished only
// when it is first attached, because its table depends on the SMMU, which the old op for allocation wasn't told.
// Linux 6.3, drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c; for the hardware see arm-smmu-v3.ts.

import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno } from "../../uapi/errno.js";
import { PageTableDomain } from "../core/domain.js";
import type { Device, Domain, IommuCapability, IommuDriver, PagingDomain } from "../core/iommu.js";
import type { ReservedRegion } from "../core/reserved.js";
import { Smmu, type SmmuDevice } from "./arm-smmu-v3/device.js";
import { SmmuBlockedDomain, SmmuDomain } from "./arm-smmu-v3/domains.js";
import type { SmmuRegisters } from "./arm-smmu-v3/registers.js";
import { SOFTWARE_MSI } from "./arm-smmu-v3.js";

/** Nothing of it was known to the driver then. */
const OPTIONS = { rootComplex: { ats: false, canwbs: false }, sva: false };

export class ArmSmmuDriver2023 implements IommuDriver {
	readonly name = "arm-smmu-2023";
	readonly blockedDomain = new SmmuBlockedDomain(this);
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(registers: SmmuRegisters): Smmu {
		return new Smmu(this, registers, OPTIONS, this.#memory);
	}

	capable(device: Device, capability: IommuCapability): boolean {
		return capability === "cache-coherency" && (device as SmmuDevice).iommu.features.COHACC;
	}

	domainAllocPaging(): PagingDomain {
		return new UnfinishedDomain(this, this.#memory);
	}

	reservedRegions(): ReservedRegion[] {
		return [SOFTWARE_MSI];
	}
}

/** A domain without a table, until a device is attached: then it is that device's SMMU's. */
class UnfinishedDomain extends PageTableDomain {
	readonly #memory: TableMemory;
	#finished: SmmuDomain | undefined;

	constructor(driver: IommuDriver, memory: TableMemory) {
		super(driver, undefined);
		this.#memory = memory;
	}

	override attachDevice(device: Device, old: Domain): void {
		const { iommu } = device as SmmuDevice;
		this.#finished ??= this.#finishFor(iommu);
		if (this.#finished.smmu !== iommu)
			throw new Errno(
				"EINVAL",
				`the HWPT was finished for another SMMU than the one in front of ${device.name}`,
				"domain-does-not-fit",
			);
		this.#finished.attachDevice(device, old);
	}

	override free(): void {
		this.#finished?.free();
	}

	#finishFor(smmu: Smmu): SmmuDomain {
		const request = { stage: smmu.features.S1P ? 1 : 2, tracksDirty: false, isNestParent: false } as const;
		const tags = request.stage === 1 ? smmu.asids : smmu.vmids;
		const domain = tags.allocateFor((tag) => new SmmuDomain(this.driver, smmu, request, tag, this.#memory));
		this.finish(domain.table);
		return domain;
	}
}
