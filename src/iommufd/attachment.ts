// What ties a device to a HWPT. All devices of a group are attached to the same one, for each PASID: the first one attaches
// the group, the last one detaches it. A device without an IOMMU is attached in the books only. drivers/iommu/iommufd/device.c.

import { allocation } from "../faults/faults.js";
import { NO_PASID, type Pasid } from "../iommu/core/pasid.js";
import { Errno } from "../uapi/errno.js";
import type { BoundDevice, IommufdGroup } from "./device.js";
import type { Hwpt } from "./hwpt.js";

/** Drops one use of a HWPT that a device was attached to; an automatic one goes with the last use. */
export function release(device: BoundDevice, hwpt: Hwpt | undefined): void {
	if (hwpt === undefined) return;
	if (hwpt.paging === hwpt && hwpt.paging.isAutomatic) device.context.objects.putAndTryDestroy(hwpt);
	else hwpt.users--;
}

/** Attaches one device; the first one of its group attaches the group. */
export function attachHwpt(device: BoundDevice, hwpt: Hwpt, pasid: Pasid): void {
	const { group } = device;
	const attachment = group.attachments.get(pasid);
	if (attachment?.devices.has(device))
		throw new Errno("EBUSY", `${device} is attached to ${attachment.hwpt} already`, "attached-already");
	if (attachment !== undefined && attachment.hwpt !== hwpt)
		throw new Errno(
			"EINVAL",
			`${device} is in group ${group.group.id}, which is attached to ${attachment.hwpt}, not ${hwpt}`,
			"group-attachment",
		);
	if (attachment === undefined) allocation("what a group is attached to");
	allocation("a place in the list of attached devices");
	const { map } = hwpt.paging.ioas;
	const reserves = pasid === NO_PASID && device.device.hasIommu;
	if (reserves) group.softwareMsi = map.reserveForDevice(device.device) ?? group.softwareMsi;
	try {
		if (attachment === undefined) attachGroup(device, hwpt, pasid);
		else attachment.devices.add(device);
	} catch (error) {
		if (reserves) map.ranges.unreserve(device.device);
		throw error;
	}
	hwpt.users++;
}

function attachGroup(device: BoundDevice, hwpt: Hwpt, pasid: Pasid): void {
	const { group } = device;
	checkPasidCompatible(group, hwpt, pasid);
	if (device.device.hasIommu) {
		allocation("the handle of an attachment");
		if (pasid === NO_PASID) group.group.attach(hwpt.domain, device);
		else group.group.attachPasid(hwpt.domain, pasid, device);
	}
	group.attachments.set(pasid, { hwpt, devices: new Set([device]) });
}

/**
 * Detaches one device; the last one of its group detaches the group.
 * @returns whether anything was attached
 */
export function detachHwpt(device: BoundDevice, pasid: Pasid): boolean {
	const { group } = device;
	const attachment = group.attachments.get(pasid);
	if (attachment === undefined) return false;
	attachment.devices.delete(device);
	if (attachment.devices.size === 0) {
		if (device.device.hasIommu) {
			const gone = group.group.attachment(pasid)!;
			if (pasid === NO_PASID) group.group.detach();
			else group.group.detachPasid(pasid);
			attachment.hwpt.faultQueue?.answerFor(gone);
		}
		group.attachments.delete(pasid);
	}
	if (pasid === NO_PASID) attachment.hwpt.paging.ioas.map.ranges.unreserve(device.device);
	release(device, attachment.hwpt);
	return true;
}

/**
 * Moves the whole group to another HWPT.
 * @returns the HWPT that it was attached to, of which the caller drops one use; undefined when it is the same one
 */
export function replaceHwpt(device: BoundDevice, hwpt: Hwpt, pasid: Pasid): Hwpt | undefined {
	const { group } = device;
	const attachment = group.attachments.get(pasid);
	if (attachment === undefined || !attachment.devices.has(device))
		throw new Errno(
			"EINVAL",
			`${device} is not attached${pasid === NO_PASID ? "" : ` with PASID ${pasid}`}, so nothing can be replaced`,
			"not-attached",
		);
	const old = attachment.hwpt;
	if (old === hwpt) return undefined;
	const newIoas = hwpt.paging.ioas;
	const oldIoas = old.paging.ioas;
	const { hasIommu } = device.device;
	const moves = hasIommu && pasid === NO_PASID && newIoas !== oldIoas;
	const gone = group.group.attachment(pasid);
	try {
		if (moves) for (const member of attachment.devices) newIoas.map.reserveForDevice(member.device);
		checkPasidCompatible(group, hwpt, pasid);
		if (hasIommu) {
			allocation("the handle of another attachment");
			if (pasid === NO_PASID) group.group.replace(hwpt.domain, device);
			else group.group.replacePasid(hwpt.domain, pasid, device);
		}
	} catch (error) {
		// As in Linux, also where the IOAS stays the same: then its devices lose their reserved regions.
		if (pasid === NO_PASID) for (const member of attachment.devices) newIoas.map.ranges.unreserve(member.device);
		throw error;
	}
	if (gone !== undefined) old.faultQueue?.answerFor(gone);
	if (moves) for (const member of attachment.devices) oldIoas.map.ranges.unreserve(member.device);
	attachment.hwpt = hwpt;
	hwpt.users += attachment.devices.size;
	old.users -= attachment.devices.size - 1;
	return old;
}

/** @throws EINVAL when a HWPT without the flag PASID would be used beside PASIDs */
function checkPasidCompatible(group: IommufdGroup, hwpt: Hwpt, pasid: Pasid): void {
	const other = group.attachments.get(NO_PASID)?.hwpt;
	if (pasid === NO_PASID) {
		const others = [...group.attachments.keys()].some((key) => key !== NO_PASID);
		if (others && !hwpt.pasidCompatible)
			throw new Errno(
				"EINVAL",
				`${hwpt} was made without the flag PASID, and PASIDs of group ${group.group.id} are attached`,
				"pasid-flag",
			);
	} else if (!hwpt.pasidCompatible)
		throw new Errno("EINVAL", `${hwpt} was made without the flag PASID: it can't be attached to one`, "pasid-flag");
	else if (other && !other.pasidCompatible)
		throw new Errno(
			"EINVAL",
			`group ${group.group.id} is attached to ${other}, which was made without the flag PASID`,
			"pasid-flag",
		);
}
