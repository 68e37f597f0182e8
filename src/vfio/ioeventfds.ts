// Eventfds of a program that each stand for one write to a register: whoever signals one has it made, without a call to VFIO.
// VFIO_DEVICE_IOEVENTFD; drivers/vfio/pci/vfio_pci_rdwr.c.

import type { Caller } from "../files/caller.js";
import type { EventFd } from "../files/event-fd.js";
import { Errno, hex } from "../uapi/errno.js";
import type { Args } from "../uapi/struct.js";
import { type VfioDeviceIoeventfd, VfioPciRegion } from "../uapi/vfio.js";
import { msixTableOf } from "./bar-window.js";
import { eventFdOf } from "./client-event-fd.js";
import type { VfioDevice } from "./device.js";
import { regionAt } from "./region-access.js";

/** So many can a device have. VFIO_PCI_IOEVENTFD_MAX */
const MOST = 1000;
/** Values of `flags`, and at once numbers of bytes. */
const SIZES = [1, 2, 4, 8];

/** A write that an eventfd stands for. */
interface Standing {
	readonly bar: number;
	/** In the BAR, in bytes. */
	readonly offset: number;
	readonly size: number;
	readonly data: bigint;
	readonly eventFd: EventFd;
}

export class IoEventFds {
	readonly #device: VfioDevice;
	readonly #all = new Set<Standing>();

	constructor(device: VfioDevice) {
		this.#device = device;
	}

	/**
	 * VFIO_DEVICE_IOEVENTFD
	 * @throws EINVAL for a place where none can be, EEXIST, ENODEV for one to be taken away that isn't there, ENOSPC, EBADF
	 */
	set(caller: Caller, { flags: size, offset: position, data, fd }: Args<typeof VfioDeviceIoeventfd>): void {
		if (!SIZES.includes(size))
			throw new Errno("EINVAL", `flags is ${hex(size)}, and must be one of the sizes 8, 16, 32 and 64 (bits)`);
		if (fd < -1) throw new Errno("EINVAL", `fd is ${fd}: an eventfd, or -1 to take one away`, "eventfd");
		const { index: bar, offset } = regionAt(Number(position));
		this.#requirePlace(bar, offset, size);
		const known = [...this.#all].find(
			(one) => one.bar === bar && one.offset === offset && one.size === size && one.data === data,
		);
		const write = `a write of ${hex(data)} (${size} bytes) to BAR${bar}+${hex(offset)} of ${this.#device.name}`;
		if (known !== undefined) {
			if (fd !== -1) throw new Errno("EEXIST", `${write} has an eventfd already`, "ioeventfd");
			this.#remove(known);
			return;
		}
		if (fd === -1) throw new Errno("ENODEV", `${write} has no eventfd that could be taken away`, "ioeventfd");
		if (this.#all.size >= MOST) throw new Errno("ENOSPC", `${this.#device.name} has ${MOST} such eventfds already`);
		this.#add({ bar, offset, size, data, eventFd: eventFdOf(caller, fd) });
	}

	/** Only in BARs, and not where it would get around what VFIO hides. */
	#requirePlace(index: number, offset: number, size: number): void {
		const { name, hardware } = this.#device;
		const bar = hardware.bars.find((bar) => bar.index === index);
		if (index > VfioPciRegion.BAR5 || offset + size > (bar?.size ?? 0))
			throw new Errno(
				"EINVAL",
				`region ${index}+${hex(offset)} (${size} bytes) isn't within a BAR that ${name} has`,
				"no-such-region",
			);
		const { start, end } = msixTableOf(hardware, index);
		if (offset + size > start && offset < end)
			throw new Errno("EINVAL", `BAR${index}+${hex(offset)} of ${name} is in its MSI-X table`, "ioeventfd");
	}

	#add(standing: Standing): void {
		const { bar, offset, size, data, eventFd } = standing;
		const bytes = new Uint8Array(size);
		for (let i = 0; i < size; i++) bytes[i] = Number((data >> BigInt(8 * i)) & 0xffn);
		this.#all.add(standing);
		// However often it was signalled meanwhile, the write is made once.
		eventFd.onSignal(() => this.#device.registers.store(bar, offset, bytes));
	}

	#remove(standing: Standing): void {
		this.#all.delete(standing);
		standing.eventFd.release();
	}

	/** The program gives the function back. */
	close(): void {
		for (const standing of this.#all) this.#remove(standing);
	}
}
