// What an IOMMU driver offers: struct iommu_ops in include/linux/iommu.h, with its names in camelCase.
// An op that is absent is how a driver says that it can't.

import type { Device } from "./device.js";
import type { Domain, NestedDomain, PagingDomain } from "./domain.js";
import type { PageRequest } from "./fault.js";
import type { ReservedRegion } from "./reserved.js";
import type { UserData } from "./user-data.js";
import type { DriverViommu, ViommuCore } from "./viommu.js";

/** enum iommu_cap */
export type IommuCapability =
	| "cache-coherency"
	| "enforce-cache-coherency"
	| "dirty-tracking"
	| "deferred-flush"
	| "pci-ats";

/** What GET_HW_INFO answers: the type of the struct, and its bytes. */
export interface HwInfo {
	readonly type: number;
	readonly bytes: Uint8Array;
}

export interface IommuDriver {
	readonly name: string;

	/** There is no IOMMU: what the devices read and write are physical addresses, and nothing can be attached to them. */
	readonly isAbsent?: true;

	/** Whether an IOMMU of this driver can do something for this device. */
	capable(device: Device, capability: IommuCapability): boolean;

	/** Whether a device's writes can't forge other devices' interrupts. Absent where they never can. */
	isolatesInterrupts?(device: Device): boolean;

	/** The domain in which a device that nobody uses can do no DMA. */
	readonly blockedDomain: Domain;

	/**
	 * A paging domain to the user's wishes: HWPT_ALLOC's flags, and data of the driver's own.
	 * @throws EOPNOTSUPP for a flag or a type that it doesn't know, EINVAL for data that is wrong, ENOMEM
	 */
	domainAllocPagingFlags?(device: Device, flags: number, data: UserData | undefined): PagingDomain;

	/** A paging domain as the driver likes it; undefined is Linux's null. A driver has this or domainAllocPagingFlags. */
	domainAllocPaging?(device: Device): PagingDomain | undefined;

	/** A nested domain on a parent that was allocated as one. */
	domainAllocNested?(device: Device, parent: PagingDomain, flags: number, data: UserData): NestedDomain;

	/**
	 * The hardware's description of itself.
	 * @param type the type that is asked for, 0 for the driver's choice
	 * @throws EOPNOTSUPP for a type that it doesn't know
	 */
	hwInfo?(device: Device, type: number): HwInfo;

	/** Ranges that the device's IOAS must leave alone. */
	reservedRegions?(device: Device): readonly ReservedRegion[];

	/**
	 * Tells a device how its page request was answered. Absent where devices can't fault.
	 * @param code PageResponseCode
	 */
	pageResponse?(device: Device, request: PageRequest, code: number): void;

	/** Whether a nested domain brings its own table of PASIDs, so that faults of any PASID are faults of it. */
	readonly userPasidTable?: boolean;

	/**
	 * Whether viommuInit() can make a vIOMMU of this type: get_viommu_size() in Linux.
	 * @param type ViommuType
	 */
	hasViommu?(device: Device, type: number): boolean;

	/**
	 * The driver's half of a new vIOMMU on a domain that was allocated as a parent.
	 * @throws EINVAL or EOPNOTSUPP for data that it can't use
	 */
	viommuInit?(
		core: ViommuCore,
		device: Device,
		type: number,
		parent: PagingDomain,
		data: UserData | undefined,
	): DriverViommu;
}
