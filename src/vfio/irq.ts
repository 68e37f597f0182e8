// A function's interrupts as VFIO counts them, and what it checks before they are set. drivers/vfio/pci/vfio_pci_core.c and vfio_main.c.

import type { Caller } from "../files/caller.js";
import { copyIn } from "../memory/address-space.js";
import { Errno, hex } from "../uapi/errno.js";
import { flagsIn } from "../uapi/field.js";
import type { Args } from "../uapi/struct.js";
import {
	VFIO_PCI_NUM_IRQS,
	type VfioDeviceGetIrqInfo,
	VfioDeviceSetIrqs,
	VfioIrqInfoFlags,
	VfioIrqSetFlags,
	VfioPciIrq,
} from "../uapi/vfio.js";
import type { VfioDevice } from "./device.js";
import { irqName } from "./interrupts.js";

const { EVENTFD, MASKABLE, AUTOMASKED, NORESIZE } = VfioIrqInfoFlags;
const { DATA_NONE, DATA_BOOL, DATA_EVENTFD } = VfioIrqSetFlags;
const DATA_TYPE_MASK = DATA_NONE | DATA_BOOL | DATA_EVENTFD;
const ACTION_TYPE_MASK = VfioIrqSetFlags.ACTION_MASK | VfioIrqSetFlags.ACTION_UNMASK | VfioIrqSetFlags.ACTION_TRIGGER;

/** How many vectors there are of a kind, a number of VfioPciIrq. */
function vectorsOf({ hardware, configSpace }: VfioDevice, index: number): number {
	switch (index) {
		case VfioPciIrq.INTX:
			return configSpace.interruptPin === 0 ? 0 : 1;
		case VfioPciIrq.MSI:
			return hardware.msiVectors;
		case VfioPciIrq.MSIX:
			return hardware.msix?.vectors ?? 0;
		case VfioPciIrq.ERR:
		case VfioPciIrq.REQ:
			return 1;
		default:
			return 0;
	}
}

/** VFIO_DEVICE_GET_IRQ_INFO @throws EINVAL for an index without interrupts */
export function getIrqInfo(device: VfioDevice, info: Args<typeof VfioDeviceGetIrqInfo>): void {
	const { index } = info;
	if (index >= VFIO_PCI_NUM_IRQS)
		throw new Errno(
			"EINVAL",
			`index is ${index}: the kinds of interrupts of ${device.name} are 0 (INTx) to ${VFIO_PCI_NUM_IRQS - 1} (REQ)`,
			"no-such-interrupt",
		);
	info.count = vectorsOf(device, index);
	info.flags = EVENTFD;
	if (index === VfioPciIrq.INTX) info.flags |= MASKABLE | AUTOMASKED;
	// Linux can add MSI-X vectors one by one; of all others the number is fixed when the first is set.
	else if (index !== VfioPciIrq.MSIX) info.flags |= NORESIZE;
}

/**
 * VFIO_DEVICE_SET_IRQS
 * @param address where the struct is; its data follows it
 * @throws EINVAL, EFAULT, and what the interrupt itself refuses
 */
export function setIrqs(
	device: VfioDevice,
	set: Args<typeof VfioDeviceSetIrqs>,
	caller: Caller,
	address: number,
): void {
	const { flags, index, start, count, argsz } = set;
	if (index >= VFIO_PCI_NUM_IRQS)
		throw new Errno(
			"EINVAL",
			`index is ${index}: the kinds of interrupts that can be set of ${device.name} are 0 (INTx) to ${VFIO_PCI_NUM_IRQS - 1} (REQ)`,
			"no-such-interrupt",
		);
	const known = DATA_TYPE_MASK | ACTION_TYPE_MASK;
	if (flags & ~known)
		throw new Errno("EINVAL", `flags has ${hex(flags & ~known)}, which is no flag of SET_IRQS`, "interrupt-flags");
	const vectors = vectorsOf(device, index);
	if (vectors === 0) throw new Errno("EINVAL", `${device.name} has no ${irqName(index)}`, "no-such-interrupt");
	if (start >= vectors || start + count > vectors)
		throw new Errno(
			"EINVAL",
			`start is ${start} and count ${count}: ${irqName(index)} of ${device.name} has ${vectors === 1 ? "one vector" : `the vectors 0 to ${vectors - 1}`}`,
			"no-such-interrupt",
		);
	const bytes = count * bytesOfOne(flags);
	if (argsz - VfioDeviceSetIrqs.size < bytes)
		throw new Errno(
			"EINVAL",
			`argsz is ${argsz}: the struct takes ${VfioDeviceSetIrqs.size} bytes, and the data of ${count} vectors ${bytes} more`,
			"argsz",
		);
	const data = new Uint8Array(bytes);
	copyIn(caller.memory, address + VfioDeviceSetIrqs.size, data, "the data of SET_IRQS");
	device.interrupts.set(caller, { flags, index, start, count, data: new DataView(data.buffer) });
}

function bytesOfOne(flags: number): number {
	switch (flags & DATA_TYPE_MASK) {
		case DATA_NONE:
			return 0;
		case DATA_BOOL:
			return 1;
		case DATA_EVENTFD:
			return 4;
		default:
			throw new Errno(
				"EINVAL",
				`flags is ${flagsIn(VfioIrqSetFlags, flags)}: it must have one of DATA_NONE, DATA_BOOL and DATA_EVENTFD, and no two`,
				"interrupt-flags",
			);
	}
}
