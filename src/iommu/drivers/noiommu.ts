// What stands in for a driver where nothing is in front of a function: what it reads and writes are physical addresses. Its
// domains are page tables that only iommufd looks into, to tell a program which addresses those are.
// Linux: drivers/iommu/iommufd/hwpt_noiommu.c.

import { amdv1 } from "../../pagetable/formats/amdv1.js";
import { FORCE_COHERENCE, PageTable } from "../../pagetable/pagetable.js";
import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno } from "../../uapi/errno.js";
import { flagsIn } from "../../uapi/field.js";
import { HwptAllocFlags } from "../../uapi/iommufd.js";
import { PageTableDomain } from "../core/domain.js";
import type { Device, IommuDriver, PagingDomain } from "../core/iommu.js";
import { type Iommu, PciDevice } from "../core/pci.js";
import type { UserData } from "../core/user-data.js";

/** No hardware limits the table: it is AMD's because that has the most page sizes, and grows up to all of its levels. */
const TABLE = { vaBits: 64, paBits: 52, topLevel: 2, growsTop: true };

export class NoIommuDriver implements IommuDriver {
	readonly name = "noiommu";
	readonly isAbsent = true;
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(): Iommu {
		return { driver: this, probe: (pci, group) => new PciDevice(pci, this, group, 0, this) };
	}

	capable(): boolean {
		return false;
	}

	get blockedDomain(): never {
		throw new Error("nothing can keep a device without an IOMMU from memory");
	}

	domainAllocPagingFlags(_device: Device, flags: number, data: UserData | undefined): PagingDomain {
		const length = data?.length ?? 0;
		if (flags !== 0 || length !== 0)
			throw new Errno(
				"EOPNOTSUPP",
				`noiommu: flags is ${flagsIn(HwptAllocFlags, flags)} and data_len ${length}: without an IOMMU there is nothing to choose`,
				"no-user-domain",
			);
		return new NoIommuDomain(this, new PageTable(amdv1, TABLE, this.#memory));
	}
}

class NoIommuDomain extends PageTableDomain {
	/** A device without an IOMMU is never attached to it as far as this: this one has an IOMMU, which can't walk the table. */
	override attachDevice(device: Device): never {
		throw new Errno(
			"ENODEV",
			`${device.name} is behind ${device.driver.name}, and no IOMMU walks a table of noiommu's`,
			"noiommu-mix",
		);
	}

	override map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void {
		super.map(va, pa, count, protection | FORCE_COHERENCE, allowedSizes);
	}
}
