// What every device behind an IOMMU is made of, or behind none: struct device with its dev_iommu in include/linux/iommu.h.

import type { Device, Group, IommuDriver } from "./iommu.js";
import type { PageRequest } from "./page-request.js";

export abstract class BaseDevice implements Device {
	readonly name: string;
	readonly driver: IommuDriver;
	readonly group: Group;
	readonly maxPasids: number;
	readonly iommu: object;
	unfinishedFaults: PageRequest[] | undefined;

	constructor(name: string, driver: IommuDriver, group: Group, maxPasids = 0, iommu: object = driver) {
		this.name = name;
		this.driver = driver;
		this.group = group;
		this.maxPasids = maxPasids;
		this.iommu = iommu;
		group.devices.push(this);
	}

	get hasIommu(): boolean {
		return !this.driver.isAbsent;
	}
}
