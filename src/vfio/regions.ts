// VFIO_DEVICE_GET_REGION_INFO: where the parts of a function are in its file. drivers/vfio/pci/vfio_pci_core.c; the chain of
// capabilities: vfio_get_region_info() in drivers/vfio/vfio_main.c.

import { type AddressSpace, copyOut } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import type { Args } from "../uapi/struct.js";
import {
	VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
	VfioDeviceGetRegionInfo,
	VfioInfoCapHeader,
	VfioPciRegion,
	VfioRegionInfoFlags,
} from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import { REGION_SIZE } from "./region-access.js";
import { isMappable } from "./region-mapping.js";

const { READ, WRITE, MMAP, CAPS } = VfioRegionInfoFlags;

/**
 * Fills in the answer, and puts capabilities after it where there is room.
 * @param memory the caller's, and where its struct is
 * @throws EINVAL for an index without a region, EFAULT
 */
export function getRegionInfo(
	{ name, hardware, config, registers }: VfioDevice,
	info: Args<typeof VfioDeviceGetRegionInfo>,
	memory: AddressSpace,
	address: number,
): void {
	const { index, argsz } = info;
	if (index >= VfioPciRegion.VGA)
		throw new Errno(
			"EINVAL",
			`index is ${index}: ${name} has the regions 0 to ${VfioPciRegion.CONFIG}, and no VGA`,
			"no-such-region",
		);
	const bar = hardware.bars.find((bar) => bar.index === index);
	const size = index === VfioPciRegion.CONFIG ? config.bytes.length : (bar?.size ?? 0);
	const canBeMapped = bar !== undefined && isMappable(bar) && registers.canBeMapped;
	info.flags = (size === 0 ? 0 : READ | WRITE) | (canBeMapped ? MMAP : 0);
	info.size = BigInt(size);
	info.offset = BigInt(index * REGION_SIZE);
	info.capOffset = 0;
	if (!canBeMapped || hardware.msix?.bar !== index) return;
	info.flags |= CAPS;
	const capability = VfioInfoCapHeader.newView();
	capability.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
	capability.version = 1;
	const end = VfioDeviceGetRegionInfo.size + capability.bytes.length;
	if (argsz < end) info.argsz = end;
	else {
		copyOut(memory, address + VfioDeviceGetRegionInfo.size, capability.bytes, "the capabilities of a region");
		info.capOffset = VfioDeviceGetRegionInfo.size;
	}
}
