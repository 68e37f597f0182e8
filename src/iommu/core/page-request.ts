// A page that a device asks for, as its request says it: PCI Express Base Specification 6.0, 10.4.1.

import type { Pasid } from "./pasid.js";

/** One page that a device asks for. struct iommu_fault_page_request */
export interface PageRequest {
	/** PgfaultFlags. LAST_PAGE ends a group. */
	readonly flags: number;
	/** Counts only with the flag PASID_VALID. */
	readonly pasid: Pasid;
	/** Requests of a device with the same number get one answer. */
	readonly group: number;
	/** PgfaultPerm: what the device wants to do. */
	readonly permissions: number;
	/** In bytes. */
	readonly address: bigint;
}
