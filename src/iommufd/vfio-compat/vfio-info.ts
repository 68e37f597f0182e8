// VFIO_IOMMU_GET_INFO: the page sizes of a container, and a chain of capabilities behind the struct.
// iommufd_vfio_iommu_get_info() in drivers/iommu/iommufd/vfio_compat.c.

import { copyOut, PAGE_SIZE } from "../../memory/address-space.js";
import type { Args } from "../../uapi/struct.js";
import {
	VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
	VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
	VfioIommuGetInfo,
	VfioIommuInfoFlags,
	VfioIommuType1InfoCapIovaRange,
	VfioIommuType1InfoDmaAvail,
	VfioIovaRange,
} from "../../uapi/vfio.js";
import type { Call } from "../call.js";
import type { IoPagetable } from "../io-pagetable/io-pagetable.js";
import { LAST_IOVA } from "../io-pagetable/iova-ranges.js";

const dmaAvail = VfioIommuType1InfoDmaAvail.newView();
dmaAvail.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
dmaAvail.version = 1;
dmaAvail.avail = 0xffffffff; // the limit is the caller's memory

const iovaRanges = VfioIommuType1InfoCapIovaRange.newView();
iovaRanges.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
iovaRanges.version = 1;

const range = VfioIovaRange.newView();

/** Where the capabilities are in the answer, in bytes; each begins at a multiple of 8. */
const DMA_AVAIL_AT = VfioIommuGetInfo.size;
const IOVA_RANGES_AT = DMA_AVAIL_AT + 16;

/**
 * VFIO_IOMMU_GET_INFO. As much is written as there is room for; argsz then says how much would be needed.
 * @param address of the caller's struct, in bytes
 */
export function iommuGetInfo(call: Call, address: number, info: Args<typeof VfioIommuGetInfo>, map: IoPagetable): void {
	const room = info.argsz;
	if (room >= DMA_AVAIL_AT + dmaAvail.bytes.length) {
		dmaAvail.next = room >= IOVA_RANGES_AT ? IOVA_RANGES_AT : 0;
		copyOut(call.caller.memory, address + DMA_AVAIL_AT, dmaAvail.bytes, "the capability DMA_AVAIL");
	}
	const size = IOVA_RANGES_AT + writeIovaRanges(call, address + IOVA_RANGES_AT, room - IOVA_RANGES_AT, map);
	info.flags = VfioIommuInfoFlags.PGSIZES | VfioIommuInfoFlags.CAPS;
	info.iovaPgsizes = pageSizes(map);
	info.capOffset = room >= size ? DMA_AVAIL_AT : 0;
	info.argsz = size;
	call.respond();
}

/**
 * The IOVAs that can be mapped.
 * @param room in bytes
 * @returns how many bytes all of it takes
 */
function writeIovaRanges(call: Call, address: number, room: number, map: IoPagetable): number {
	const { memory } = call.caller;
	let size = iovaRanges.bytes.length;
	let count = 0;
	for (const { first, last } of map.ranges.usable()) {
		if (size + range.bytes.length <= room) {
			range.start = first;
			range.end = last;
			copyOut(memory, address + size, range.bytes, "the capability IOVA_RANGE");
		}
		size += range.bytes.length;
		count++;
	}
	iovaRanges.nrIovas = count;
	if (size <= room) copyOut(memory, address, iovaRanges.bytes, "the capability IOVA_RANGE");
	return size;
}

/** The page sizes that all domains have. VFIO gives nobody pages that are smaller than the CPU's. */
function pageSizes(map: IoPagetable): bigint {
	const small = BigInt(PAGE_SIZE - 1);
	let sizes = LAST_IOVA;
	for (const domain of map.domains) sizes &= domain.pageSizes;
	if (sizes & small) sizes = (sizes & ~small) | BigInt(PAGE_SIZE);
	return sizes > map.alignment ? sizes : map.alignment;
}
