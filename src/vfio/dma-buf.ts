// VFIO_DEVICE_FEATURE_DMA_BUF: parts of a BAR as a dma-buf, for whoever else is to reach them. What is asked for, and what Linux
// checks of it. drivers/vfio/pci/vfio_pci_dmabuf.c.

import { type AddressSpace, copyIn } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { VfioDeviceFeatureDmaBuf, VfioPciRegion, VfioRegionDmaRange } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import type { Bar } from "./pci-config.js";

const PAGE = 4096n;
/** kmalloc() gives no more, in bytes: the ranges are copied as a whole. */
const KMALLOC_MAX_SIZE = 4 * 1024 * 1024;
/** DMA_IOVA_USE_SWIOTLB: a bit that a length may not have. */
const LENGTHS_END = 1n << 63n;
const LAST = (1n << 64n) - 1n;

/** Parts of a BAR, in bytes from its beginning; one after the other they are the dma-buf. */
export interface BarRange {
	readonly offset: number;
	readonly length: number;
}

/**
 * Reads which parts of which BAR are asked for.
 * @param address where the feature's data is
 * @throws EFAULT, EINVAL, ENODEV, ENOMEM, EOVERFLOW
 */
export function readRanges(
	device: VfioDevice,
	memory: AddressSpace,
	address: number,
): { bar: Bar; ranges: BarRange[]; openFlags: number } {
	const request = VfioDeviceFeatureDmaBuf.newView();
	copyIn(memory, address, request.bytes, "struct vfio_device_feature_dma_buf");
	const { regionIndex, nrRanges, flags, openFlags } = request;
	if (nrRanges === 0) throw new Errno("EINVAL", "nr_ranges is 0: nothing is to be in the dma-buf");
	if (flags !== 0) throw new Errno("EINVAL", `flags of a dma-buf is ${hex(flags)}, and must be 0`);
	const bar = device.hardware.bars.find(({ index }) => index === regionIndex && index < VfioPciRegion.ROM);
	if (bar === undefined)
		throw new Errno("ENODEV", `region ${regionIndex} of ${device.name} is not a BAR that it has`, "no-such-region");
	const ranges = readAll(memory, address + VfioDeviceFeatureDmaBuf.size, nrRanges);
	if (bar.space === "io") throw new Errno("EINVAL", `BAR ${bar.index} of ${device.name} is no memory`);
	for (const { offset, length } of ranges) requireInBar(device, bar, offset, length);
	return {
		bar,
		ranges: ranges.map(({ offset, length }) => ({ offset: Number(offset), length: Number(length) })),
		openFlags,
	};
}

interface Range {
	readonly offset: bigint;
	readonly length: bigint;
}

function readAll(memory: AddressSpace, address: number, count: number): readonly Range[] {
	const bytes = count * VfioRegionDmaRange.size;
	if (bytes > KMALLOC_MAX_SIZE)
		throw new Errno("ENOMEM", `${count} ranges are ${bytes} bytes, more than Linux copies at once`);
	const array = new Uint8Array(bytes);
	copyIn(memory, address, array, "dma_ranges");
	const words = new BigUint64Array(array.buffer);
	const ranges = Array.from({ length: count }, (_, i) => ({ offset: words[2 * i], length: words[2 * i + 1] }));
	let total = 0n;
	for (const [i, { offset, length }] of ranges.entries()) {
		if (length === 0n || offset % PAGE !== 0n || length % PAGE !== 0n)
			throw new Errno("EINVAL", `range ${i}, ${hex(offset)} + ${hex(length)}, isn't made of whole pages`, "alignment");
		total += length;
	}
	if (total >= LENGTHS_END)
		throw new Errno("EINVAL", `the ranges are ${hex(total)} bytes long together, which is too much`);
	return ranges;
}

function requireInBar({ name }: VfioDevice, bar: Bar, offset: bigint, length: bigint): void {
	const start = bar.address + offset;
	if (start > LAST || start + length > LAST)
		throw new Errno("EOVERFLOW", `${hex(offset)} + ${hex(length)} of BAR ${bar.index} wraps around`);
	if (offset + length > BigInt(bar.size))
		throw new Errno(
			"EINVAL",
			`${hex(offset)} + ${hex(length)} is beyond BAR ${bar.index} of ${name}, ${hex(bar.size)} bytes`,
			"no-such-region",
		);
}
