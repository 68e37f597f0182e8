// Intel's 82576, a Gigabit Ethernet controller: one port of it, with sixteen receive and transmit queues.
// Intel 82576EB Gigabit Ethernet Controller Datasheet, revision 2.63. What is left out stands in docs/igb.md.
// Frames go out to a wire, or come back by the PHY's loopback. Here is what the whole port is made of, its resets, and the link.

import { allOnes, type Endpoint, type EndpointPort } from "../endpoint.js";
import type { WireEnd } from "../wire.js";
import { Eeprom, type EepromContents } from "./eeprom.js";
import { FlowControl } from "./flow-control.js";
import { Interrupts } from "./interrupts.js";
import { Phy } from "./phy.js";
import { Receiver } from "./receiver.js";
import { PlainRegister, RegisterFile } from "./register-file.js";
import { ALIASES, Cause, Ctrl, Gcr, Register, Status } from "./registers.js";
import { Statistics } from "./statistics.js";
import { Transmitter } from "./transmitter.js";

/** The BARs: registers, and a window to them by ports. MSI-X has one of its own, which VFIO takes care of. */
export const REGISTERS_BAR = 0;
export const REGISTERS_SIZE = 128 * 1024;
export const IO_BAR = 2;
export const IO_SIZE = 32;

/** In the window: an address, and what is there. 8.1.2 */
const IOADDR = 0;
const IODATA = 4;

/** Descriptors, or frames that have waited, in one piece of work: well below a millisecond. */
const BUDGET = 32;

const CTRL_AT_RESET = Ctrl.FD | Ctrl.SPEED_1000 | Ctrl.ADVD3WUC;
/** These two bits are not kept. */
const SELF_CLEARING = Ctrl.RST;

export interface IgbOptions extends EepromContents {
	readonly wire?: WireEnd | undefined;
	/** Nanoseconds. */
	readonly now: () => bigint;
}

export class Igb implements Endpoint {
	readonly #registers = new RegisterFile();
	readonly #ctrl = new PlainRegister(CTRL_AT_RESET);
	readonly #wire: WireEnd | undefined;
	readonly #eeprom: Eeprom;
	readonly #phy: Phy;
	readonly #interrupts: Interrupts;
	readonly #statistics: Statistics;
	readonly #flowControl: FlowControl;
	readonly #receiver: Receiver;
	readonly #transmitter: Transmitter;
	/** The semaphore between drivers, which reading SWSM takes. */
	#smbi = false;
	/** The semaphore towards the firmware, of which there is none. */
	#swesmbi = false;
	/** STATUS.PHYRA: the PHY has been reset. */
	#wasPhyReset = true;
	#isLinkUp = false;
	#ioAddress = 0;

	constructor(port: EndpointPort, options: IgbOptions) {
		const registers = this.#registers;
		const wire = options.wire;
		this.#wire = wire;
		this.#eeprom = new Eeprom(registers, options);
		this.#phy = new Phy(registers, wire);
		this.#interrupts = new Interrupts(port, registers);
		this.#statistics = new Statistics(registers);
		this.#flowControl = new FlowControl(registers, this.#ctrl, this.#statistics, {
			address: () => this.#eeprom.address,
			canSend: () => this.#isLinkUp && !this.#phy.isLoopback,
			send: (frame) => wire?.send(frame),
			now: options.now,
			resume: () => port.wake(),
		});
		const vet = registers.plain(Register.VET, 0x8100_8100);
		this.#receiver = new Receiver(port, registers, vet, this.#interrupts, this.#statistics, {
			stripsTags: () => this.#ctrl.has(Ctrl.VME),
			isMaster: () => this.#isMaster,
			onLevel: (octets) => this.#flowControl.onLevel(octets),
		});
		this.#transmitter = new Transmitter(port, registers, this.#interrupts, this.#statistics, {
			insertsTags: () => this.#ctrl.has(Ctrl.VME),
			etherType: () => vet.value & 0xffff,
			canSend: () => this.#isLinkUp && this.#isMaster && !this.#flowControl.isPaused,
			send: (frame, isIntact) => this.#send(frame, isIntact),
		});
		this.#addGeneralRegisters();
		for (const [alias, register, count = 1] of ALIASES)
			for (let i = 0; i < count; i++) registers.alias(alias + 4 * i, register + 4 * i);
		this.#receiver.filter.setAddress(this.#eeprom.address);
		this.#phy.onChange = () => this.#updateLink();
		if (wire)
			wire.onFrame = (frame) => {
				this.#receive(frame);
				port.wake();
			};
		this.#updateLink();
	}

	readRegister(bar: number, offset: number, size: number): bigint {
		if (bar === IO_BAR) return this.#readWindow(offset, size);
		if (bar !== REGISTERS_BAR || offset + size > REGISTERS_SIZE) return allOnes(size);
		this.#writeBack();
		if (size === 8) return BigInt(this.#registers.read(offset)) | (BigInt(this.#registers.read(offset + 4)) << 32n);
		const value = BigInt(this.#registers.read(offset & ~3));
		return (value >> BigInt(8 * (offset & 3))) & allOnes(size);
	}

	/** Registers are written whole: 8.1.1. */
	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		if (bar === IO_BAR) this.#writeWindow(offset, size, value);
		if (bar !== REGISTERS_BAR || size < 4 || offset + size > REGISTERS_SIZE) return;
		this.#writeBack();
		this.#registers.write(offset, Number(value & 0xffff_ffffn));
		if (size === 8) this.#registers.write(offset + 4, Number(value >> 32n));
	}

	work(): boolean {
		const hasFrames = this.#receiver.work(BUDGET);
		const hasDescriptors = this.#transmitter.work(BUDGET);
		this.#writeBack();
		return hasFrames || hasDescriptors;
	}

	reset(): void {
		this.#ioAddress = 0;
		this.#smbi = false;
		this.#swesmbi = false;
		this.#phy.reset();
		this.#wasPhyReset = true;
		this.#resetMac();
	}

	close(): void {
		if (this.#wire === undefined) return;
		this.#wire.onFrame = undefined;
		this.#wire.onLinkChange = undefined;
		this.#wire.close();
	}

	/** Whether it may use the bus: 5.2.3.4 "master disable". */
	get #isMaster(): boolean {
		return !this.#ctrl.has(Ctrl.GIO_MASTER_DISABLE);
	}

	/**
	 * Software gets what is done, and is told. Before each access as well: so what a register says and what is in memory
	 * is of the same moment.
	 */
	#writeBack(): void {
		this.#transmitter.writeBack();
		this.#receiver.writeBack();
	}

	/** 4.2.1.6.1: all of the port but the PHY. It is over when the write is. */
	#resetMac(): void {
		this.#registers.reset();
		this.#eeprom.reset();
		this.#statistics.reset();
		this.#flowControl.reset();
		this.#receiver.reset();
		this.#transmitter.reset();
		this.#receiver.filter.setAddress(this.#eeprom.address);
		this.#updateLink();
		this.#interrupts.reset();
	}

	#addGeneralRegisters(): void {
		const registers = this.#registers;
		registers.add(Register.CTRL, {
			read: () => this.#ctrl.value,
			write: (value) => this.#control(value),
			reset: () => this.#ctrl.reset(),
		});
		registers.add(Register.STATUS, {
			read: () => this.#status,
			write: (value) => {
				if ((value & Status.PHYRA) === 0) this.#wasPhyReset = false;
			},
		});
		registers.plain(Register.CTRL_EXT, 0, 0xffff_ffff);
		registers.add(Register.SWSM, {
			read: () => {
				const value = (this.#smbi ? 1 : 0) | (this.#swesmbi ? 2 : 0);
				this.#smbi = true;
				return value;
			},
			write: (value) => {
				if ((value & 1) === 0) this.#smbi = false;
				this.#swesmbi = (value & 2) !== 0;
			},
		});
		registers.plain(Register.SW_FW_SYNC);
		for (const register of KEPT) registers.plain(register);
		registers.plain(Register.GCR, Gcr.COMPLETION_TIMEOUT_RESEND);
		registers.plain(Register.TXPBS, 40);
		registers.plain(Register.SWPBS, 20);
	}

	#control(value: number): void {
		if (value & Ctrl.RST) {
			this.#resetMac();
			return;
		}
		if (value & Ctrl.PHY_RST && !this.#ctrl.has(Ctrl.PHY_RST)) {
			this.#phy.reset();
			this.#wasPhyReset = true;
		}
		this.#ctrl.write(value & ~SELF_CLEARING);
		this.#updateLink();
	}

	get #status(): number {
		const { link } = this.#phy;
		const isForced = this.#ctrl.has(Ctrl.FRCSPD);
		const speed = isForced ? (this.#ctrl.value >>> Ctrl.SPEED_SHIFT) & 3 : (link?.speed ?? 0);
		const isFullDuplex = this.#ctrl.has(Ctrl.FRCDPX) ? this.#ctrl.has(Ctrl.FD) : (link?.isFullDuplex ?? true);
		return (
			(isFullDuplex ? Status.FD : 0) |
			(this.#isLinkUp ? Status.LU : 0) |
			(this.#flowControl.isPaused ? Status.TXOFF : 0) |
			(speed << Status.SPEED_SHIFT) |
			((link?.speed ?? 0) << Status.ASDV_SHIFT) |
			(this.#wasPhyReset ? Status.PHYRA : 0) |
			(this.#isMaster ? Status.GIO_MASTER_EN : 0)
		);
	}

	#updateLink(): void {
		const isUp = this.#ctrl.has(Ctrl.SLU) && this.#phy.link !== undefined;
		if (isUp === this.#isLinkUp) return;
		this.#isLinkUp = isUp;
		this.#interrupts.raise(Cause.LSC);
	}

	#send(frame: Uint8Array, isIntact: boolean): void {
		if (!this.#phy.isLoopback) {
			// The wire knows no damaged frames: nobody would take one.
			if (isIntact) this.#wire?.send(frame);
		} else if (isIntact) this.#receive(frame);
		else this.#receiver.receiveDamaged();
	}

	#receive(frame: Uint8Array): void {
		if (!this.#isLinkUp) return;
		if (!this.#flowControl.takes(frame)) this.#receiver.receive(frame);
	}

	#readWindow(offset: number, size: number): bigint {
		if (size !== 4) return allOnes(size);
		if (offset === IOADDR) return BigInt(this.#ioAddress);
		if (offset === IODATA) return this.readRegister(REGISTERS_BAR, this.#ioAddress, 4);
		return allOnes(size);
	}

	#writeWindow(offset: number, size: number, value: bigint): void {
		if (size !== 4) return;
		if (offset === IOADDR) this.#ioAddress = (Number(value) & ~3) >>> 0;
		if (offset === IODATA) this.writeRegister(REGISTERS_BAR, this.#ioAddress, 4, value);
	}
}

/** They keep what is written, and do nothing here: docs/igb.md says what that leaves out. */
const KEPT = [
	Register.SERDESCTL,
	Register.CONNSW,
	Register.LEDCTL,
	Register.GCR_EXT,
	Register.VT_CTL,
	Register.WUC,
	Register.WUFC,
	Register.MANC,
] as const;
