// A device behind an IOMMU: struct device with its dev_iommu in include/linux/iommu.h.

import type { IommuDriver } from "./driver.js";
import type { Group } from "./group.js";

export class Device {
	readonly name: string;
	readonly driver: IommuDriver;
	readonly group: Group;
	/** How many PASIDs it can use; 0 where it has none. A power of two. */
	readonly maxPasids: number;

	constructor(name: string, driver: IommuDriver, group: Group, maxPasids = 0) {
		this.name = name;
		this.driver = driver;
		this.group = group;
		this.maxPasids = maxPasids;
		group.devices.push(this);
	}
}
