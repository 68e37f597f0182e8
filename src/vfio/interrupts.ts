// Where a function's interrupts go: to eventfds, by one of three mechanisms at a time, which SET_IRQS switches on.
// drivers/vfio/pci/vfio_pci_intrs.c.

import type { Caller } from "../files/caller.js";
import type { EventFd } from "../files/event-fd.js";
import type { InterruptEvent } from "../trace/event.js";
import { Errno } from "../uapi/errno.js";
import { VfioIrqSetFlags, VfioPciIrq } from "../uapi/vfio.js";
import { eventFdOf } from "./client-event-fd.js";
import type { PciConfig } from "./pci-config.js";

const { DATA_NONE, DATA_BOOL, DATA_EVENTFD, ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER } = VfioIrqSetFlags;
const ACTIONS = ACTION_MASK | ACTION_UNMASK | ACTION_TRIGGER;

type Index = (typeof VfioPciIrq)[keyof typeof VfioPciIrq];

/** What SET_IRQS is asked for, as far as it isn't refused at sight. */
export interface IrqRequest {
	readonly flags: number;
	readonly index: number;
	readonly start: number;
	readonly count: number;
	/** A byte each with DATA_BOOL, an s32 each with DATA_EVENTFD. */
	readonly data: DataView;
}

/** The pin, while it is switched on. The interrupt masks itself when it happens, and again each time it is unmasked. */
interface Intx {
	trigger: EventFd | undefined;
	/** Unmasks it whenever it is signalled. */
	unmask: EventFd | undefined;
	isMasked: boolean;
}

/** VFIO hands a function out like this, and programs set the bit when all is prepared. */
export const NO_MASTER = "Bus Master Enable is off, bit 2 of the command register";
const DISABLED = "Interrupt Disable, bit 10 of the command register";

/** Somebody who signals eventfds of messages by himself, or has to know what is on. */
export interface MessageSender {
	/** Another kind is switched on, or what was is off. */
	setKind(index: number | undefined): void;
	/** A vector has another eventfd, or none. When this returns the one that it had isn't signalled any more. */
	setVector(vector: number, eventFd: EventFd | undefined): void;
}

export class Interrupts {
	/** Sends messages beside raise(). */
	sender: MessageSender | undefined;
	/** Is told of each that the function means to make. */
	report: ((event: InterruptEvent) => void) | undefined;
	readonly #name: string;
	readonly #config: PciConfig;
	#intx: Intx | undefined;
	/** MSI or MSI-X, while one of them is switched on, and how many vectors it was switched on with. */
	#messages: { readonly index: Index; readonly allocated: number } | undefined;
	/** By number of the vector. */
	readonly #vectors = new Map<number, EventFd>();
	/** ERR and REQ, which no function sends: an error of the bus, and the wish of the host to have it back. */
	readonly #others = new Map<number, EventFd>();
	/** The interrupt disable bit of the command register. */
	#isDisabled = false;
	/** The function asserts its pin until it is acknowledged, whoever looks. */
	#isPinAsserted = false;

	/** @param config the function's own configuration space */
	constructor(name: string, config: PciConfig) {
		this.#name = name;
		this.#config = config;
	}

	/** How many vectors MSI has; 0 while it is off. */
	get msiVectors(): number {
		return this.#messages?.index === VfioPciIrq.MSI ? this.#messages.allocated : 0;
	}

	// --- What the function does ---

	/** It sends a message, or asserts its pin when it is told to send none. */
	raise(vector: number): void {
		if (this.#messages !== undefined) this.#send(vector, this.#messages.index);
		else this.#assertPin();
	}

	/** A message is a write to memory. */
	#send(vector: number, index: Index): void {
		const message = `${irqName(index)} vector ${vector}`;
		const eventFd = this.#vectors.get(vector);
		if (!this.#config.isBusMaster) this.#tell(`${message} is lost: ${NO_MASTER}`);
		else if (eventFd === undefined) this.#tell(`${message} is lost: it has no eventfd`);
		else {
			eventFd.signal();
			this.#tell(`${message} signals its eventfd`);
		}
	}

	#assertPin(): void {
		this.#setPin(true);
		if (this.#intx === undefined) this.#tell("INTx is pending: neither it nor MSI or MSI-X is on");
		else if (this.#intx.isMasked)
			this.#tell(`INTx is pending: it is masked${this.#isDisabled ? ` by ${DISABLED}` : ""}`);
		else this.#fireIntx(this.#intx);
	}

	/** It has been acknowledged. */
	deassert(): void {
		this.#setPin(false);
	}

	#setPin(isAsserted: boolean): void {
		this.#isPinAsserted = isAsserted;
		this.#config.interruptStatus = isAsserted;
	}

	#fireIntx(intx: Intx): void {
		intx.isMasked = true;
		this.#sendIntx(intx);
		this.#tell(`INTx ${intx.trigger ? "signals its eventfd" : "has no eventfd"}, and is masked until it is unmasked`);
	}

	#tell(message: string): void {
		this.report?.({ device: this.#name, message });
	}

	#sendIntx({ trigger }: Intx): void {
		if (!this.#isDisabled) trigger?.signal();
	}

	// --- What the program does ---

	setDisabled(isDisabled: boolean): void {
		this.#isDisabled = isDisabled;
		if (this.#intx === undefined) return;
		if (isDisabled) this.#intx.isMasked = true;
		else this.#unmask(this.#intx);
	}

	/** VFIO_DEVICE_SET_IRQS, of a request that fits the number of vectors. @throws Errno */
	set(caller: Caller, request: IrqRequest): void {
		const action = request.flags & ACTIONS;
		const isMessage = request.index === VfioPciIrq.MSI || request.index === VfioPciIrq.MSIX;
		if (action === ACTION_TRIGGER) {
			if (request.index === VfioPciIrq.INTX) this.#triggerIntx(caller, request);
			else if (isMessage) this.#triggerMessages(caller, request, request.index);
			else this.#triggerOther(caller, request);
		} else if (request.index === VfioPciIrq.INTX && action === ACTION_MASK) this.#maskIntx(request);
		else if (request.index === VfioPciIrq.INTX && action === ACTION_UNMASK) this.#unmaskIntx(caller, request);
		else
			throw new Errno(
				"ENOTTY",
				`flags asks ${irqName(request.index)} of ${this.#name} to ${actionsInWords(action)}: INTx takes one of MASK, UNMASK and TRIGGER, all others TRIGGER alone`,
				"interrupt-flags",
			);
	}

	/** The program gives the function back. */
	close(): void {
		if (this.#intx !== undefined) this.#switchOffIntx(this.#intx);
		if (this.#messages !== undefined) this.#switchOffMessages();
		for (const eventFd of this.#others.values()) eventFd.release();
		this.#others.clear();
		this.#isDisabled = false;
	}

	// --- INTx ---

	#triggerIntx(caller: Caller, { flags, start, count, data }: IrqRequest): void {
		if (this.#intx !== undefined && count === 0 && flags & DATA_NONE) {
			this.#switchOffIntx(this.#intx);
			return;
		}
		if (this.#messages !== undefined)
			throw new Errno(
				"EINVAL",
				`${this.#nameOfMessages()} of ${this.#name} is on, so INTx can't be switched on: one kind of interrupt at a time`,
				"one-interrupt-kind",
			);
		if (start !== 0 || count !== 1)
			throw new Errno(
				"EINVAL",
				`start is ${start} and count ${count}: INTx of ${this.#name} is off, and is switched on with start 0 and count 1`,
				"intx-vector",
			);
		if (flags & DATA_EVENTFD) {
			const fd = data.getInt32(0, true);
			const trigger = fd < 0 ? undefined : eventFdOf(caller, fd);
			if (this.#intx === undefined) this.#switchOnIntx(trigger);
			else {
				this.#intx.trigger?.release();
				this.#intx.trigger = trigger;
			}
			return;
		}
		if (this.#intx === undefined)
			throw new Errno("EINVAL", `INTx of ${this.#name} can't be triggered: it is off`, "interrupt-off");
		if (isMeant(flags, data)) this.#sendIntx(this.#intx);
	}

	#switchOnIntx(trigger: EventFd | undefined): void {
		const intx = { trigger, unmask: undefined, isMasked: this.#isDisabled };
		this.#intx = intx;
		this.sender?.setKind(VfioPciIrq.INTX);
		if (this.#isPinAsserted && !intx.isMasked) this.#fireIntx(intx);
	}

	#switchOffIntx({ trigger, unmask }: Intx): void {
		unmask?.release();
		trigger?.release();
		this.#intx = undefined;
		this.sender?.setKind(undefined);
	}

	#maskIntx({ flags, start, count, data }: IrqRequest): void {
		const intx = this.#theIntx("masked", start, count);
		if (flags & DATA_EVENTFD)
			throw new Errno(
				"ENOTTY",
				"INTx can't be masked by an eventfd: DATA_EVENTFD goes with UNMASK and TRIGGER",
				"interrupt-flags",
			);
		if (isMeant(flags, data)) intx.isMasked = true;
	}

	#unmaskIntx(caller: Caller, { flags, start, count, data }: IrqRequest): void {
		const intx = this.#theIntx("unmasked", start, count);
		if (!(flags & DATA_EVENTFD)) {
			if (isMeant(flags, data)) this.#unmask(intx);
			return;
		}
		const fd = data.getInt32(0, true);
		const unmask = fd < 0 ? undefined : eventFdOf(caller, fd);
		if (unmask !== undefined && intx.unmask !== undefined) {
			unmask.release();
			throw new Errno(
				"EBUSY",
				`INTx of ${this.#name} has an eventfd already that unmasks it: fd -1 takes that away, and then fd ${fd} can be set`,
			);
		}
		if (unmask === undefined) intx.unmask?.release();
		intx.unmask = unmask;
		unmask?.onSignal(() => this.#unmask(intx));
	}

	/** What is asserted still happens at once. */
	#unmask(intx: Intx): void {
		if (!intx.isMasked || this.#isDisabled) return;
		intx.isMasked = false;
		if (this.#isPinAsserted) this.#fireIntx(intx);
	}

	#theIntx(what: string, start: number, count: number): Intx {
		if (this.#intx === undefined)
			throw new Errno("EINVAL", `INTx of ${this.#name} can't be ${what}: it is off`, "interrupt-off");
		if (start !== 0 || count !== 1)
			throw new Errno(
				"EINVAL",
				`start is ${start} and count ${count}: INTx is ${what} with start 0 and count 1`,
				"intx-vector",
			);
		return this.#intx;
	}

	// --- MSI and MSI-X ---

	#triggerMessages(caller: Caller, request: IrqRequest, index: Index): void {
		const { flags, start, count, data } = request;
		const isOn = this.#messages?.index === index;
		if (isOn && count === 0 && flags & DATA_NONE) {
			this.#switchOffMessages();
			return;
		}
		if (!isOn && (this.#intx !== undefined || this.#messages !== undefined))
			throw new Errno(
				"EINVAL",
				`${this.#intx ? "INTx" : this.#nameOfMessages()} of ${this.#name} is on, so ${irqName(index)} can't be used: one kind of interrupt at a time`,
				"one-interrupt-kind",
			);
		if (flags & DATA_EVENTFD) {
			this.#setEventFds(caller, request, index, isOn);
			return;
		}
		if (!isOn)
			throw new Errno(
				"EINVAL",
				`${irqName(index)} of ${this.#name} is off, and so it can neither be triggered nor switched off`,
				"interrupt-off",
			);
		for (let i = 0; i < count; i++)
			if (flags & DATA_NONE || data.getUint8(i) !== 0) this.#vectors.get(start + i)?.signal();
	}

	#setEventFds(caller: Caller, { start, count, data }: IrqRequest, index: Index, isOn: boolean): void {
		if (!isOn) {
			if (start + count === 0)
				throw new Errno(
					"ERANGE",
					`start and count are 0: ${irqName(index)} of ${this.#name} is switched on with one vector at least`,
					"interrupt-off",
				);
			this.#messages = { index, allocated: start + count };
			this.sender?.setKind(index);
		}
		for (let i = 0; i < count; i++) {
			try {
				this.#setVector(caller, start + i, data.getInt32(4 * i, true));
			} catch (error) {
				// None of them keeps what it has, also if it had it before.
				for (let vector = start; vector <= start + i; vector++) this.#dropVector(vector);
				if (!isOn) this.#switchOffMessages();
				throw error instanceof Errno && isOn
					? error.after(`Vectors ${start} to ${start + i} have no eventfd now`)
					: error;
			}
		}
	}

	#setVector(caller: Caller, vector: number, fd: number): void {
		this.#dropVector(vector);
		if (fd < 0) return;
		const { index, allocated } = this.#messages!;
		if (index === VfioPciIrq.MSI && vector >= allocated)
			throw new Errno(
				"EINVAL",
				`vector ${vector} isn't there: MSI of ${this.#name} was switched on with ${allocated}, and unlike MSI-X it can't grow`,
				"msi-vectors",
			);
		const eventFd = fd < 0 ? undefined : eventFdOf(caller, fd);
		if (eventFd === undefined) return;
		this.#vectors.set(vector, eventFd);
		this.sender?.setVector(vector, eventFd);
	}

	#dropVector(vector: number): void {
		const eventFd = this.#vectors.get(vector);
		if (eventFd === undefined) return;
		this.#vectors.delete(vector);
		this.sender?.setVector(vector, undefined);
		eventFd.release();
	}

	#switchOffMessages(): void {
		for (const vector of [...this.#vectors.keys()]) this.#dropVector(vector);
		this.#messages = undefined;
		this.sender?.setKind(undefined);
	}

	#nameOfMessages(): string {
		return irqName(this.#messages?.index ?? VfioPciIrq.MSI);
	}

	// --- ERR and REQ ---

	#triggerOther(caller: Caller, { flags, index, count, data }: IrqRequest): void {
		const known = this.#others.get(index);
		if (flags & DATA_NONE) {
			if (known === undefined)
				throw new Errno(
					"EINVAL",
					`${irqName(index)} of ${this.#name} has no eventfd that could be signalled or taken away`,
					"interrupt-off",
				);
			if (count > 0) known.signal();
			else this.#setOther(index, undefined);
			return;
		}
		if (count === 0)
			throw new Errno(
				"EINVAL",
				`count is 0: ${irqName(index)} is switched off with DATA_NONE, not with DATA_BOOL or DATA_EVENTFD`,
				"interrupt-flags",
			);
		if (flags & DATA_BOOL) {
			if (data.getUint8(0) !== 0) known?.signal();
			return;
		}
		const fd = data.getInt32(0, true);
		if (fd < -1)
			throw new Errno("EINVAL", `${irqName(index)} gets fd ${fd}: only -1 takes its eventfd away`, "eventfd");
		this.#setOther(index, fd < 0 ? undefined : eventFdOf(caller, fd));
	}

	/** The host wants the function back: vfio_pci_core_request(). */
	request(): void {
		this.#others.get(VfioPciIrq.REQ)?.signal();
	}

	#setOther(index: number, eventFd: EventFd | undefined): void {
		this.#others.get(index)?.release();
		if (eventFd === undefined) this.#others.delete(index);
		else this.#others.set(index, eventFd);
	}
}

function actionsInWords(action: number): string {
	const names = Object.entries({ MASK: ACTION_MASK, UNMASK: ACTION_UNMASK, TRIGGER: ACTION_TRIGGER });
	const asked = names.filter(([, bit]) => (action & bit) !== 0).map(([name]) => name);
	return asked.length === 0 ? "do nothing" : asked.join(" and ");
}

/** Of DATA_NONE and DATA_BOOL, for one vector. */
function isMeant(flags: number, data: DataView): boolean {
	return (flags & DATA_NONE) !== 0 || ((flags & DATA_BOOL) !== 0 && data.getUint8(0) !== 0);
}

/** "INTx", "MSI-X" */
export function irqName(index: number): string {
	return Object.entries(VfioPciIrq)
		.find(([, number]) => number === index)![0]
		.replace("MSIX", "MSI-X")
		.replace("INTX", "INTx");
}
