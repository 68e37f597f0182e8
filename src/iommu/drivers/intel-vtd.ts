// Intel VT-d: the IOMMU of Intel's x86 machines, in legacy and in scalable mode.
// Intel Virtualization Technology for Directed I/O, Architecture Specification 5.0, 3 "DMA Remapping".
// Linux: drivers/iommu/intel/iommu.c.

import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno } from "../../uapi/errno.js";
import { flagsIn, nameIn } from "../../uapi/field.js";
import { HwInfoType, HwInfoVtd, HwInfoVtdFlags, HwptAllocFlags } from "../../uapi/iommufd.js";
import type { Device, HwInfo, IommuCapability, IommuDriver, PagingDomain } from "../core/iommu.js";
import type { PciFunction } from "../core/pci.js";
import type { ReservedKind, ReservedRegion } from "../core/reserved.js";
import type { UserData } from "../core/user-data.js";
import { type VtdDevice, VtdUnit } from "./intel-vtd/device.js";
import { allocFirstStage, allocSecondStage, VtdBlockedDomain } from "./intel-vtd/domains.js";
import { allocNested, type VtdNestedDomain } from "./intel-vtd/nested.js";
import type { VtdRegisters } from "./intel-vtd/registers.js";

/** Writes there are interrupts. 3.15 "Handling Requests to Interrupt Address Range" */
const INTERRUPT_RANGE: ReservedRegion = { kind: "msi", first: 0xfee0_0000n, last: 0xfeef_ffffn };
/** What a floppy disk controller behind the ISA bridge may reach. */
const ISA_DMA_RANGE: ReservedRegion = { kind: "direct-relaxable", first: 0n, last: 0xff_ffffn };

// Base class and subclass of PCI functions.
const CLASS_BRIDGE_ISA = 0x0601;
const CLASS_SERIAL_USB = 0x0c03;
const BASE_CLASS_DISPLAY = 0x03;

export class IntelVtdDriver implements IommuDriver {
	readonly name = "intel-vtd";
	readonly blockedDomain = new VtdBlockedDomain(this);
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(registers: VtdRegisters): VtdUnit {
		return new VtdUnit(this, registers);
	}

	capable(device: Device, capability: IommuCapability): boolean {
		const { iommu, ats } = device as VtdDevice;
		switch (capability) {
			case "cache-coherency":
				return true;
			case "enforce-cache-coherency":
				return iommu.registers.SC;
			case "dirty-tracking":
				return iommu.registers.canTrackDirty;
			case "pci-ats":
				return ats;
			default:
				return false;
		}
	}

	/** Interrupt remapping. */
	isolatesInterrupts(device: Device): boolean {
		return (device as VtdDevice).iommu.registers.IR;
	}

	/** A first stage where there is one that can do what is asked, else a second stage. */
	domainAllocPagingFlags(device: Device, flags: number, data: UserData | undefined): PagingDomain {
		const unit = (device as VtdDevice).iommu;
		if (data !== undefined) throw new Errno("EOPNOTSUPP", "intel-vtd: a paging HWPT takes no data", "no-user-domain");
		return allocFirstStage(this, unit, flags, this.#memory) ?? allocSecondStage(this, unit, flags, this.#memory);
	}

	domainAllocNested(device: Device, parent: PagingDomain, flags: number, data: UserData): VtdNestedDomain {
		if (flags & ~HwptAllocFlags.PASID)
			throw new Errno(
				"EOPNOTSUPP",
				`intel-vtd: a nested HWPT takes no flag but PASID, and flags has ${flagsIn(HwptAllocFlags, flags)}`,
				"unknown-flag",
			);
		return allocNested(this, (device as VtdDevice).iommu, parent, data);
	}

	hwInfo(device: Device, type: number): HwInfo {
		if (type !== HwInfoType.NONE && type !== HwInfoType.INTEL_VTD)
			throw new Errno(
				"EOPNOTSUPP",
				`intel-vtd: in_data_type is ${nameIn(HwInfoType, type)}, and it knows INTEL_VTD only`,
				"data-type",
			);
		const { registers } = (device as VtdDevice).iommu;
		const info = HwInfoVtd.newView();
		info.flags = HwInfoVtdFlags.ERRATA_772415_SPR17;
		info.capReg = registers.CAP_REG;
		info.ecapReg = registers.ECAP_REG;
		return { type: HwInfoType.INTEL_VTD, bytes: info.bytes };
	}

	reservedRegions(device: Device): ReservedRegion[] {
		const { pci } = device as VtdDevice;
		const kind = kindOfRmrr(pci);
		const regions = pci.firmwareRegions.map((region) => (region.kind === "direct" ? { ...region, kind } : region));
		if (pci.classCode >>> 8 === CLASS_BRIDGE_ISA) regions.push(ISA_DMA_RANGE);
		return [...regions, INTERRUPT_RANGE];
	}

	/** No device here waits for it yet. */
	pageResponse(): void {}
}

/** USB controllers and graphics have an RMRR for the firmware's sake only: it need not be kept when a program takes them. */
function kindOfRmrr({ classCode }: PciFunction): ReservedKind {
	const isRelaxable = classCode >>> 8 === CLASS_SERIAL_USB || classCode >>> 16 === BASE_CLASS_DISPLAY;
	return isRelaxable ? "direct-relaxable" : "direct";
}
