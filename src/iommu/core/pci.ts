// A PCI function behind an IOMMU, and what of its configuration space the IOMMU's driver asks for.
// PCI Express Base Specification 6.0: 7.8.9 (PASID), 10.5 (ATS, Page Request Interface). struct pci_dev in include/linux/pci.h.

import { BaseDevice } from "./device.js";
import type { Group, IommuDriver } from "./iommu.js";
import type { ReservedRegion } from "./reserved.js";

export interface PciFunction {
	/** Segment, bus, device and function as people write them: "0000:00:03.0". */
	readonly address: string;
	/** The bus in bits 15:8, device and function below: what its requests carry. */
	readonly requesterId: number;
	/** Base class, subclass, programming interface: 24 bits. */
	readonly classCode: number;
	readonly isVirtualFunction: boolean;
	/** Whether it has the capabilities ATS and Page Request Interface. */
	readonly ats: boolean;
	readonly pri: boolean;
	/** Max PASID Width; 0 where it has no PASIDs. */
	readonly pasidBits: number;
	/** What the firmware's tables say about it: VT-d's RMRR, AMD's IVMD, Arm's RMR. */
	readonly firmwareRegions: readonly ReservedRegion[];
}

export class PciDevice extends BaseDevice {
	readonly pci: PciFunction;

	constructor(pci: PciFunction, driver: IommuDriver, group: Group, maxPasids: number, iommu: object) {
		super(pci.address, driver, group, maxPasids, iommu);
		this.pci = pci;
	}
}

/** One IOMMU of a machine: struct iommu_device. */
export interface Iommu {
	readonly driver: IommuDriver;
	/** Finds a function behind it: iommu_ops::probe_device. */
	probe(pci: PciFunction, group: Group): PciDevice;
}
