// s390's PCI functions: each one has its own I/O address translation, with tables like the CPU's.
// z/Architecture Principles of Operation, "Dynamic Address Translation"; arch/s390/include/asm/pci_dma.h for the I/O
// translation anchor. Linux: drivers/iommu/s390-iommu.c. It has no op for user data.

import type { TableMemory } from "../../pagetable/table-memory.js";
import type { Device, IommuCapability, IommuDriver, PagingDomain } from "../core/iommu.js";
import type { ReservedRegion } from "../core/reserved.js";
import { type S390Device, S390Iommu } from "./s390/device.js";
import { S390BlockedDomain, S390Domain } from "./s390/domain.js";
import type { QueryFunction } from "./s390/window.js";

export class S390Driver implements IommuDriver {
	readonly name = "s390";
	readonly blockedDomain = new S390BlockedDomain(this);
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(query: QueryFunction): S390Iommu {
		return new S390Iommu(this, query);
	}

	capable(_device: Device, capability: IommuCapability): boolean {
		return capability === "cache-coherency" || capability === "deferred-flush";
	}

	domainAllocPaging(device: Device): PagingDomain {
		return new S390Domain(this, (device as S390Device).window, this.#memory);
	}

	/** What lies behind the function's window is taken away only while a table is attached: as in Linux. */
	reservedRegions(device: Device): ReservedRegion[] {
		const { window, domain } = device as S390Device;
		return domain === undefined ? window.before : [...window.before, ...window.after(domain.aperture.last)];
	}
}
