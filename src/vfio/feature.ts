// VFIO_DEVICE_FEATURE: what a device can do beyond the usual. drivers/vfio/vfio_main.c and pci/vfio_pci_core.c.

import type { Caller } from "../files/caller.js";
import { copyIn } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import type { Args } from "../uapi/struct.js";
import {
	VfioDeviceFeature,
	VfioDeviceFeatureDmaBuf,
	VfioDeviceFeatureFlags,
	VfioDeviceLowPowerEntryWithWakeup,
	VfioFeature,
} from "../uapi/vfio.js";
import { eventFdOf } from "./client-event-fd.js";
import type { VfioDevice } from "./device.js";
import { UUID_SIZE } from "./vf-token.js";

const { GET, SET, PROBE } = VfioDeviceFeatureFlags;

type FeatureArgs = Args<typeof VfioDeviceFeature>;

/**
 * @param address where the struct is; the feature's data follows it
 * @returns what the ioctl returns: an fd where the feature is one
 * @throws ENOTTY for a feature that the device doesn't have, EINVAL for what can't be asked of it, EFAULT
 */
export function deviceFeature(device: VfioDevice, args: FeatureArgs, caller: Caller, address: number): number {
	const data = address + VfioDeviceFeature.size;
	if (!(args.flags & PROBE) && args.flags & GET && args.flags & SET)
		throw new Errno("EINVAL", "flags has GET and SET, which only PROBE can ask for together", "feature");
	switch (args.feature) {
		case VfioFeature.MIG_PRECOPY_INFOv2:
			throw new Errno("EINVAL", `${device.name} can't migrate, so it has no pre-copy`, "feature");
		case VfioFeature.LOW_POWER_ENTRY:
			if (isToBeDone(args, SET, 0)) device.enterLowPower(undefined);
			return 0;
		case VfioFeature.LOW_POWER_ENTRY_WITH_WAKEUP:
			if (isToBeDone(args, SET, VfioDeviceLowPowerEntryWithWakeup.size)) sleepUntilUsed(device, caller, data);
			return 0;
		case VfioFeature.LOW_POWER_EXIT:
			if (isToBeDone(args, SET, 0)) device.leaveLowPower();
			return 0;
		case VfioFeature.PCI_VF_TOKEN: {
			if (device.sriov.kind !== "physical") throw absent(device, args);
			if (!isToBeDone(args, SET, UUID_SIZE)) return 0;
			const uuid = new Uint8Array(UUID_SIZE);
			copyIn(caller.memory, data, uuid, "the VF token");
			device.sriov.token.set(uuid);
			return 0;
		}
		case VfioFeature.DMA_BUF:
			return isToBeDone(args, GET, VfioDeviceFeatureDmaBuf.size) ? device.dmaBufs.create(caller, data) : 0;
		default:
			throw absent(device, args);
	}
}

/** @throws EFAULT, EINVAL, EBADF */
function sleepUntilUsed(device: VfioDevice, caller: Caller, address: number): void {
	const entry = VfioDeviceLowPowerEntryWithWakeup.newView();
	copyIn(caller.memory, address, entry.bytes, "struct vfio_device_low_power_entry_with_wakeup");
	const fd = entry.wakeupEventfd;
	if (fd < 0) throw new Errno("EINVAL", `wakeup_eventfd is ${fd}, which is no fd`, "eventfd");
	const wakeUp = eventFdOf(caller, fd);
	try {
		device.enterLowPower(wakeUp);
	} catch (error) {
		wakeUp.release();
		throw error;
	}
}

/** vfio_check_feature(): false when it was only asked whether it could be done. */
function isToBeDone({ flags, argsz, feature }: FeatureArgs, supported: number, dataSize: number): boolean {
	if (flags & (GET | SET) & ~supported)
		throw new Errno("EINVAL", `feature ${feature} can't be ${flags & GET & ~supported ? "read" : "set"}`, "feature");
	if (flags & PROBE) return false;
	if (!(flags & (GET | SET))) throw new Errno("EINVAL", "flags has none of GET, SET and PROBE", "feature");
	if (argsz - VfioDeviceFeature.size < dataSize)
		throw new Errno(
			"EINVAL",
			`argsz is ${argsz}, and feature ${feature} takes ${dataSize} bytes more than the struct`,
			"argsz",
		);
	return true;
}

function absent({ name }: VfioDevice, { feature }: FeatureArgs): Errno {
	const [known] = Object.entries(VfioFeature).find(([, number]) => number === feature) ?? [];
	return new Errno(
		"ENOTTY",
		`${name} doesn't have feature ${feature}${known === undefined ? "" : ` (${known})`}`,
		"feature",
	);
}
