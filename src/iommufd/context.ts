// One open of /dev/iommu: its objects, and what holds for all of them. struct iommufd_ctx in
// drivers/iommu/iommufd/iommufd_private.h.

import type { Group } from "../iommu/group.js";
import type { IommufdGroup } from "./device.js";
import type { Ioas } from "./ioas.js";
import { ObjectTable } from "./object.js";
import type { Platform } from "./platform.js";

export class Context {
	readonly platform: Platform;
	readonly objects = new ObjectTable();
	/** What iommufd knows of a group that has devices bound here. */
	readonly groups = new Map<Group, IommufdGroup>();
	/** IOMMU_OPTION_RLIMIT_MODE: for whom pinned memory is counted, of those who are not exempt. */
	accountMode: "user" | "mm";
	/** The IOAS that VFIO's container ioctls work on. */
	vfioIoas: Ioas | undefined;

	/** @param asContainer opened as /dev/vfio/vfio, which counts memory as VFIO does */
	constructor(platform: Platform, asContainer = false) {
		this.platform = platform;
		this.accountMode = asContainer ? "mm" : "user";
	}
}
