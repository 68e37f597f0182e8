// Pauses: a full packet buffer asks the other end to wait, and this end waits when it is asked to.
// 82576 data sheet 3.5.5 "Flow control", 8.5; IEEE 802.3 annex 31B.

import { word } from "./packet.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { Ctrl, Register } from "./registers.js";
import type { Statistics } from "./statistics.js";

/** EtherType and opcode. */
const CONTROL = 0x8808;
const PAUSE = 0x0001;
const ADDRESS = Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x01);
const FRAME = 60;
/** A quantum is 512 bit times: at 1 Gb/s so many nanoseconds. */
const QUANTUM = 512n;
/** FCRTH and FCRTL count bytes, in units of 16. */
const THRESHOLD = 0xfff0;
/** FCRTL: the end of a pause is said. */
const XONE = 2 ** 31;

export interface Surroundings {
	/** The port's own address. */
	readonly address: () => Uint8Array;
	/** Whether a frame can be sent to another end now. */
	readonly canSend: () => boolean;
	readonly send: (frame: Uint8Array) => void;
	/** Nanoseconds. */
	readonly now: () => bigint;
	/** Called when this end needn't wait any more. */
	readonly resume: () => void;
}

export class FlowControl {
	readonly #ctrl: PlainRegister;
	readonly #time: PlainRegister;
	readonly #low: PlainRegister;
	readonly #high: PlainRegister;
	readonly #statistics: Statistics;
	readonly #around: Surroundings;
	/** The other end has been asked to wait. */
	#isAsking = false;
	#pausedUntil = 0n;

	constructor(registers: RegisterFile, ctrl: PlainRegister, statistics: Statistics, around: Surroundings) {
		this.#ctrl = ctrl;
		this.#statistics = statistics;
		this.#around = around;
		registers.plain(Register.FCAL, 0x00c2_8001);
		registers.plain(Register.FCAH, 0x0000_0100, 0xffff);
		registers.plain(Register.FCT, CONTROL, 0xffff);
		this.#time = registers.plain(Register.FCTTV);
		this.#low = registers.plain(Register.FCRTL);
		this.#high = registers.plain(Register.FCRTH);
		registers.plain(Register.FCRTV);
		registers.add(Register.FCSTS, { read: () => (this.#isAsking ? 1 : 0), write: () => {} });
	}

	/** Whether nothing may be sent now. */
	get isPaused(): boolean {
		return this.#pausedUntil > 0n && this.#around.now() < this.#pausedUntil;
	}

	/** Called as the packet buffer fills and empties. A frame that comes in spite of a pause has it asked for anew. */
	onLevel(octets: number): void {
		if (!this.#ctrl.has(Ctrl.TFCE) || !this.#around.canSend()) return;
		const high = this.#high.value & THRESHOLD;
		if (high > 0 && octets > high) {
			this.#isAsking = true;
			this.#statistics.count("XOFFTXC");
			this.#send(this.#time.value & 0xffff);
		} else if (this.#isAsking && octets <= (this.#low.value & THRESHOLD)) {
			this.#isAsking = false;
			if (!this.#low.has(XONE)) return;
			this.#statistics.count("XONTXC");
			this.#send(0);
		}
	}

	/** @returns whether a frame was a pause, and has been obeyed: nobody else gets to see it */
	takes(frame: Uint8Array): boolean {
		if (!this.#ctrl.has(Ctrl.RFCE) || word(frame, 12) !== CONTROL || word(frame, 14) !== PAUSE) return false;
		const own = this.#around.address();
		if (![ADDRESS, own].some((address) => address.every((byte, i) => frame[i] === byte))) return false;
		const quanta = word(frame, 16);
		this.#statistics.count(quanta > 0 ? "XOFFRXC" : "XONRXC");
		this.#pausedUntil = quanta > 0 ? this.#around.now() + BigInt(quanta) * QUANTUM : 0n;
		if (quanta === 0) this.#around.resume();
		return true;
	}

	reset(): void {
		this.#isAsking = false;
		this.#pausedUntil = 0n;
	}

	#send(quanta: number): void {
		const frame = new Uint8Array(FRAME);
		frame.set(ADDRESS);
		frame.set(this.#around.address(), 6);
		const view = new DataView(frame.buffer);
		view.setUint16(12, CONTROL);
		view.setUint16(14, PAUSE);
		view.setUint16(16, quanta);
		this.#around.send(frame);
	}
}
