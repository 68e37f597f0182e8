// A domain of s390: region, segment and page tables, and the anchor that points to them. arch/s390/include/asm/pci_dma.h

import { s390 } from "../../../pagetable/formats/s390.js";
import { PageTable } from "../../../pagetable/pagetable.js";
import type { TableMemory } from "../../../pagetable/table-memory.js";
import { BaseDomain, PageTableDomain } from "../../core/domain.js";
import type { Device, IommuDriver } from "../../core/iommu.js";
import type { S390Device } from "./device.js";
import { type DmaWindow, DT } from "./window.js";

/** ZPCI_IOTA_IOT_ENABLED: the table is to be used. The storage key beside it is 0. */
const IOT_ENABLED = 0x800n;
const DT_SHIFT = 2n;

/** By designation: the bits that a table translates, and our level of its top. */
const TABLES = {
	[DT.REGION_THIRD]: { vaBits: 42, topLevel: 2 },
	[DT.REGION_SECOND]: { vaBits: 53, topLevel: 3 },
	[DT.REGION_FIRST]: { vaBits: 64, topLevel: 4 },
};

export class S390BlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device): void {
		(device as S390Device).domain = undefined;
	}

	override free(): void {}
}

export class S390Domain extends PageTableDomain {
	/** A value of DT. */
	readonly #designation: number;

	constructor(driver: IommuDriver, { designation }: DmaWindow, memory: TableMemory) {
		const { vaBits, topLevel } = TABLES[designation as keyof typeof TABLES];
		super(driver, new PageTable(s390, { vaBits, paBits: 64, topLevel }, memory));
		this.#designation = designation;
	}

	get iota(): bigint {
		return this.table.topAddress | IOT_ENABLED | (BigInt(this.#designation) << DT_SHIFT);
	}

	override attachDevice(device: Device): void {
		(device as S390Device).domain = this;
	}
}
