// Commands for the device and its queues, by CMD, and how they end. DSA specification 9.2.12 CMD, 9.2.13 CMDSTS, 4.4 "Enabling and
// disabling".

import { type RegisterMap, readOnly } from "../register-map.js";
import type { Engine } from "./engine.js";
import type { Groups } from "./groups.js";
import { CMDCAP, Command, CommandError, DsaRegister, TOTAL_QUEUE_SIZE } from "./registers.js";
import type { WorkQueue } from "./work-queue.js";

const OPERAND = 0xf_ffff;
const CODE_SHIFT = 20;
const CODE = 0x1f;
const INTERRUPT = 2 ** 31;
const ACTIVE = 2 ** 31;
/** For most commands queues are a mask of 16, and which 16. */
const MASK = 0xffff;

export interface Parts {
	readonly queues: readonly WorkQueue[];
	readonly groups: Groups;
	readonly engine: Engine;
	/** Back to how all was at first. */
	readonly reset: () => void;
	/** Called when a command is over that was to interrupt. */
	readonly onDone: () => void;
}

export class Commands {
	isDeviceEnabled = false;
	readonly #parts: Parts;
	#status = 0;
	/** Of a command that waits for queues to be done: which, and what comes then. */
	#pending:
		| { readonly queues: readonly WorkQueue[]; readonly then: () => void; readonly interrupts: boolean }
		| undefined;

	constructor(registers: RegisterMap, parts: Parts) {
		this.#parts = parts;
		registers.add(DsaRegister.CMD, { size: 4, read: () => 0n, write: (bits) => this.#write(Number(bits)) });
		registers.add(
			DsaRegister.CMDSTS,
			readOnly(4, () => BigInt(this.#pending ? ACTIVE : this.#status)),
		);
		registers.add(
			DsaRegister.CMDCAP,
			readOnly(4, () => BigInt(CMDCAP)),
		);
	}

	/** Ends a command whose queues are done. */
	work(): void {
		const { engine } = this.#parts;
		if (!this.#pending?.queues.every((queue) => engine.isDone(queue))) return;
		const { then, interrupts } = this.#pending;
		this.#pending = undefined;
		then();
		this.#end(0, interrupts);
	}

	reset(): void {
		this.isDeviceEnabled = false;
		this.#pending = undefined;
		this.#status = 0;
	}

	/** One at a time: while one is active, others are ignored. */
	#write(value: number): void {
		if (this.#pending) return;
		const operand = value & OPERAND;
		const interrupts = value >= INTERRUPT;
		const error = this.#run((value >>> CODE_SHIFT) & CODE, operand, interrupts);
		if (error === "pending") this.work();
		else this.#end(error, interrupts);
	}

	#end(error: number, interrupts: boolean): void {
		this.#status = error;
		if (interrupts) this.#parts.onDone();
	}

	/** @returns 0, or a value of CommandError, or that it waits */
	#run(command: number, operand: number, interrupts: boolean): number | "pending" {
		const { queues } = this.#parts;
		switch (command) {
			case Command.ENABLE_DEVICE:
				return this.#enableDevice();
			case Command.RESET_DEVICE:
				this.#parts.reset();
				return 0;
			case Command.DISABLE_DEVICE:
				if (!this.isDeviceEnabled) return CommandError.DEVICE_IS_NOT_ENABLED;
				return this.#waitFor(queues, interrupts, () => {
					for (const queue of queues) queue.isEnabled = false;
					this.isDeviceEnabled = false;
				});
			case Command.DRAIN_ALL:
			case Command.DRAIN_PASID:
				if (!this.isDeviceEnabled) return CommandError.DEVICE_IS_NOT_ENABLED;
				return this.#waitFor(queues, interrupts, () => {});
			case Command.ABORT_ALL:
			case Command.ABORT_PASID:
				if (!this.isDeviceEnabled) return CommandError.DEVICE_IS_NOT_ENABLED;
				for (const queue of queues) this.#abort(queue);
				return 0;
			case Command.ENABLE_WQ:
				return this.#enableQueue(operand);
			case Command.DISABLE_WQ:
			case Command.DRAIN_WQ:
			case Command.ABORT_WQ:
			case Command.RESET_WQ:
				return this.#forQueues(command, operand, interrupts);
			default:
				return CommandError.INVALID_COMMAND;
		}
	}

	#enableDevice(): number {
		const { queues, groups } = this.#parts;
		if (this.isDeviceEnabled) return CommandError.DEVICE_NOT_DISABLED;
		if (queues.some((queue) => queue.usesPasid)) return CommandError.PASID_CAPABILITY_DISABLED;
		if (queues.reduce((sum, { size }) => sum + size, 0) > TOTAL_QUEUE_SIZE) return CommandError.WQ_SIZE_OUT_OF_RANGE;
		const problem = groups.problem;
		if (problem !== undefined) return problem;
		this.isDeviceEnabled = true;
		return 0;
	}

	#enableQueue(index: number): number {
		const queue = this.#parts.queues[index];
		if (queue === undefined) return CommandError.INVALID_WQ_INDEX;
		if (!this.isDeviceEnabled) return CommandError.DEVICE_NOT_ENABLED;
		const problem = queue.problem;
		if (problem !== undefined) return problem;
		queue.isEnabled = true;
		return 0;
	}

	#forQueues(command: number, operand: number, interrupts: boolean): number | "pending" {
		const first = (operand >>> 16) * 16;
		const mask = operand & MASK;
		const places = Array.from({ length: 16 }, (_, i) => i).filter((i) => mask & (1 << i));
		const queues = places.map((i) => this.#parts.queues[first + i]);
		if (queues.length === 0 || queues.includes(undefined as never)) return CommandError.INVALID_WQ_INDEX;
		if (queues.some((queue) => !queue.isEnabled)) return CommandError.WQ_IS_NOT_ENABLED;
		if (command === Command.DRAIN_WQ) return this.#waitFor(queues, interrupts, () => {});
		if (command === Command.DISABLE_WQ)
			return this.#waitFor(queues, interrupts, () => {
				for (const queue of queues) queue.isEnabled = false;
			});
		for (const queue of queues) {
			this.#abort(queue);
			if (command === Command.RESET_WQ) queue.reset();
		}
		return 0;
	}

	#waitFor(queues: readonly WorkQueue[], interrupts: boolean, then: () => void): "pending" {
		this.#pending = { queues, then, interrupts };
		return "pending";
	}

	#abort(queue: WorkQueue): void {
		queue.abort();
		this.#parts.engine.abort(queue);
	}
}
