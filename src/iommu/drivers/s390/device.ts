// A PCI function of s390, and its I/O translation anchor. Each function has an IOMMU of its own.

import type { Group, IommuDriver } from "../../core/iommu.js";
import { type Iommu, PciDevice, type PciFunction } from "../../core/pci.js";
import type { S390Domain } from "./domain.js";
import { DmaWindow, type QueryFunction } from "./window.js";

export class S390Iommu implements Iommu {
	readonly driver: IommuDriver;
	readonly #query: QueryFunction;

	constructor(driver: IommuDriver, query: QueryFunction) {
		this.driver = driver;
		this.#query = query;
	}

	probe(pci: PciFunction, group: Group): S390Device {
		return new S390Device(pci, this.driver, group, new DmaWindow(this.#query));
	}
}

export class S390Device extends PciDevice {
	readonly window: DmaWindow;
	domain: S390Domain | undefined;

	constructor(pci: PciFunction, driver: IommuDriver, group: Group, window: DmaWindow) {
		super(pci, driver, group, 0, window);
		this.window = window;
	}

	/** The I/O translation anchor; 0 when none is registered, so that there is no DMA. */
	get iota(): bigint {
		return this.domain?.iota ?? 0n;
	}
}
