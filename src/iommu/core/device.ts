// A device behind an IOMMU, or behind none: struct device with its dev_iommu in include/linux/iommu.h.

import type { IommuDriver } from "./driver.js";
import type { PageRequest } from "./fault.js";
import type { Group } from "./group.js";

export class Device {
	readonly name: string;
	readonly driver: IommuDriver;
	readonly group: Group;
	/** How many PASIDs it can use; 0 where it has none. A power of two. */
	readonly maxPasids: number;
	/** The IOMMU in front of it. What is made for one IOMMU may not fit another one of the same driver. */
	readonly iommu: object;
	/** Page requests whose group isn't complete yet; undefined as long as the device may not fault. fault.ts keeps it. */
	unfinishedFaults: PageRequest[] | undefined;

	constructor(name: string, driver: IommuDriver, group: Group, maxPasids = 0, iommu: object = driver) {
		this.name = name;
		this.driver = driver;
		this.group = group;
		this.maxPasids = maxPasids;
		this.iommu = iommu;
		group.devices.push(this);
	}

	/** Whether one is in front of it: dev->iommu. */
	get hasIommu(): boolean {
		return !this.driver.isAbsent;
	}
}
