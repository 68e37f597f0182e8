// Mapping a function's regions: which ones can be, and what mmap(2) of a device's file checks. vfio_pci_probe_mmaps() and
// vfio_pci_core_mmap() in drivers/vfio/pci/vfio_pci_core.c.

import type { DeviceMemory } from "../files/open-file.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { VfioPciRegion } from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import type { Bar } from "./pci-config.js";
import { placeAt, regionAt } from "./region-access.js";

/** Whether a BAR has pages for itself: it is memory, and begins with one. */
export function isMappable({ space, size, address }: Pick<Bar, "space" | "size" | "address">): boolean {
	return space !== "io" && (size >= PAGE_SIZE || address % BigInt(PAGE_SIZE) === 0n);
}

/** How much of it can be mapped, in bytes: whole pages. */
export function mappableLength({ size }: Pick<Bar, "size">): number {
	return Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
}

/**
 * @param position in the device's file, in bytes, a multiple of a page's size, as the length
 * @throws EINVAL, Later
 */
export function mapRegion(device: VfioDevice, position: number, length: number): DeviceMemory {
	const { name, hardware, registers } = device;
	const { index, offset } = regionAt(position);
	if (index >= VfioPciRegion.ROM)
		throw new Errno("EINVAL", `${placeAt(position)} of ${name} can't be mapped: only BARs can`, "no-mmap");
	const bar = hardware.bars.find((bar) => bar.index === index);
	if (bar === undefined) throw new Errno("EINVAL", `${name} has no BAR ${index}`, "no-such-region");
	if (!isMappable(bar))
		throw new Errno(
			"EINVAL",
			`BAR ${index} of ${name} can't be mapped: ${bar.space === "io" ? "it is I/O ports" : "it shares its page"}`,
			"no-mmap",
		);
	const whole = mappableLength(bar);
	if (offset + length > whole)
		throw new Errno(
			"EINVAL",
			`${hex(offset)} + ${hex(length)} is beyond BAR ${index} of ${name}, ${hex(whole)} bytes in whole pages`,
			"no-such-region",
		);
	if (!registers.canBeMapped)
		throw new Errno(
			"EINVAL",
			`BAR ${index} of ${name} can't be mapped: its accesses are recorded, and those to memory can't be`,
			"no-mmap",
		);
	return registers.map(index);
}
