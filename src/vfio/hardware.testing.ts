// Hardware behind a VT-d unit with everything, for tests.

import { IommuGroup } from "../iommu/core/group.js";
import type { Group } from "../iommu/core/iommu.js";
import type { ReservedRegion } from "../iommu/core/reserved.js";
import { VtdRegisters } from "../iommu/drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../iommu/drivers/intel-vtd.js";
import { TableMemory } from "../pagetable/table-memory.js";
import { VfioDevice } from "./device.js";
import type { PciHardware } from "./pci-config.js";
import type { SriovRole } from "./vf-token.js";

export const EDU: PciHardware = {
	vendorId: 0x1234,
	deviceId: 0x11e8,
	subsystemVendorId: 0x1af4,
	subsystemId: 0x1100,
	revision: 0x10,
	classCode: 0x00ff00,
	bars: [{ index: 0, size: 1 << 20, space: "memory32", prefetchable: false, address: 0xfe00_0000n }],
	interruptPin: 1,
	msiVectors: 1,
	msix: undefined,
	isExpress: false,
	ats: false,
	pri: false,
	pasidBits: 0,
	canReset: true,
};

/** Where a device is, if it matters. */
export interface Place {
	/** CAP_REG and ECAP_REG of a unit of its own. */
	readonly unit?: readonly [bigint, bigint];
	readonly firmwareRegions?: readonly ReservedRegion[];
}

const WITH_ALL = [0x19ed008c40780c66n, 0x3ef9ea6f050dfn] as const;

/** One VT-d unit, and devices behind it. */
export class TestBus {
	readonly #driver = new IntelVtdDriver(new TableMemory());
	readonly #unit = this.#driver.addIommu(new VtdRegisters(...WITH_ALL));
	#count = 0;

	add(
		has: Partial<PciHardware> = {},
		sriov: SriovRole = { kind: "none" },
		group: Group = new IommuGroup(this.#count),
		{ unit, firmwareRegions = [] }: Place = {},
	): VfioDevice {
		const hardware = { ...EDU, ...has };
		const number = this.#count++;
		const pci = {
			address: `0000:00:0${number}.0`,
			requesterId: number * 8,
			classCode: hardware.classCode,
			isVirtualFunction: sriov.kind === "virtual",
			ats: hardware.ats,
			pri: hardware.pri,
			pasidBits: hardware.pasidBits,
			firmwareRegions,
		};
		const behind = unit === undefined ? this.#unit : this.#driver.addIommu(new VtdRegisters(...unit));
		return new VfioDevice(`vfio${number}`, behind.probe(pci, group), hardware, sriov);
	}
}
