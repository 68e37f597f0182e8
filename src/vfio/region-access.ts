// Reading and writing a function's regions by its file: which one a position is in. vfio_pci_rw() in drivers/vfio/pci/vfio_pci_core.c.

import type { AddressSpace } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { VFIO_PCI_NUM_REGIONS, VfioPciRegion } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";

/** What a position is made of: a region's index from this bit on, and an offset in it. VFIO_PCI_OFFSET_SHIFT */
export const REGION_SIZE = 2 ** 40;

const names = new Map(Object.entries(VfioPciRegion).map(([name, index]): [number, string] => [index, name]));

/** What lies at a position, in words. */
export function placeAt(position: number): string {
	const index = Math.floor(position / REGION_SIZE);
	return `${nameOf(index)}+${hex(position % REGION_SIZE)}`;
}

function nameOf(index: number): string {
	return names.get(index) ?? `region ${index}`;
}

/** @returns how many bytes were read @throws EINVAL, EFAULT, EIO, Later */
export function readRegion(
	device: VfioDevice,
	memory: AddressSpace,
	address: number,
	length: number,
	position: number,
): number {
	if (length === 0) return 0;
	const { index, offset } = regionAt(position);
	device.wake();
	if (index === VfioPciRegion.CONFIG) {
		device.configSpace.read(memory, address, length, offset);
		return length;
	}
	requireBar(device, index, offset);
	return device.registers.read(index, memory, address, length, offset);
}

/** @returns how many bytes were written @throws EINVAL, EFAULT, EIO, Later */
export function writeRegion(
	device: VfioDevice,
	memory: AddressSpace,
	address: number,
	length: number,
	position: number,
): number {
	if (length === 0) return 0;
	const { index, offset } = regionAt(position);
	device.wake();
	if (index === VfioPciRegion.CONFIG) {
		device.configSpace.write(memory, address, length, offset);
		return length;
	}
	requireBar(device, index, offset);
	return device.registers.write(index, memory, address, length, offset);
}

/** Which region a position is in, and where there. @throws EINVAL */
export function regionAt(position: number): { index: number; offset: number } {
	const index = Math.floor(position / REGION_SIZE);
	if (index >= VFIO_PCI_NUM_REGIONS)
		throw new Errno(
			"EINVAL",
			`position ${hex(position)} is in region ${index}, of ${VFIO_PCI_NUM_REGIONS} that there are`,
			"no-such-region",
		);
	return { index, offset: position % REGION_SIZE };
}

function requireBar({ name, hardware }: VfioDevice, index: number, offset: number): void {
	const bar = hardware.bars.find((bar) => bar.index === index);
	if (bar === undefined) throw new Errno("EINVAL", `${name} has no ${nameOf(index)}`, "no-such-region");
	if (offset >= bar.size)
		throw new Errno(
			"EINVAL",
			`offset ${hex(offset)} is beyond BAR ${index} of ${name}, ${hex(bar.size)} bytes`,
			"no-such-region",
		);
}
