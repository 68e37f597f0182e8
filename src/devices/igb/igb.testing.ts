// A small driver for the 82576 in front of its model, for tests: memory, rings in it, and frames in and out.

import { TestPort } from "../port.testing.js";
import { Wire, type WireEnd } from "../wire.js";
import { Igb } from "./igb.js";
import { Ctrl, Dctl, QUEUE_STRIDE, QueueRegister, Rctl, Register, Tctl } from "./registers.js";

const EOP = 1 << 24;
const IFCS = 1 << 25;
const RS = 1 << 27;
const DEXT = 1 << 29;
const DATA = 3 << 20;
export const SENT = EOP | IFCS | RS | DEXT | DATA;
export const ONE_BUFFER = 1 << 25;

/** Where things are in memory. */
const RINGS = 0x1000;
const RING = 0x1000;
const SEND_BUFFERS = 0x40000;
const RECEIVE_BUFFERS = 0x400000;
const BUFFER = 2048;
export const COUNT = 64;

export interface Received {
	readonly bytes: Uint8Array;
	readonly status: number;
	readonly type: number;
	readonly hash: number;
	readonly tag: number;
	/** How many descriptors it took. */
	readonly pieces: number;
}

export class TestDriver {
	readonly port = new TestPort(8 * 1024 * 1024);
	readonly igb: Igb;
	/** What the clock says, in nanoseconds. */
	now = 0n;
	readonly #tails = new Map<number, number>();
	readonly #heads = new Map<number, number>();

	constructor(wire?: WireEnd, address = Uint8Array.of(2, 0, 0, 0, 0, 1)) {
		this.igb = new Igb(this.port, {
			address,
			vendor: 0x8086,
			device: 0x10c9,
			subsystemVendor: 0x8086,
			subsystem: 0xa03c,
			wire,
			now: () => this.now,
		});
	}

	read(register: number): number {
		return Number(this.igb.readRegister(0, register, 4));
	}

	write(register: number, value: number): void {
		this.igb.writeRegister(0, register, 4, BigInt(value >>> 0));
	}

	set(register: number, bits: number): void {
		this.write(register, this.read(register) | bits);
	}

	/** Whatever the controller has to do. */
	settle(): void {
		while (this.igb.work());
	}

	phyRead(number: number): number {
		this.write(Register.MDIC, (2 << 26) | (1 << 21) | (number << 16));
		return this.read(Register.MDIC) & 0xffff;
	}

	phyWrite(number: number, value: number): void {
		this.write(Register.MDIC, (1 << 26) | (1 << 21) | (number << 16) | value);
	}

	/** The PHY sends back what it gets: 3.5.6.3.1. */
	loopBack(): void {
		this.phyWrite(0, (1 << 14) | (1 << 8) | (1 << 6));
		this.set(Register.CTRL, Ctrl.FRCSPD | Ctrl.FRCDPX | Ctrl.SPEED_1000 | Ctrl.FD | Ctrl.SLU);
	}

	/** Rings of 64 descriptors, and all on. @param descriptors SRRCTL */
	start({ queues = [0], srrctl = ONE_BUFFER, rctl = 0 } = {}): void {
		this.set(Register.CTRL, Ctrl.SLU);
		for (const queue of queues) {
			const transmit = Register.TXDMA + queue * QUEUE_STRIDE;
			const receive = Register.RXDMA + queue * QUEUE_STRIDE;
			this.write(transmit + QueueRegister.BAL, this.#ringOf(queue, "transmit"));
			this.write(transmit + QueueRegister.LEN, COUNT * 16);
			this.write(transmit + QueueRegister.DCTL, Dctl.ENABLE);
			this.write(receive + QueueRegister.BAL, this.#ringOf(queue, "receive"));
			this.write(receive + QueueRegister.LEN, COUNT * 16);
			this.write(receive + QueueRegister.SRRCTL, srrctl);
			this.write(receive + QueueRegister.DCTL, Dctl.ENABLE);
			this.#tails.set(queue, 0);
			this.#heads.set(queue, 0);
		}
		this.write(Register.RCTL, Rctl.RXEN | Rctl.UPE | Rctl.MPE | Rctl.BAM | Rctl.SECRC | rctl);
		this.write(Register.TCTL, Tctl.EN | Tctl.PSP);
		for (const queue of queues) {
			for (let i = 0; i < COUNT; i++) this.#offer(queue, i);
			this.write(Register.RXDMA + queue * QUEUE_STRIDE + QueueRegister.TAIL, COUNT - 1);
		}
	}

	/** Puts a descriptor with a buffer that has these bytes into the ring: kick() has it sent. */
	put(bytes: Uint8Array, { queue = 0, command = SENT, info = bytes.length << 14 } = {}): number {
		const index = this.#tails.get(queue) ?? 0;
		const at = this.#ringOf(queue, "transmit") + 16 * index;
		const buffer = SEND_BUFFERS + (index % COUNT) * BUFFER + queue * COUNT * BUFFER;
		this.port.memory.set(bytes, buffer);
		this.port.view.setBigUint64(at, BigInt(buffer), true);
		this.port.view.setUint32(at + 8, command | bytes.length, true);
		this.port.view.setUint32(at + 12, info, true);
		this.#tails.set(queue, (index + 1) % COUNT);
		return index;
	}

	/** A descriptor of four words, as it is. */
	putWords(words: readonly number[], queue = 0): void {
		const index = this.#tails.get(queue) ?? 0;
		words.forEach((word, i) => {
			this.port.view.setUint32(this.#ringOf(queue, "transmit") + 16 * index + 4 * i, word, true);
		});
		this.#tails.set(queue, (index + 1) % COUNT);
	}

	kick(queue = 0): void {
		this.write(Register.TXDMA + queue * QUEUE_STRIDE + QueueRegister.TAIL, this.#tails.get(queue) ?? 0);
	}

	/** Sends a frame, and lets the controller do it. */
	send(bytes: Uint8Array, options: { queue?: number; command?: number; info?: number } = {}): void {
		this.put(bytes, options);
		this.kick(options.queue);
		this.settle();
	}

	/** Whether queue 0 has room for a further frame. */
	get isFree(): boolean {
		const next = ((this.#tails.get(0) ?? 0) + 1) % COUNT;
		return next !== this.read(Register.TXDMA + QueueRegister.HEAD);
	}

	isSent(index: number, queue = 0): boolean {
		return (this.port.view.getUint32(this.#ringOf(queue, "transmit") + 16 * index + 12, true) & 1) !== 0;
	}

	/** A frame that has come in by an advanced descriptor, and its buffers given back. */
	receive(queue = 0): Received | undefined {
		const { view, memory } = this.port;
		const ring = this.#ringOf(queue, "receive");
		const parts: Uint8Array[] = [];
		const first = this.#heads.get(queue) ?? 0;
		for (let index = first; ; index = (index + 1) % COUNT) {
			const at = ring + 16 * index;
			const status = view.getUint32(at + 8, true);
			if ((status & 1) === 0) return undefined;
			const buffer = this.#bufferOf(queue, index);
			parts.push(memory.slice(buffer, buffer + view.getUint16(at + 12, true)));
			if ((status & 2) === 0) continue;
			const got: Received = {
				bytes: Uint8Array.from(parts.flatMap((part) => [...part])),
				status: status >>> 0,
				type: view.getUint32(at, true),
				hash: view.getUint32(at + 4, true),
				tag: view.getUint16(at + 14, true),
				pieces: parts.length,
			};
			for (let done = first; ; done = (done + 1) % COUNT) {
				this.#offer(queue, done);
				if (done === index) break;
			}
			this.#heads.set(queue, (index + 1) % COUNT);
			this.write(Register.RXDMA + queue * QUEUE_STRIDE + QueueRegister.TAIL, index);
			return got;
		}
	}

	receiveAll(queue = 0): Uint8Array[] {
		const all: Uint8Array[] = [];
		for (let got = this.receive(queue); got; got = this.receive(queue)) all.push(got.bytes);
		return all;
	}

	/** The four words of a receive descriptor. */
	receiveWords(index: number, queue = 0): number[] {
		const at = this.#ringOf(queue, "receive") + 16 * index;
		return [0, 4, 8, 12].map((offset) => this.port.view.getUint32(at + offset, true));
	}

	#offer(queue: number, index: number): void {
		const at = this.#ringOf(queue, "receive") + 16 * index;
		this.port.view.setBigUint64(at, BigInt(this.#bufferOf(queue, index)), true);
		this.port.view.setBigUint64(at + 8, 0n, true);
	}

	#bufferOf(queue: number, index: number): number {
		return RECEIVE_BUFFERS + (queue * COUNT + index) * BUFFER;
	}

	#ringOf(queue: number, direction: "transmit" | "receive"): number {
		return RINGS + (2 * queue + (direction === "receive" ? 1 : 0)) * RING;
	}
}

/** Two of them with a wire between them. */
export function connected(): [TestDriver, TestDriver] {
	const wire = new Wire();
	return [
		new TestDriver(wire.takeEnd(), Uint8Array.of(2, 0, 0, 0, 0, 1)),
		new TestDriver(wire.takeEnd(), Uint8Array.of(2, 0, 0, 0, 0, 2)),
	];
}

/** A frame to somebody, with an EtherType that means nothing. */
export function frame(
	length: number,
	{ to = [2, 0, 0, 0, 0, 2], from = [2, 0, 0, 0, 0, 1], fill = 0 } = {},
): Uint8Array {
	const bytes = Uint8Array.from({ length }, (_, i) => (i * 7 + fill) & 0xff);
	bytes.set(to);
	bytes.set(from, 6);
	bytes.set([0x88, 0xb5], 12);
	return bytes;
}

/** Whether all of them came, each as it was and in their order. */
export function areSame(got: readonly Uint8Array[], sent: readonly Uint8Array[]): boolean {
	return got.length === sent.length && got.every((bytes, i) => Buffer.compare(bytes, sent[i]) === 0);
}
