// IOMMU_IOAS_CHANGE_PROCESS: the pinned memory of a context counts for another process from now on, as in a live update.
// iommufd_ioas_change_process() in drivers/iommu/iommufd/ioas.c.

import type { AccountMode } from "../memory/memlock.js";
import { Errno } from "../uapi/errno.js";
import { worked } from "../uapi/slices.js";
import type { Call } from "./call.js";
import type { Pages } from "./io-pagetable/pages.js";
import { Ioas } from "./ioas.js";

/** IOMMU_IOAS_CHANGE_PROCESS: moves all of it or nothing. */
export function ioasChangeProcess(call: Call): void {
	const { caller } = call;
	const { memlock } = call.context.platform;
	const moving = new Set<Pages>();
	for (const ioas of call.context.objects) {
		if (!(ioas instanceof Ioas)) continue;
		for (const { pages } of ioas.map.areas) {
			if (pages.kind !== "file")
				throw new Errno(
					"EINVAL",
					`${ioas} has a mapping of a process's memory: only those of IOAS_MAP_FILE can move`,
					"change-process",
				);
			moving.add(pages);
			worked(50);
		}
	}
	const charges = new Map<AccountMode, number>();
	for (const pages of moving)
		if (mustMove(pages, call)) charges.set(pages.accountMode, (charges.get(pages.accountMode) ?? 0) + pages.accounted);
	const charged: [AccountMode, number][] = [];
	try {
		for (const [mode, count] of charges) {
			memlock.charge(mode, caller.owner, caller.memory, count);
			charged.push([mode, count]);
		}
	} catch (error) {
		for (const [mode, count] of charged) memlock.uncharge(mode, caller.owner, caller.memory, count);
		throw error;
	}
	for (const pages of moving) {
		pages.changeOwner(caller, mustMove(pages, call));
		worked(50);
	}
}

/** Whether the caller has been charged for what another process was charged for before. */
function mustMove(pages: Pages, call: Call): boolean {
	const { owner, memory } = call.caller;
	switch (pages.accountMode) {
		case "none":
			return false;
		case "mm":
			return pages.space !== memory;
		case "user":
			return pages.owner.uid !== owner.uid || pages.space !== memory;
	}
}
