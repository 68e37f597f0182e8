// VFIO_DEVICE_GET_REGION_INFO: where the parts of a function are in its file. drivers/vfio/pci/vfio_pci_core.c.

import { Errno } from "../uapi/errno.js";
import type { Args } from "../uapi/struct.js";
import { type VfioDeviceGetRegionInfo, VfioPciRegion, VfioRegionInfoFlags } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";

/** VFIO_PCI_OFFSET_SHIFT: the file's offset has the region's index from this bit on. */
const OFFSET_SHIFT = 40n;

const { READ, WRITE } = VfioRegionInfoFlags;

/** Fills in the answer. @throws EINVAL for an index without a region */
export function getRegionInfo(
	{ name, hardware, config }: VfioDevice,
	info: Args<typeof VfioDeviceGetRegionInfo>,
): void {
	const { index } = info;
	if (index >= VfioPciRegion.VGA)
		throw new Errno(
			"EINVAL",
			`index is ${index}: ${name} has the regions 0 to ${VfioPciRegion.CONFIG}, and no VGA`,
			"no-such-region",
		);
	let size = 0;
	if (index === VfioPciRegion.CONFIG) size = config.bytes.length;
	else size = hardware.bars.find((bar) => bar.index === index)?.size ?? 0;
	info.flags = size === 0 ? 0 : READ | WRITE;
	info.size = BigInt(size);
	info.offset = BigInt(index) << OFFSET_SHIFT;
	info.capOffset = 0;
}
