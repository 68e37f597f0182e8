// IOMMU_HWPT_INVALIDATE: user space has changed its first stage, and what was cached of it must go.
// drivers/iommu/iommufd/hw_pagetable.c.

import type { UserDataArray } from "../iommu/core/user-data.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { HWPT_INVALIDATE_ENTRY_NUM_MAX, type HwptInvalidate } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import type { Call } from "./call.js";
import { NestedHwpt } from "./hwpt.js";
import { Viommu } from "./viommu.js";

/** IOMMU_HWPT_INVALIDATE. Answers how many entries were done, also when one of them is an error. */
export function hwptInvalidate(call: Call, invalidate: Args<typeof HwptInvalidate>): void {
	const array: UserDataArray = {
		type: invalidate.dataType,
		address: invalidate.dataUptr,
		entryLength: invalidate.entryLen,
		entries: invalidate.entryNum,
		memory: call.caller.memory,
		done: 0,
	};
	try {
		if (invalidate.reserved !== 0)
			throw new Errno("EOPNOTSUPP", `__reserved is ${hex(invalidate.reserved)}: it must be 0`, "not-cleared");
		checkArray(array);
		const object = call.context.objects.any(invalidate.hwptId, "hwpt_id");
		if (!(object instanceof NestedHwpt || object instanceof Viommu))
			throw new Errno(
				"EINVAL",
				`hwpt_id is ${object.id}, and ${object} is neither a nested HWPT nor a vIOMMU`,
				"object-kind",
			);
		const target = object instanceof Viommu ? object.driver : object.domain;
		if (!target.invalidateCache)
			throw new Errno("EOPNOTSUPP", `the driver of ${object} takes no invalidations for it`, "hardware-lacks");
		target.invalidateCache(array);
	} finally {
		invalidate.entryNum = array.done;
		call.respond();
	}
}

/** @throws EINVAL for an array that can't be one, or that is too large for one call */
function checkArray({ entries, address, entryLength }: UserDataArray): void {
	if (entries === 0) return;
	if (address === 0) throw new Errno("EINVAL", `entry_num is ${entries}, but data_uptr is 0`, "invalidation-array");
	if (entryLength === 0 || entryLength > PAGE_SIZE)
		throw new Errno("EINVAL", `entry_len is ${entryLength}, and must be 1 to ${PAGE_SIZE}`, "invalidation-array");
	if (entries > HWPT_INVALIDATE_ENTRY_NUM_MAX)
		throw new Errno(
			"EINVAL",
			`entry_num is ${entries}, and at most ${HWPT_INVALIDATE_ENTRY_NUM_MAX} are done in one call`,
			"invalidation-array",
		);
}
