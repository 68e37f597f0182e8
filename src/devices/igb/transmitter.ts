// The transmit queues in turn, and what they have in common. 82576 data sheet 7.2 "Transmit Functionality", 8.12 "Transmit Register
// Descriptions".

import type { EndpointPort } from "../endpoint.js";
import { FrameSender, type Surroundings as SenderSurroundings } from "./frame-sender.js";
import type { Interrupts } from "./interrupts.js";
import type { PlainRegister, RegisterFile } from "./register-file.js";
import { QUEUES, Register, Tctl } from "./registers.js";
import type { Statistics } from "./statistics.js";
import { TransmitQueue } from "./transmit-queue.js";

export interface Surroundings extends SenderSurroundings {
	/** Whether frames can be sent now: there is a link, and the function may use the bus. */
	readonly canSend: () => boolean;
}

export class Transmitter {
	readonly #queues: TransmitQueue[];
	readonly #tctl: PlainRegister;
	readonly #around: Surroundings;
	/** Which queue is next. */
	#turn = 0;

	constructor(
		port: EndpointPort,
		registers: RegisterFile,
		interrupts: Interrupts,
		statistics: Statistics,
		around: Surroundings,
	) {
		this.#around = around;
		this.#tctl = registers.plain(Register.TCTL, Tctl.PSP);
		registers.plain(Register.TCTL_EXT);
		registers.plain(Register.TIPG);
		registers.plain(Register.DTXCTL);
		const flagsLow = registers.plain(Register.DTXTCPFLGL, 0x0f76_0ff6);
		const flagsHigh = registers.plain(Register.DTXTCPFLGH, 0x0000_0f7f);
		const sender = new FrameSender(this.#tctl, flagsLow, flagsHigh, statistics, around);
		const isOn = () => this.#tctl.has(Tctl.EN);
		this.#queues = Array.from(
			{ length: QUEUES },
			(_, queue) => new TransmitQueue(queue, port, registers, interrupts, isOn, sender),
		);
	}

	/**
	 * Takes descriptors, one of each queue in turn.
	 * @param budget how many at most
	 * @returns whether there are more
	 */
	work(budget: number): boolean {
		let left = budget;
		while (left > 0) {
			const queue = this.#next();
			if (queue === undefined) return false;
			queue.takeOne();
			left--;
		}
		return this.#next() !== undefined;
	}

	/** Software gets back what has been sent. */
	writeBack(): void {
		for (const queue of this.#queues) queue.writeBack();
	}

	reset(): void {
		for (const queue of this.#queues) queue.reset();
		this.#turn = 0;
	}

	#next(): TransmitQueue | undefined {
		if (!this.#tctl.has(Tctl.EN) || !this.#around.canSend()) return undefined;
		for (let i = 0; i < QUEUES; i++) {
			const queue = this.#queues[(this.#turn + i) % QUEUES];
			if (!queue.hasMore) continue;
			this.#turn = (this.#turn + i + 1) % QUEUES;
			return queue;
		}
		return undefined;
	}
}
