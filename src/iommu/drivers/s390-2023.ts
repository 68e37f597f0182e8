// s390's driver as it was when nested translation was posted in 2023: no domain_alloc_user, so only the fallback serves it.
// Linux 6.3, drivers/iommu/s390-iommu.c: tables begin with region-third, and what lies behind the window is always taken away.

import type { TableMemory } from "../../pagetable/table-memory.js";
import type { Device, IommuCapability, IommuDriver, PagingDomain } from "../core/iommu.js";
import type { ReservedRegion } from "../core/reserved.js";
import { type S390Device, S390Iommu } from "./s390/device.js";
import { S390BlockedDomain, S390Domain } from "./s390/domain.js";
import type { QueryFunction } from "./s390/window.js";

/** The last address that a region-third table translates. */
const LAST_OF_TABLE = (1n << 42n) - 1n;

export class S390Driver2023 implements IommuDriver {
	readonly name = "s390-2023";
	readonly blockedDomain = new S390BlockedDomain(this);
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(query: Omit<QueryFunction, "dtsm">): S390Iommu {
		return new S390Iommu(this, { ...query, dtsm: 0 });
	}

	capable(_device: Device, capability: IommuCapability): boolean {
		return capability === "cache-coherency";
	}

	domainAllocPaging(device: Device): PagingDomain {
		return new S390Domain(this, (device as S390Device).window, this.#memory);
	}

	reservedRegions(device: Device): ReservedRegion[] {
		const { window } = device as S390Device;
		return [...window.before, ...window.after(LAST_OF_TABLE)];
	}
}
