// One open of /dev/iommu: its objects, and what holds for all of them. struct iommufd_ctx in
// drivers/iommu/iommufd/iommufd_private.h.

import { allocation } from "../faults/faults.js";
import type { Group } from "../iommu/core/iommu.js";
import { Turn } from "../uapi/turns.js";
import type { IommufdGroup } from "./device.js";
import type { Ioas } from "./ioas.js";
import { MmapRegions } from "./mmap-regions.js";
import { ObjectTable } from "./object.js";
import type { Platform } from "./platform.js";

/** What a context takes besides its objects, in bytes. */
const CONTEXT_BYTES = 4096;

export class Context {
	readonly platform: Platform;
	readonly objects: ObjectTable;
	/** Of the calls that work on it. */
	readonly turn = new Turn("another call of this context is under way");
	/** What can be mapped with mmap(2) on the file. */
	readonly mmapRegions = new MmapRegions();
	/** What iommufd knows of a group that has devices bound here. */
	readonly groups = new Map<Group, IommufdGroup>();
	/** IOMMU_OPTION_RLIMIT_MODE: for whom pinned memory is counted, of those who are not exempt. */
	accountMode: "user" | "mm";
	/** The IOAS that VFIO's container ioctls work on. */
	vfioIoas: Ioas | undefined;
	/** A group without an IOMMU has made it its container: then there is nothing to map. */
	noIommuMode = false;
	/** Tells that it ends, as long as its objects are still there. */
	onEnd: (() => void) | undefined;
	/** The file itself, and files and devices that were made from it and are still there. */
	#holders = 1;

	/** @param asContainer opened as /dev/vfio/vfio, which counts memory as VFIO does */
	constructor(platform: Platform, asContainer = false) {
		allocation("a context");
		platform.budget.objects.charge(CONTEXT_BYTES);
		this.platform = platform;
		this.objects = new ObjectTable(platform.budget.objects);
		this.accountMode = asContainer ? "mm" : "user";
	}

	/** Whether files or devices were made from it that may have been closed by now without our having heard of it. */
	get hasHolders(): boolean {
		return this.#holders > 1;
	}

	/** Keeps the context until drop(), also when its file is closed before. */
	hold(): void {
		this.#holders++;
	}

	/** Undoes one hold(), or is the file's own end. The last one destroys all objects. */
	drop(): void {
		this.#holders--;
		if (this.#holders > 0) return;
		this.onEnd?.();
		this.objects.removeAll();
		this.platform.budget.objects.uncharge(CONTEXT_BYTES);
	}
}
