// Attaching a device to an IOAS or a HWPT, and moving it to another one. drivers/iommu/iommufd/device.c.

import type { Pasid } from "../iommu/core/pasid.js";
import { Errno } from "../uapi/errno.js";
import { attachHwpt, detachHwpt, release, replaceHwpt } from "./attachment.js";
import type { BoundDevice } from "./device.js";
import { Hwpt, type PagingHwpt } from "./hwpt.js";
import { allocateForAttach, allocateForUser } from "./hwpt-alloc.js";
import { Ioas } from "./ioas.js";
import type { IommufdObject } from "./object.js";

/**
 * Attaches a device to an IOAS, by way of a HWPT that fits or is made, or to a HWPT.
 * @returns the id of the HWPT
 * @throws ENOENT, EINVAL for an object of another kind, EBUSY when it is attached already, and what the driver throws
 */
export function attachDevice(device: BoundDevice, pasid: Pasid, ptId: number): number {
	const target = device.context.objects.any(ptId, "pt_id");
	let hwpt: Hwpt;
	if (target instanceof Hwpt) {
		attachHwpt(device, target, pasid);
		hwpt = target;
	} else if (target instanceof Ioas) hwpt = attachIoas(device, target, pasid);
	else throw notAttachable(target);
	device.users++;
	return hwpt.id;
}

/** Undoes attachDevice(). Does nothing when nothing is attached for the PASID. */
export function detachDevice(device: BoundDevice, pasid: Pasid): void {
	if (detachHwpt(device, pasid)) device.users--;
}

/**
 * Attaches the group of an attached device to something else; on error what was attached stays.
 * @returns the id of the HWPT
 */
export function replaceDevice(device: BoundDevice, pasid: Pasid, ptId: number): number {
	const target = device.context.objects.any(ptId, "pt_id");
	if (target instanceof Hwpt) {
		release(device, replaceHwpt(device, target, pasid));
		return target.id;
	}
	if (target instanceof Ioas) return replaceByIoas(device, target, pasid);
	throw notAttachable(target);
}

function notAttachable(target: IommufdObject): Errno {
	return new Errno("EINVAL", `pt_id is ${target.id}, and ${target} is neither an IOAS nor a HWPT`, "pt-id");
}

/** Shares an automatic HWPT of the IOAS if one takes the device, and makes one if not. */
function attachIoas(device: BoundDevice, ioas: Ioas, pasid: Pasid): PagingHwpt {
	const shared = firstThatFits(ioas, (hwpt) => attachHwpt(device, hwpt, pasid));
	if (shared !== undefined) return shared.hwpt;
	const hwpt = allocateForAttach(device.context, ioas, device, pasid);
	hwpt.isAutomatic = true;
	device.context.objects.install(hwpt);
	return hwpt;
}

function replaceByIoas(device: BoundDevice, ioas: Ioas, pasid: Pasid): number {
	const { context } = device;
	const shared = firstThatFits(ioas, (hwpt) => replaceHwpt(device, hwpt, pasid));
	if (shared !== undefined) {
		release(device, shared.result);
		return shared.hwpt.id;
	}
	const hwpt = allocateForUser(context, ioas, device, { flags: 0, data: undefined });
	let old: Hwpt | undefined;
	try {
		old = replaceHwpt(device, hwpt, pasid);
	} catch (error) {
		hwpt.destroy();
		context.objects.cancel(hwpt.id);
		throw error;
	}
	hwpt.isAutomatic = true;
	context.objects.install(hwpt);
	release(device, old);
	return hwpt.id;
}

/** Tries the automatic HWPTs of an IOAS in turn; one that answers EINVAL doesn't fit the device, other errors are final. */
function firstThatFits<T>(ioas: Ioas, attach: (hwpt: PagingHwpt) => T): { hwpt: PagingHwpt; result: T } | undefined {
	for (const hwpt of ioas.hwpts) {
		if (!hwpt.isAutomatic) continue;
		try {
			return { hwpt, result: attach(hwpt) };
		} catch (error) {
			if (!(error instanceof Errno && error.code === "EINVAL")) throw error;
		}
	}
	return undefined;
}
