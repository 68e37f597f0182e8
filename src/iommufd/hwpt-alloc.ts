// How a HWPT gets its domain: the user-visible flow, the automatic flow, and nesting.
// drivers/iommu/iommufd/hw_pagetable.c.

import { allocation, iommufdFails } from "../faults/faults.js";
import { Undo } from "../faults/undo.js";
import type { Pasid } from "../iommu/core/pasid.js";
import type { UserData } from "../iommu/core/user-data.js";
import { Errno } from "../uapi/errno.js";
import { flagsIn, nameIn } from "../uapi/field.js";
import { type HwptAlloc, HwptAllocFlags, HwptDataType } from "../uapi/iommufd.js";
import type { Args } from "../uapi/struct.js";
import { attachHwpt, detachHwpt } from "./attachment.js";
import type { Call } from "./call.js";
import type { Context } from "./context.js";
import { BoundDevice } from "./device.js";
import { FaultQueue } from "./fault-queue.js";
import { NestedHwpt, PagingHwpt } from "./hwpt.js";
import type { HwptRequest } from "./hwpt-policy.js";
import { Ioas } from "./ioas.js";
import { Viommu } from "./viommu.js";

const AUTOMATIC: HwptRequest = { flags: 0, data: undefined };

/**
 * IOMMU_HWPT_ALLOC on an IOAS: allocate, then map. It never attaches; user space does, later.
 * Not in the table of objects yet: the caller installs it, or destroys it and cancels its id.
 */
export function allocateForUser(context: Context, ioas: Ioas, device: BoundDevice, request: HwptRequest): PagingHwpt {
	using undo = new Undo();
	const hwpt = allocate(context, ioas, device, request, undo);
	hwpt.show(); // fails here on a driver that finishes its domain only at attach
	undo.keep();
	return hwpt;
}

/** A device attached straight to an IOAS: attach, then map, because some drivers finish their domain only at attach. */
export function allocateForAttach(context: Context, ioas: Ioas, device: BoundDevice, pasid: Pasid): PagingHwpt {
	using undo = new Undo();
	const hwpt = allocate(context, ioas, device, AUTOMATIC, undo);
	const { mapsBeforeAttach } = context.platform.policy;
	if (mapsBeforeAttach) hwpt.show();
	attachHwpt(device, hwpt, pasid);
	undo.push(() => detachHwpt(device, pasid));
	if (!mapsBeforeAttach) hwpt.show();
	undo.keep();
	return hwpt;
}

function allocate(context: Context, ioas: Ioas, device: BoundDevice, request: HwptRequest, undo: Undo): PagingHwpt {
	const id = context.objects.reserve("HWPT_PAGING");
	undo.push(() => context.objects.cancel(id));
	allocation("a domain");
	const domain = context.platform.policy.allocate(device.device, request);
	const hwpt = new PagingHwpt(id, request.flags, ioas, domain);
	undo.push(() => hwpt.destroy());
	// Before anything is mapped: some IOMMUs have a bit for it in every entry.
	if (device.enforcesCacheCoherency) hwpt.enforceCacheCoherency();
	return hwpt;
}

/** IOMMU_HWPT_ALLOC on a HWPT: a first stage of user space's on top of it. */
function allocateNested(
	context: Context,
	parent: PagingHwpt,
	device: BoundDevice,
	flags: number,
	data: UserData,
): NestedHwpt {
	const { driver } = device.device;
	checkNested(flags, data);
	if (!driver.domainAllocNested)
		throw new Errno(
			"EOPNOTSUPP",
			driver.hasViommu
				? `${driver.name} nests on a vIOMMU, and ${parent} is none: IOMMU_VIOMMU_ALLOC makes one on top of it`
				: `${driver.name} has no nested domains`,
			"viommu",
		);
	if (parent.isAutomatic || !parent.isNestParent || parent.domain.driver !== driver)
		throw new Errno(
			"EINVAL",
			`${parent} can't be a parent: ${parent.isAutomatic ? "it was made by an attach" : parent.isNestParent ? `it is ${parent.domain.driver.name}'s` : "it was allocated without NEST_PARENT"}`,
			"nest-parent",
		);
	using undo = new Undo();
	const id = context.objects.reserve("HWPT_NESTED");
	undo.push(() => context.objects.cancel(id));
	allocation("a nested domain");
	const domain = driver.domainAllocNested(device.device, parent.domain, flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
	undo.keep();
	return new NestedHwpt(id, flags, parent, domain);
}

/** IOMMU_HWPT_ALLOC on a vIOMMU: a first stage of its guest's, on top of the vIOMMU's own HWPT. */
function allocateOnViommu(
	context: Context,
	viommu: Viommu,
	device: BoundDevice,
	flags: number,
	data: UserData,
): NestedHwpt {
	if (device.device.iommu !== viommu.iommu)
		throw new Errno("EINVAL", `${device} is behind another IOMMU than the one that ${viommu} is a share of`, "viommu");
	checkNested(flags, data);
	const { driver } = viommu;
	if (!driver.allocDomainNested) throw new Errno("EOPNOTSUPP", `${viommu} has no nested domains`, "hardware-lacks");
	using undo = new Undo();
	const id = context.objects.reserve("HWPT_NESTED");
	undo.push(() => context.objects.cancel(id));
	allocation("a nested domain of a vIOMMU");
	const domain = driver.allocDomainNested(flags & ~HwptAllocFlags.FAULT_ID_VALID, data);
	undo.keep();
	return new NestedHwpt(id, flags, viommu, domain);
}

/** @throws EOPNOTSUPP for what no nested HWPT can have, or can do without */
function checkNested(flags: number, data: UserData): void {
	const known = HwptAllocFlags.FAULT_ID_VALID | HwptAllocFlags.PASID;
	if (flags & ~known)
		throw new Errno(
			"EOPNOTSUPP",
			`a nested HWPT takes the flags FAULT_ID_VALID and PASID, and flags has ${flagsIn(HwptAllocFlags, flags & ~known)}`,
			"flags-together",
		);
	if (data.length === 0)
		throw new Errno(
			"EOPNOTSUPP",
			"a nested HWPT needs data that describes its first stage: data_len is 0",
			"nested-data",
		);
}

/** IOMMU_HWPT_ALLOC */
export function hwptAlloc(call: Call, alloc: Args<typeof HwptAlloc>): void {
	const { context } = call;
	const { flags, dataType: type, dataLen: length, dataUptr: address } = alloc;
	if ((type === HwptDataType.NONE) !== (length === 0))
		throw new Errno(
			"EINVAL",
			type === HwptDataType.NONE
				? `data_type is NONE, but data_len is ${length}`
				: `data_type is ${nameIn(HwptDataType, type)}, but data_len is 0`,
			"nested-data",
		);
	const data: UserData = { type, address, length, memory: call.caller.memory };
	const device = context.objects.get(alloc.devId, BoundDevice, "dev_id");
	const parent = context.objects.find(alloc.ptId);
	if (parent === undefined)
		throw new Errno("EINVAL", `pt_id is ${alloc.ptId}, and there is no object ${alloc.ptId}`, "no-object");
	if (iommufdFails("finding an object")) throw new Errno("EINVAL", `fault injection: ${parent}, pt_id, is not found`);

	let hwpt: PagingHwpt | NestedHwpt;
	if (parent instanceof Ioas) {
		const request = { flags, data: length === 0 ? undefined : data };
		hwpt = allocateForUser(context, parent, device, request);
	} else if (parent instanceof PagingHwpt) hwpt = allocateNested(context, parent, device, flags, data);
	else if (parent instanceof Viommu) hwpt = allocateOnViommu(context, parent, device, flags, data);
	else
		throw new Errno(
			"EINVAL",
			`pt_id is ${alloc.ptId}, and ${parent} is neither an IOAS nor a paging HWPT nor a vIOMMU`,
			"pt-id",
		);

	try {
		if (flags & HwptAllocFlags.FAULT_ID_VALID)
			hwpt.sendFaultsTo(context.objects.get(alloc.faultId, FaultQueue, "fault_id"));
		alloc.outHwptId = hwpt.id;
		call.respond();
	} catch (error) {
		hwpt.destroy();
		context.objects.cancel(hwpt.id);
		throw error;
	}
	context.objects.install(hwpt);
}
