// VFIO_IOMMU_GET_INFO of VFIO's own back end: all of its chain of capabilities, or none of it. vfio_iommu_type1_get_info()
// in drivers/vfio/vfio_iommu_type1.c.

import { type AddressSpace, copyOut } from "../../memory/address-space.js";
import { readVfioCommand, respond } from "../../uapi/rules.js";
import {
	VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
	VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
	VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
	VfioIommuGetInfo,
	VfioIommuInfoFlags,
	VfioIommuType1InfoCapIovaRange,
	VfioIommuType1InfoCapMigration,
	VfioIommuType1InfoDmaAvail,
	VfioIovaRange,
} from "../../uapi/vfio.js";
import { LARGEST_BITMAP } from "./dirty-bits.js";
import type { Type1 } from "./type1.js";

/** Each capability begins at a multiple of that, in bytes. */
const ALIGNMENT = 8;
/** Where a capability has the place of the next one, in bytes. */
const NEXT = 4;

/**
 * @param address of the caller's struct, in bytes
 * @throws EFAULT, EINVAL for a struct that is too short
 */
export function getInfo(type1: Type1, memory: AddressSpace, address: number): void {
	const argsz = readVfioCommand(memory, address, VfioIommuGetInfo);
	const info = VfioIommuGetInfo.view;
	info.flags = VfioIommuInfoFlags.PGSIZES | VfioIommuInfoFlags.CAPS;
	info.iovaPgsizes = type1.pageSizes;
	info.capOffset = 0;
	const chain = chainOf([migration(type1), available(type1), ...iovaRanges(type1)]);
	const size = VfioIommuGetInfo.size + chain.length;
	if (argsz < size) info.argsz = size;
	else {
		copyOut(memory, address + VfioIommuGetInfo.size, chain, "the capabilities");
		info.capOffset = VfioIommuGetInfo.size;
	}
	respond(memory, address, VfioIommuGetInfo, argsz);
}

/** One after the other, each with the place of the next one in the whole answer. */
function chainOf(capabilities: readonly Uint8Array[]): Uint8Array {
	const places: number[] = [];
	let end = 0;
	for (const { length } of capabilities) {
		places.push(end);
		end += Math.ceil(length / ALIGNMENT) * ALIGNMENT;
	}
	const chain = new Uint8Array(end);
	const view = new DataView(chain.buffer);
	capabilities.forEach((bytes, index) => {
		chain.set(bytes, places[index]);
		const next = places[index + 1];
		view.setUint32(places[index] + NEXT, next === undefined ? 0 : VfioIommuGetInfo.size + next, true);
	});
	return chain;
}

function migration({ pageSize }: Type1): Uint8Array {
	const capability = VfioIommuType1InfoCapMigration.newView();
	capability.id = VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
	capability.version = 1;
	capability.pgsizeBitmap = pageSize;
	capability.maxDirtyBitmapSize = BigInt(LARGEST_BITMAP);
	return capability.bytes;
}

function available(type1: Type1): Uint8Array {
	const capability = VfioIommuType1InfoDmaAvail.newView();
	capability.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
	capability.version = 1;
	capability.avail = type1.available;
	return capability.bytes;
}

/** Without any range there is no such capability. */
function iovaRanges({ iovas: { ranges } }: Type1): Uint8Array[] {
	if (ranges.length === 0) return [];
	const capability = VfioIommuType1InfoCapIovaRange.newView();
	capability.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	capability.version = 1;
	capability.nrIovas = ranges.length;
	const bytes = new Uint8Array(capability.bytes.length + ranges.length * VfioIovaRange.size);
	bytes.set(capability.bytes);
	const range = VfioIovaRange.newView();
	ranges.forEach(({ first, last }, index) => {
		range.start = first;
		range.end = last;
		bytes.set(range.bytes, capability.bytes.length + index * VfioIovaRange.size);
	});
	return [bytes];
}
