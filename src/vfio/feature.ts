// VFIO_DEVICE_FEATURE: what a device can do beyond the usual. drivers/vfio/vfio_main.c and pci/vfio_pci_core.c.

import type { AddressSpace } from "../memory/address-space.js";
import { copyIn } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import type { Args } from "../uapi/struct.js";
import { VfioDeviceFeature, VfioDeviceFeatureFlags, VfioFeature } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import { UUID_SIZE } from "./vf-token.js";

const { GET, SET, PROBE } = VfioDeviceFeatureFlags;

type FeatureArgs = Args<typeof VfioDeviceFeature>;

/**
 * @param address where the struct is; the feature's data follows it
 * @throws ENOTTY for a feature that the device doesn't have, EINVAL for what can't be asked of it, EFAULT
 */
export function deviceFeature(device: VfioDevice, args: FeatureArgs, memory: AddressSpace, address: number): void {
	if (!(args.flags & PROBE) && args.flags & GET && args.flags & SET)
		throw new Errno("EINVAL", "flags has GET and SET, which only PROBE can ask for together");
	switch (args.feature) {
		case VfioFeature.MIG_PRECOPY_INFOv2:
			throw new Errno("EINVAL", `${device.name} can't migrate, so it has no pre-copy`);
		case VfioFeature.LOW_POWER_ENTRY:
			if (isToBeDone(args, SET, 0)) device.enterLowPower();
			return;
		case VfioFeature.LOW_POWER_EXIT:
			if (isToBeDone(args, SET, 0)) device.leaveLowPower();
			return;
		case VfioFeature.PCI_VF_TOKEN: {
			if (device.sriov.kind !== "physical") throw absent(device, args);
			if (!isToBeDone(args, SET, UUID_SIZE)) return;
			const uuid = new Uint8Array(UUID_SIZE);
			copyIn(memory, address + VfioDeviceFeature.size, uuid, "the VF token");
			device.sriov.token.set(uuid);
			return;
		}
		default:
			throw absent(device, args);
	}
}

/** vfio_check_feature(): false when it was only asked whether it could be done. */
function isToBeDone({ flags, argsz, feature }: FeatureArgs, supported: number, dataSize: number): boolean {
	if (flags & (GET | SET) & ~supported)
		throw new Errno("EINVAL", `feature ${feature} can't be ${flags & GET & ~supported ? "read" : "set"}`);
	if (flags & PROBE) return false;
	if (!(flags & (GET | SET))) throw new Errno("EINVAL", "flags has none of GET, SET and PROBE");
	if (argsz - VfioDeviceFeature.size < dataSize)
		throw new Errno("EINVAL", `argsz is ${argsz}, and feature ${feature} takes ${dataSize} bytes more than the struct`);
	return true;
}

function absent({ name }: VfioDevice, { feature }: FeatureArgs): Errno {
	const [known] = Object.entries(VfioFeature).find(([, number]) => number === feature) ?? [];
	return new Errno("ENOTTY", `${name} doesn't have feature ${feature}${known === undefined ? "" : ` (${known})`}`);
}
