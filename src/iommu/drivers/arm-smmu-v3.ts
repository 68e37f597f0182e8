// Arm's SMMUv3.
// Arm System Memory Management Unit Architecture Specification, SMMUv3 (IHI 0070), 3 "Operation".
// Linux: drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3.c and arm-smmu-v3-iommufd.c.

import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno } from "../../uapi/errno.js";
import { flagsIn, nameIn } from "../../uapi/field.js";
import { HwInfoArmSmmuV3, HwInfoType, HwptAllocFlags, ViommuType } from "../../uapi/iommufd.js";
import type {
	Device,
	DriverViommu,
	HwInfo,
	IommuCapability,
	IommuDriver,
	PagingDomain,
	ViommuCore,
} from "../core/iommu.js";
import type { ReservedRegion } from "../core/reserved.js";
import type { UserData } from "../core/user-data.js";
import { Smmu, type SmmuDevice, type SmmuOptions } from "./arm-smmu-v3/device.js";
import { SmmuBlockedDomain, SmmuDomain, type SmmuDomainRequest } from "./arm-smmu-v3/domains.js";
import { VSmmu } from "./arm-smmu-v3/nested.js";
import type { SmmuRegisters } from "./arm-smmu-v3/registers.js";

/** Where Linux maps the page of the interrupt controller: an IOVA of its own choice, and not of the hardware's. */
export const SOFTWARE_MSI: ReservedRegion = { kind: "software-msi", first: 0x800_0000n, last: 0x80f_ffffn };

const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptAllocFlags;

export class ArmSmmuV3Driver implements IommuDriver {
	readonly name = "arm-smmu-v3";
	readonly blockedDomain = new SmmuBlockedDomain(this);
	/** The guest's context descriptors are found through its stream table entry, so its PASIDs are its own. */
	readonly userPasidTable = true;
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(registers: SmmuRegisters, options: SmmuOptions): Smmu {
		return new Smmu(this, registers, options, this.#memory);
	}

	capable(device: Device, capability: IommuCapability): boolean {
		const { iommu, canwbs, ats } = device as SmmuDevice;
		switch (capability) {
			case "cache-coherency":
				return iommu.features.COHACC;
			case "enforce-cache-coherency":
				return canwbs;
			case "deferred-flush":
				return true;
			case "dirty-tracking":
				return iommu.features.canTrackDirty;
			case "pci-ats":
				return ats;
		}
	}

	domainAllocPagingFlags(device: Device, flags: number, data: UserData | undefined): PagingDomain {
		const { iommu } = device as SmmuDevice;
		const unknown = flags & ~(NEST_PARENT | DIRTY_TRACKING | PASID);
		if (unknown)
			throw new Errno(
				"EOPNOTSUPP",
				`arm-smmu-v3: flags has ${flagsIn(HwptAllocFlags, unknown)}, which it doesn't have`,
				"hardware-lacks",
			);
		if (data !== undefined) throw new Errno("EOPNOTSUPP", "arm-smmu-v3: a paging HWPT takes no data", "no-user-domain");
		const request = {
			stage: stageFor(iommu, flags),
			isNestParent: flags === NEST_PARENT,
			tracksDirty: (flags & DIRTY_TRACKING) !== 0,
		};
		return this.#alloc(iommu, request);
	}

	hwInfo(device: Device, type: number): HwInfo {
		if (type !== HwInfoType.NONE && type !== HwInfoType.ARM_SMMUV3)
			throw new Errno(
				"EOPNOTSUPP",
				`arm-smmu-v3: in_data_type is ${nameIn(HwInfoType, type)}, and it knows ARM_SMMUV3 only`,
				"data-type",
			);
		const { registers } = (device as SmmuDevice).iommu;
		const info = HwInfoArmSmmuV3.newView();
		info.idr.set(registers.idr);
		info.iidr = registers.iidr;
		info.aidr = registers.aidr;
		return { type: HwInfoType.ARM_SMMUV3, bytes: info.bytes };
	}

	reservedRegions(device: Device): ReservedRegion[] {
		return [SOFTWARE_MSI, ...(device as SmmuDevice).pci.firmwareRegions];
	}

	/**
	 * A guest must not be able to bypass the caches: either no access can, or stage 2 forces write-back on those of stage 1.
	 */
	hasViommu(device: Device, type: number): boolean {
		const { iommu, canwbs } = device as SmmuDevice;
		return iommu.features.canNest && (canwbs || iommu.features.FWB) && type === ViommuType.ARM_SMMUV3;
	}

	viommuInit(core: ViommuCore, device: Device, _type: number, parent: PagingDomain): DriverViommu {
		if (!(parent instanceof SmmuDomain) || parent.smmu !== device.iommu)
			throw new Errno(
				"EINVAL",
				`the parent was made for another SMMU than the one in front of ${device.name}`,
				"nest-parent",
			);
		return new VSmmu(this, core, parent);
	}

	/** No device here waits for it yet. */
	pageResponse(): void {}

	#alloc(smmu: Smmu, request: SmmuDomainRequest): SmmuDomain {
		const tags = request.stage === 1 ? smmu.asids : smmu.vmids;
		return tags.allocateFor((tag) => new SmmuDomain(this, smmu, request, tag, this.#memory));
	}
}

/** Stage 1 where nothing speaks for stage 2. @throws EOPNOTSUPP for flags that the SMMU can't serve, or not together */
function stageFor({ features }: Smmu, flags: number): 1 | 2 {
	switch (flags) {
		case 0:
			return features.S1P ? 1 : 2;
		case NEST_PARENT:
			if (!features.canNest)
				throw new Errno(
					"EOPNOTSUPP",
					"arm-smmu-v3: NEST_PARENT takes both stages (SMMU_IDR0.S1P, S2P), and no erratum",
					"hardware-lacks",
				);
			return 2;
		case DIRTY_TRACKING:
		case PASID:
		case DIRTY_TRACKING | PASID:
			if (!features.S1P)
				throw new Errno(
					"EOPNOTSUPP",
					"arm-smmu-v3: DIRTY_TRACKING and PASID take a stage 1, and SMMU_IDR0.S1P is 0",
					"hardware-lacks",
				);
			return 1;
		default:
			throw new Errno(
				"EOPNOTSUPP",
				"arm-smmu-v3: NEST_PARENT asks for a stage 2, and the other flags ask for a stage 1",
				"flags-together",
			);
	}
}
