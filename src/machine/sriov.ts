// A physical function of SR-IOV and its virtual functions: what one says of the others in its configuration space.
// PCI Express Base Specification 6.0, 9.2.1 "SR-IOV Resource Discovery", 9.3.3 "SR-IOV Extended Capability".

import type { Bar, SriovCapability } from "../vfio/pci-config.js";
import { MachineDescriptionError } from "./errors.js";
import type { PciDescription } from "./pci-description.js";

/** A requester ID has 16 bits, and counting them starts again after the last. */
const REQUESTER_IDS = 2 ** 16;

/**
 * @param virtual its virtual functions, one at least, in order
 * @param place finds room for so many equal BARs, one behind the other, and returns where the first is
 * @throws MachineDescriptionError for such as no function can have
 */
export function sriovOf(
	{ address }: PciDescription,
	virtual: readonly PciDescription[],
	place: (bar: PciDescription["bars"][number], count: number) => bigint,
): SriovCapability {
	const [first, second] = virtual;
	for (const one of virtual) checkAlike(first, one);
	const offset = distance(address, first.address);
	const stride = second === undefined ? 1 : distance(first.address, second.address);
	for (const [i, one] of virtual.entries())
		if (distance(first.address, one.address) !== (i * stride) % REQUESTER_IDS)
			throw new MachineDescriptionError(
				`${one.address}: the virtual functions of ${address} are ${stride} requester IDs apart, as its first two are (8 * device + function), and so it can't have this address`,
			);
	return {
		count: virtual.length,
		...{ offset, stride },
		deviceId: first.device,
		bars: first.bars.map((bar) => ({ ...bar, address: place(bar, virtual.length) })),
	};
}

/** The BARs of the virtual function that is number `index` */
export function barsOfVirtual({ bars }: SriovCapability, index: number): Bar[] {
	return bars.map((bar) => ({ ...bar, address: bar.address + BigInt(index * bar.size) }));
}

/** Of "0000:00:03.0": bus 0, device 3, function 0. */
export function requesterIdOf(address: string): number {
	const [, bus, device, number] = address.split(/[:.]/).map((part) => Number.parseInt(part, 16));
	return bus * 256 + device * 8 + number;
}

function distance(from: string, to: string): number {
	return (requesterIdOf(to) - requesterIdOf(from) + REQUESTER_IDS) % REQUESTER_IDS;
}

/** The physical function has one field for all of them. */
function checkAlike(first: PciDescription, other: PciDescription): void {
	const field = (["device", "bars"] as const).find(
		(name) => JSON.stringify(first[name]) !== JSON.stringify(other[name]),
	);
	if (field !== undefined)
		throw new MachineDescriptionError(
			`${other.address} and ${first.address} are virtual functions of one function, so they have the same "${field}"`,
		);
}
