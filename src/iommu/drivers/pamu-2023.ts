// Freescale's Peripheral Access Management Unit, as its driver was in 2023: it can keep a device from memory or let it through,
// and has no domains that map. The missing op of the posted rule was meant to keep such a driver out.
// QorIQ reference manuals, "Peripheral Access Management Unit (PAMU)"; Linux: drivers/iommu/fsl_pamu_domain.c.

import { BaseDomain } from "../core/domain.js";
import type { Device, Group, IommuCapability, IommuDriver } from "../core/iommu.js";
import { type Iommu, PciDevice, type PciFunction } from "../core/pci.js";

export class PamuDriver2023 implements IommuDriver {
	readonly name = "pamu-2023";
	readonly blockedDomain = new PamuBlockedDomain(this);

	addIommu(): PamuIommu {
		return new PamuIommu(this);
	}

	capable(_device: Device, capability: IommuCapability): boolean {
		return capability === "cache-coherency";
	}
}

export class PamuIommu implements Iommu {
	readonly driver: PamuDriver2023;

	constructor(driver: PamuDriver2023) {
		this.driver = driver;
	}

	probe(pci: PciFunction, group: Group): PciDevice {
		return new PciDevice(pci, this.driver, group, 0, this);
	}
}

/** The device's authorization and control entry is not valid. */
class PamuBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(): void {}

	override free(): void {}
}
