// AMD-Vi: the IOMMU of AMD's x86 machines.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2 "IOMMU Overview and Architecture".
// Linux: drivers/iommu/amd/iommu.c and iommufd.c.

import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno } from "../../uapi/errno.js";
import { flagsIn, nameIn } from "../../uapi/field.js";
import { HwInfoAmd, HwInfoType, HwptAllocFlags } from "../../uapi/iommufd.js";
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
import { type AmdDevice, AmdIommu } from "./amd/device.js";
import { AmdBlockedDomain, GuestDomain, HostDomain } from "./amd/domains.js";
import { AmdViommu } from "./amd/nested.js";
import type { AmdRegisters } from "./amd/registers.js";
import { IdPool } from "./id-pool.js";

/** Domain IDs are 16 bits wide, and 0 is for devices without a domain. */
const LAST_DOMAIN_ID = 0xffff;

/** Writes there are interrupts. 2.1.4 "Address Space Relationships" */
const MSI_RANGE: ReservedRegion = { kind: "msi", first: 0xfee0_0000n, last: 0xfeef_ffffn };
/** HyperTransport's own addresses: what is sent there never gets to memory. */
const HT_RANGE: ReservedRegion = { kind: "reserved", first: 0xfd_0000_0000n, last: 0xff_ffff_ffffn };

const { DIRTY_TRACKING, NEST_PARENT, PASID } = HwptAllocFlags;

export class AmdDriver implements IommuDriver {
	readonly name = "amd";
	readonly blockedDomain = new AmdBlockedDomain(this);
	readonly domainIds = new IdPool("domain IDs of amd", 1, LAST_DOMAIN_ID, "ENOMEM");
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	addIommu(registers: AmdRegisters): AmdIommu {
		return new AmdIommu(this, registers);
	}

	capable(device: Device, capability: IommuCapability): boolean {
		const amd = device as AmdDevice;
		const { features } = amd.iommu;
		switch (capability) {
			case "cache-coherency":
			case "enforce-cache-coherency":
				return true;
			case "dirty-tracking":
				return features.hasHostTables && features.HDSup;
			case "pci-ats":
				return amd.canUseAts;
			default:
				return false;
		}
	}

	domainAllocPagingFlags(device: Device, flags: number, data: UserData | undefined): PagingDomain {
		const { iommu } = device as AmdDevice;
		const { features } = iommu;
		const known = DIRTY_TRACKING | NEST_PARENT | PASID;
		if (flags & ~known)
			throw new Errno(
				"EOPNOTSUPP",
				`amd: flags has ${flagsIn(HwptAllocFlags, flags & ~known)}, which it doesn't have`,
				"hardware-lacks",
			);
		if (data !== undefined) throw new Errno("EOPNOTSUPP", "amd: a paging HWPT takes no data", "no-user-domain");
		if (flags & PASID && flags !== PASID)
			throw new Errno(
				"EOPNOTSUPP",
				"amd: PASID asks for a guest table, and the other flags ask for a host table",
				"flags-together",
			);
		if (flags & DIRTY_TRACKING && !this.capable(device, "dirty-tracking"))
			throw new Errno("EOPNOTSUPP", "amd: DIRTY_TRACKING takes EFR.HDSup, which is 0", "hardware-lacks");
		if (flags & NEST_PARENT && !features.canNest)
			throw new Errno(
				"EOPNOTSUPP",
				`amd: NEST_PARENT takes EFR.GTSup, EFR.GIOSup and EFR2.GCR3TRPModeSup: ${absent(iommu)}`,
				"hardware-lacks",
			);
		if (flags === PASID) {
			if (!features.hasPasids)
				throw new Errno(
					"EOPNOTSUPP",
					"amd: PASID takes EFR.GTSup, EFR.GIOSup, EFR.PPRSup and EFR.EPHSup: not all are 1",
					"hardware-lacks",
				);
			return this.domainIds.allocateFor((id) => new GuestDomain(this, iommu, id, this.#memory));
		}
		if (features.hasHostTables) {
			const tracksDirty = (flags & DIRTY_TRACKING) !== 0;
			return this.domainIds.allocateFor((id) => new HostDomain(this, iommu, id, this.#memory, tracksDirty));
		}
		if (flags === 0 && features.hasGuestTables)
			return this.domainIds.allocateFor((id) => new GuestDomain(this, iommu, id, this.#memory));
		throw new Errno("EOPNOTSUPP", "amd: EFR.HATS is 3, so there are no host tables", "hardware-lacks");
	}

	hwInfo(device: Device, type: number): HwInfo {
		if (type !== HwInfoType.NONE && type !== HwInfoType.AMD)
			throw new Errno(
				"EOPNOTSUPP",
				`amd: in_data_type is ${nameIn(HwInfoType, type)}, and it knows AMD only`,
				"data-type",
			);
		const { registers } = (device as AmdDevice).iommu;
		const info = HwInfoAmd.newView();
		info.efr = registers.efr;
		info.efr2 = registers.efr2;
		return { type: HwInfoType.AMD, bytes: info.bytes };
	}

	reservedRegions(device: Device): ReservedRegion[] {
		const { pci, iommu } = device as AmdDevice;
		const regions = [...pci.firmwareRegions, MSI_RANGE];
		if (!iommu.features.HtRangeIgnore) regions.push(HT_RANGE);
		return regions;
	}

	/** Of any type, as in Linux, which doesn't look at it. */
	hasViommu(): boolean {
		return true;
	}

	viommuInit(_core: ViommuCore, _device: Device, _type: number, parent: PagingDomain): DriverViommu {
		return new AmdViommu(this, parent as HostDomain);
	}
}

function absent({ features }: AmdIommu): string {
	const names = ["GTSup", "GIOSup", "GCR3TRPModeSup"] as const;
	return `${names.filter((name) => !features[name]).join(", ")} is 0`;
}
