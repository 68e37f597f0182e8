// The allocation rule: which op of a driver makes the domain of a new paging HWPT, and which drivers are kept out.
// Three rules as they were discussed in 2023 for one patch, "iommufd/hw_pagetable: use domain_alloc_user op for domain
// allocation", and what became of them. A rule of one's own is one HwptPolicy more in `policies`.

import type { Device, PagingDomain } from "../iommu/core/iommu.js";
import type { UserData } from "../iommu/core/user-data.js";
import { copyIn, PAGE_SIZE } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import { flagsIn } from "../uapi/field.js";
import { HwptAllocFlags } from "../uapi/iommufd.js";

/** What is asked of a new HWPT. */
export interface HwptRequest {
	/** HwptAllocFlags */
	readonly flags: number;
	readonly data: UserData | undefined;
}

export interface HwptPolicy {
	readonly name: string;

	/** Keeps devices out whose driver can't serve user space: called when a device is bound. @throws EOPNOTSUPP */
	checkBind?(device: Device): void;

	/**
	 * Makes a domain for a device.
	 * @throws EOPNOTSUPP for what the driver or this rule can't do, ENOMEM, and what the driver throws
	 */
	allocate(device: Device, request: HwptRequest): PagingDomain;

	/** The automatic flow maps the IOAS before it attaches the device. Some drivers finish a domain only at attach. */
	readonly mapsBeforeAttach?: true;
}

/** As the patch was posted: the op or nothing, which was meant to keep drivers out that have no such op. It broke s390. */
export const posted: HwptPolicy = {
	name: "posted",

	allocate(device, { flags, data }) {
		const { driver } = device;
		if (!driver.domainAllocPagingFlags)
			throw new Errno("EOPNOTSUPP", `posted: ${driver.name} has no domain_alloc_user`, "policy-posted");
		return driver.domainAllocPagingFlags(device, flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
	},
};

/** As it was agreed: who asks for nothing gets what the driver likes, and drivers are kept out when a device is bound. */
export const agreed: HwptPolicy = {
	name: "agreed",
	checkBind: refuseWithoutDomains,

	allocate(device, { flags, data }) {
		const { driver } = device;
		if (flags === 0 && (data === undefined || isAllZero(data))) return ordinaryDomain(device);
		if (!driver.domainAllocPagingFlags)
			throw new Errno(
				"EOPNOTSUPP",
				`agreed: ${driver.name} has no domain_alloc_user, so flags and data can't be served`,
				"no-user-domain",
			);
		return driver.domainAllocPagingFlags(device, flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
	},
};

/** The agreed rule with a later patch of that series, which made the automatic flow like the other one. It broke Arm. */
export const reordered: HwptPolicy = { ...agreed, name: "reordered", mapsBeforeAttach: true };

/** Linux 7.3: iommufd_hwpt_paging_alloc() in drivers/iommu/iommufd/hw_pagetable.c. */
export const mainline: HwptPolicy = {
	name: "mainline",
	checkBind: refuseWithoutDomains,

	allocate(device, { flags, data }) {
		const { driver } = device;
		if ((flags !== 0 || data !== undefined) && !driver.domainAllocPagingFlags)
			throw new Errno(
				"EOPNOTSUPP",
				`${driver.name} has no domain_alloc_paging_flags, so flags and data can't be served`,
				"no-user-domain",
			);
		if (flags & ~KNOWN_FLAGS)
			throw new Errno(
				"EOPNOTSUPP",
				`flags has ${flagsIn(HwptAllocFlags, flags & ~KNOWN_FLAGS)}, which is no flag of HWPT_ALLOC`,
				"unknown-flag",
			);
		if (flags & HwptAllocFlags.DIRTY_TRACKING && !driver.capable(device, "dirty-tracking"))
			throw new Errno(
				"EOPNOTSUPP",
				`DIRTY_TRACKING: the IOMMU of ${device.name} can't track what is written`,
				"hardware-lacks",
			);
		if (flags & HwptAllocFlags.FAULT_ID_VALID && flags & HwptAllocFlags.NEST_PARENT)
			throw new Errno(
				"EOPNOTSUPP",
				"FAULT_ID_VALID and NEST_PARENT exclude one another: faults go to the nested HWPT",
				"flags-together",
			);
		if (driver.domainAllocPagingFlags)
			return driver.domainAllocPagingFlags(device, flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
		return ordinaryDomain(device);
	},
};

/** By name. */
export const policies: ReadonlyMap<string, HwptPolicy> = new Map(
	[mainline, agreed, posted, reordered].map((policy) => [policy.name, policy]),
);

const KNOWN_FLAGS = Object.values(HwptAllocFlags).reduce((known, flag) => known | flag, 0);

/**
 * What a driver gives to who asks for nothing: iommu_paging_domain_alloc(), or iommu_domain_alloc() of old.
 * @throws ENOMEM, EOPNOTSUPP where it has no paging domains
 */
export function ordinaryDomain(device: Device): PagingDomain {
	const { driver } = device;
	if (driver.domainAllocPaging) {
		const domain = driver.domainAllocPaging(device);
		if (domain === undefined) throw new Errno("ENOMEM", `${driver.name} has made no domain, and doesn't say why`);
		return domain;
	}
	if (driver.domainAllocPagingFlags) return driver.domainAllocPagingFlags(device, 0, undefined);
	throw new Errno("EOPNOTSUPP", `${driver.name} has no paging domains`, "hardware-lacks");
}

/**
 * A driver without DMA domains can't serve user space, and this is how it is known. Linux 7.3 comes across it when it takes the
 * device over: it would park it in an empty domain.
 */
function refuseWithoutDomains({ name, driver }: Device): void {
	if (!driver.domainAllocPaging && !driver.domainAllocPagingFlags)
		throw new Errno("EOPNOTSUPP", `${name} is behind ${driver.name}, which has no DMA domains`, "no-dma-domains");
}

/** Data of nothing but zeroes asks for nothing. Looked through page by page: a caller may say that it has 4 GiB. @throws EFAULT */
function isAllZero({ memory, address, length }: UserData): boolean {
	const page = new Uint8Array(Math.min(length, PAGE_SIZE));
	for (let at = 0; at < length; at += page.length) {
		const bytes = page.subarray(0, length - at);
		copyIn(memory, address + at, bytes, "data_uptr");
		if (bytes.some((byte) => byte !== 0)) return false;
	}
	return true;
}
