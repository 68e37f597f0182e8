// VFIO_DEVICE_FEATURE_DMA_BUF: parts of a BAR as a dma-buf, for whoever else is to reach them, as long as the function's memory can be
// accessed. drivers/vfio/pci/vfio_pci_dmabuf.c.

import { allocation } from "../faults/faults.js";
import type { Caller } from "../files/caller.js";
import { DmaBuf } from "../iommufd/dmabuf.js";
import { type AddressSpace, copyIn, PAGE_SIZE } from "../memory/address-space.js";
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
interface BarRange {
	readonly offset: number;
	readonly length: number;
}

/** <fcntl.h> */
const O_CLOEXEC = 0x80000;

/** Those of one device. */
export class DmaBufs {
	readonly #device: VfioDevice;
	readonly #all = new Set<DmaBuf>();

	constructor(device: VfioDevice) {
		this.#device = device;
	}

	/**
	 * Makes one.
	 * @param address where the feature's data is
	 * @returns its fd
	 * @throws what readRanges() throws, EMFILE
	 */
	create(caller: Caller, address: number): number {
		const device = this.#device;
		const { bar, ranges, openFlags } = readRanges(device, caller.memory, address);
		allocation("the ranges of a dma-buf");
		allocation("a dma-buf");
		allocation("the file of a dma-buf");
		const dmaBuf = new DmaBuf({
			backing: device.barMemory.get(bar.index)!,
			firstPage: ranges[0].offset / PAGE_SIZE,
			size: ranges.reduce((sum, { length }) => sum + length, 0),
			isOnePiece: ranges.length === 1,
		});
		if (!device.isReachable) dmaBuf.invalidateMappings(true);
		this.#all.add(dmaBuf);
		dmaBuf.onUnused = () => this.#all.delete(dmaBuf);
		return caller.install(dmaBuf, (openFlags & O_CLOEXEC) !== 0);
	}

	/** The memory can't be accessed any more: all mappings are taken away, and nothing can be mapped. */
	revoke(): void {
		for (const dmaBuf of this.#all) if (!dmaBuf.isRevoked) dmaBuf.invalidateMappings(true);
	}

	/** It can be again. What was mapped before has to be mapped anew. */
	restore(): void {
		for (const dmaBuf of this.#all) if (dmaBuf.isRevoked) dmaBuf.invalidateMappings(false);
	}

	/** The program gives the function back: those that it has leave the device for ever. */
	close(): void {
		this.revoke();
		for (const dmaBuf of this.#all) dmaBuf.onUnused = undefined;
		this.#all.clear();
	}
}

/**
 * Reads which parts of which BAR are asked for.
 * @param address where the feature's data is
 * @throws EFAULT, EINVAL, ENODEV, ENOMEM, EOVERFLOW
 */
function readRanges(
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
