// An AMD IOMMU, and what its device table says about each device behind it.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.2 "Device Table".

import type { Group } from "../../core/iommu.js";
import { type Iommu, PciDevice, type PciFunction } from "../../core/pci.js";
import type { AmdDriver } from "../amd.js";
import { GuestDomain } from "./domains.js";
import { blockedEntry, type DeviceTableEntry } from "./dte.js";
import { AmdFeatures, type AmdRegisters } from "./registers.js";

export class AmdIommu implements Iommu {
	readonly driver: AmdDriver;
	readonly registers: AmdRegisters;
	readonly features: AmdFeatures;

	constructor(driver: AmdDriver, registers: AmdRegisters) {
		this.driver = driver;
		this.registers = registers;
		this.features = new AmdFeatures(registers);
	}

	probe(pci: PciFunction, group: Group): AmdDevice {
		return new AmdDevice(pci, group, this);
	}
}

/** A domain as far as the device table goes. */
export interface AmdDomain {
	readonly devices: Set<AmdDevice>;
	/** What the device table has to say about a device in it. */
	entryFor(device: AmdDevice): DeviceTableEntry;
}

export class AmdDevice extends PciDevice {
	declare readonly iommu: AmdIommu;
	/** Its entry of the device table. */
	entry: DeviceTableEntry = blockedEntry();
	domain: AmdDomain | undefined;

	constructor(pci: PciFunction, group: Group, iommu: AmdIommu) {
		const { features } = iommu;
		const pasids = features.GTSup ? 2 ** (features.PASmax + 1) - 1 : 0;
		super(pci, iommu.driver, group, pci.pasidBits === 0 ? 0 : Math.min(2 ** pci.pasidBits, pasids), iommu);
	}

	/** Linux looks for ATS only where PASIDs and page requests work too. */
	get canUseAts(): boolean {
		return this.iommu.features.IotlbSup && this.iommu.features.hasPasids && this.pci.ats;
	}

	/** ATS is on as long as something is attached. */
	get atsEnabled(): boolean {
		return this.canUseAts;
	}

	attach(domain: AmdDomain): void {
		this.entry = domain.entryFor(this);
		this.domain = domain;
		domain.devices.add(this);
	}

	/** Back to no DMA. */
	detach(): void {
		this.entry = blockedEntry();
		if (this.domain instanceof GuestDomain) this.domain.freeGcr3Table(this);
		this.domain?.devices.delete(this);
		this.domain = undefined;
	}
}
