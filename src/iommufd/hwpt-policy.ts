// The allocation rule: which op of a driver makes the domain of a new paging HWPT, and who is refused.

import type { Device } from "../iommu/device.js";
import type { PagingDomain } from "../iommu/domain.js";
import type { UserData } from "../iommu/user-data.js";
import { Errno, hex } from "../uapi/errno.js";
import { HwptAllocFlags } from "../uapi/iommufd.js";

/** What is asked of a new HWPT. */
export interface HwptRequest {
	/** HwptAllocFlags */
	readonly flags: number;
	readonly data: UserData | undefined;
}

/**
 * Makes a domain for a device.
 * @throws EOPNOTSUPP for what the driver or this kernel can't do, and what the driver throws
 */
export type HwptPolicy = (device: Device, request: HwptRequest) => PagingDomain;

const KNOWN_FLAGS = Object.values(HwptAllocFlags).reduce((known, flag) => known | flag, 0);

/** Linux 7.3: iommufd_hwpt_paging_alloc() in drivers/iommu/iommufd/hw_pagetable.c. */
export const mainline: HwptPolicy = (device, { flags, data }) => {
	const { driver } = device;
	if ((flags !== 0 || data !== undefined) && !driver.domainAllocPagingFlags)
		throw new Errno("EOPNOTSUPP", `${driver.name} has no domain_alloc_paging_flags, so flags and data can't be served`);
	if (flags & ~KNOWN_FLAGS)
		throw new Errno("EOPNOTSUPP", `flags has ${hex(flags & ~KNOWN_FLAGS)}, which is no flag of HWPT_ALLOC`);
	if (flags & HwptAllocFlags.DIRTY_TRACKING && !driver.capable(device, "dirty-tracking"))
		throw new Errno("EOPNOTSUPP", `DIRTY_TRACKING: the IOMMU of ${device.name} can't track what is written`);
	if (flags & HwptAllocFlags.FAULT_ID_VALID && flags & HwptAllocFlags.NEST_PARENT)
		throw new Errno("EOPNOTSUPP", "FAULT_ID_VALID and NEST_PARENT exclude one another: faults go to the nested HWPT");
	if (driver.domainAllocPagingFlags)
		return driver.domainAllocPagingFlags(device, flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
	if (driver.domainAllocPaging) return driver.domainAllocPaging(device);
	throw new Errno("EOPNOTSUPP", `${driver.name} has no paging domains`);
};
