// A driver of the controller, as small as it gets, in front of a machine with nothing but memory: for the tests of all its parts.

import * as v from "valibot";
import type { BlockStore } from "../block-store.js";
import type { Endpoint } from "../endpoint.js";
import { TestPort } from "../port.testing.js";
import { AdminOpcode } from "./admin.js";
import { IDENTIFY_SIZE } from "./identify.js";
import { nvme } from "./model.js";
import { NvmOpcode } from "./nvm.js";
import { Csts, FIRST_DOORBELL, NvmeRegister } from "./registers.js";

export const PAGE = 4096;
/** CC: enabled, entries of 64 and 16 bytes. */
export const ENABLE = (6 << 16) | (4 << 20) | 1;

/** A command, by the fields that aren't zero. */
export interface CommandFields {
	readonly opcode: number;
	/** Bits 15:8 of dword 0: FUSE and PSDT. */
	readonly flags?: number;
	readonly id?: number;
	readonly namespace?: number;
	readonly prp1?: number | bigint;
	readonly prp2?: number | bigint;
	/** The 16 bytes of SGL1, instead of PRPs. */
	readonly sgl?: Uint8Array;
	readonly dword10?: number;
	readonly dword11?: number;
	readonly dword12?: number;
	readonly dword13?: number;
}

export interface Completion {
	readonly result: number;
	readonly submissionHead: number;
	readonly submissionId: number;
	readonly commandId: number;
	/** Type in bits 10:8, code in 7:0. */
	readonly status: number;
	readonly more: boolean;
	readonly doNotRetry: boolean;
}

interface Queue {
	readonly page: number;
	readonly size: number;
	/** The host's end: of a submission queue its tail, of a completion queue its head. */
	at: number;
	phase: number;
}

/** The host's clock stands still until a test moves it. */
export class TestClock {
	now = 0n;
}

export interface DriverSetting {
	/** As on the command line. */
	readonly options?: Readonly<Record<string, unknown>>;
	/** Of the machine, in bytes. */
	readonly memory?: number;
	/** What is behind the paths of the option `file`. */
	readonly files?: Readonly<Record<string, BlockStore>>;
}

export class TestDriver {
	readonly port: TestPort;
	readonly controller: Endpoint;
	readonly clock = new TestClock();
	readonly submission = new Map<number, Queue>();
	readonly completion = new Map<number, Queue>();
	stride: number;
	/** CC.MPS, in bytes: pages that are taken begin at a multiple of it. */
	pageSize = PAGE;
	/** The first byte of memory that nobody has. */
	free = PAGE;
	#nextId = 0;

	constructor({ options = {}, memory = 4 * 1024 * 1024, files = {} }: DriverSetting = {}) {
		this.port = new TestPort(memory);
		const parsed = v.parse(nvme.options, options);
		this.stride = parsed.stride;
		this.controller = nvme.create(this.port, parsed, {
			address: "0000:01:00.0",
			openBlocks: (path) => files[path],
			wire: () => {
				throw new Error("a disk has no wire");
			},
			now: () => this.clock.now,
			gone: () => {},
		});
	}

	// --- Memory ---

	/** Takes pages. @returns their address */
	take(bytes: number): number {
		const address = Math.ceil(this.free / this.pageSize) * this.pageSize;
		this.free = address + Math.ceil(bytes / PAGE) * PAGE;
		if (this.free > this.port.memory.length) throw new Error("the test has no more memory");
		return address;
	}

	bytes(address: number, length: number): Uint8Array {
		return this.port.memory.subarray(address, address + length);
	}

	// --- Registers ---

	read32(offset: number): number {
		return Number(this.controller.readRegister(0, offset, 4));
	}

	write32(offset: number, value: number): void {
		this.controller.writeRegister(0, offset, 4, BigInt(value >>> 0));
	}

	write64(offset: number, value: number | bigint): void {
		this.controller.writeRegister(0, offset, 8, BigInt(value));
	}

	get status(): number {
		return this.read32(NvmeRegister.CSTS);
	}

	ring(id: number, isCompletion: boolean, value: number): void {
		this.write32(FIRST_DOORBELL + (2 * id + (isCompletion ? 1 : 0)) * this.stride, value);
	}

	/** Has the controller work until it has nothing to do. */
	run(): void {
		for (let turn = 0; turn < 10_000; turn++) if (!this.controller.work!()) return;
		throw new Error("the controller works and works");
	}

	// --- The controller ---

	/** Enables it, with admin queues of so many entries. */
	enable(size = 32, cc = ENABLE): void {
		this.pageSize = PAGE << ((cc >>> 7) & 15);
		this.setAdminQueues(size);
		this.write32(NvmeRegister.CC, cc);
		this.run();
		if (this.status !== Csts.RDY) throw new Error(`it isn't ready: CSTS is ${this.status}`);
	}

	setAdminQueues(size: number): void {
		const submission = this.take(size * 64);
		const completion = this.take(size * 16);
		this.bytes(completion, size * 16).fill(0);
		this.write32(NvmeRegister.AQA, (size - 1) * 0x10001);
		this.write64(NvmeRegister.ASQ, submission);
		this.write64(NvmeRegister.ACQ, completion);
		this.submission.set(0, { page: submission, size, at: 0, phase: 1 });
		this.completion.set(0, { page: completion, size, at: 0, phase: 1 });
	}

	/** Another driver's queues are this one's from now on: its controller has become this one, and its memory is the same. */
	continueFrom({ submission, completion, port, free }: TestDriver): void {
		for (const [id, queue] of submission) this.submission.set(id, queue);
		for (const [id, queue] of completion) this.completion.set(id, queue);
		this.port.memory.set(port.memory);
		this.free = free;
	}

	disable(): void {
		this.write32(NvmeRegister.CC, 0);
		this.run();
	}

	/** Creates a completion and a submission queue with the same number. */
	createQueues(id: number, size = 16, { vector = 0, interrupts = false } = {}): void {
		expectSuccess(this.createCompletionQueue(id, size, { vector, interrupts }));
		expectSuccess(this.createSubmissionQueue(id, size, id));
	}

	createCompletionQueue(id: number, size: number, { vector = 0, interrupts = false } = {}): Completion {
		const page = this.take(size * 16);
		this.bytes(page, size * 16).fill(0);
		this.completion.set(id, { page, size, at: 0, phase: 1 });
		return this.admin({
			opcode: AdminOpcode.CREATE_COMPLETION_QUEUE,
			prp1: page,
			dword10: (id | ((size - 1) << 16)) >>> 0,
			dword11: ((vector << 16) | (interrupts ? 2 : 0) | 1) >>> 0,
		});
	}

	createSubmissionQueue(id: number, size: number, completionId: number): Completion {
		const page = this.take(size * 64);
		this.submission.set(id, { page, size, at: 0, phase: 1 });
		return this.admin({
			opcode: AdminOpcode.CREATE_SUBMISSION_QUEUE,
			prp1: page,
			dword10: (id | ((size - 1) << 16)) >>> 0,
			dword11: ((completionId << 16) | 1) >>> 0,
		});
	}

	// --- Commands ---

	/** Puts a command into a queue without ringing. @returns its identifier */
	put(queueId: number, command: CommandFields): number {
		const queue = this.submission.get(queueId)!;
		const id = command.id ?? this.#nextId++ & 0xffff;
		const at = queue.page + queue.at * 64;
		const view = new DataView(this.port.memory.buffer, at, 64);
		this.bytes(at, 64).fill(0);
		view.setUint32(0, (command.opcode | ((command.flags ?? 0) << 8) | (id << 16)) >>> 0, true);
		view.setUint32(4, command.namespace ?? 0, true);
		view.setBigUint64(24, BigInt(command.prp1 ?? 0), true);
		view.setBigUint64(32, BigInt(command.prp2 ?? 0), true);
		if (command.sgl !== undefined) this.bytes(at + 24, 16).set(command.sgl);
		view.setUint32(40, command.dword10 ?? 0, true);
		view.setUint32(44, command.dword11 ?? 0, true);
		view.setUint32(48, command.dword12 ?? 0, true);
		view.setUint32(52, command.dword13 ?? 0, true);
		queue.at = (queue.at + 1) % queue.size;
		return id;
	}

	/** Rings for what has been put into a queue. */
	ringTail(queueId: number): void {
		this.ring(queueId, false, this.submission.get(queueId)!.at);
	}

	/** Puts commands into a queue, and rings once. @returns their identifiers */
	submit(queueId: number, ...commands: CommandFields[]): number[] {
		const ids = commands.map((command) => this.put(queueId, command));
		this.ringTail(queueId);
		return ids;
	}

	/** Takes the completions that have come, and tells the controller. */
	poll(queueId: number): Completion[] {
		const queue = this.completion.get(queueId)!;
		const completions: Completion[] = [];
		for (;;) {
			const view = new DataView(this.port.memory.buffer, queue.page + queue.at * 16, 16);
			const field = view.getUint16(14, true);
			if ((field & 1) !== queue.phase) break;
			completions.push({
				result: view.getUint32(0, true),
				submissionHead: view.getUint16(8, true),
				submissionId: view.getUint16(10, true),
				commandId: view.getUint16(12, true),
				status: (field >>> 1) & 0x7ff,
				more: (field & (1 << 14)) !== 0,
				doNotRetry: (field & (1 << 15)) !== 0,
			});
			queue.at = (queue.at + 1) % queue.size;
			if (queue.at === 0) queue.phase ^= 1;
		}
		if (completions.length > 0) this.ring(queueId, true, queue.at);
		return completions;
	}

	/** One command, from its submission to its completion. */
	do(queueId: number, command: CommandFields): Completion {
		const [id] = this.submit(queueId, command);
		this.run();
		const completions = this.poll(queueId);
		const mine = completions.find(({ commandId }) => commandId === id);
		if (mine === undefined) throw new Error(`command ${id} hasn't completed; ${completions.length} others have`);
		return mine;
	}

	admin(command: CommandFields): Completion {
		return this.do(0, command);
	}

	/** Identify. @returns the data */
	identify(cns: number, namespace = 0): Uint8Array {
		const data = this.take(IDENTIFY_SIZE);
		expectSuccess(this.admin({ opcode: AdminOpcode.IDENTIFY, namespace, prp1: data, dword10: cns }));
		return this.bytes(data, IDENTIFY_SIZE);
	}

	/** Get Log Page. @returns so many bytes of it */
	logPage(id: number, length: number, options = 0): Uint8Array {
		const data = this.take(length);
		const dwords = length / 4 - 1;
		const dword10 = (id | options | ((dwords & 0xffff) << 16)) >>> 0;
		expectSuccess(this.admin({ opcode: AdminOpcode.GET_LOG_PAGE, prp1: data, dword10, dword11: dwords >>> 16 }));
		return this.bytes(data, length);
	}

	setFeature(id: number, value: number, more: Partial<CommandFields> = {}): Completion {
		return this.admin({ opcode: AdminOpcode.SET_FEATURES, dword10: id, dword11: value, ...more });
	}

	getFeature(id: number, more: Partial<CommandFields> = {}): Completion {
		return this.admin({ opcode: AdminOpcode.GET_FEATURES, dword10: id, ...more });
	}
}

/** A read or a write of up to two pages. */
export function readOrWrite(
	opcode: number,
	first: number,
	count: number,
	address: number,
	more: Partial<CommandFields> = {},
): CommandFields {
	const prp2 = address - (address % PAGE) + PAGE;
	return {
		opcode,
		namespace: 1,
		prp1: address,
		prp2,
		dword10: first >>> 0,
		dword11: Math.floor(first / 2 ** 32),
		dword12: count - 1,
		...more,
	};
}

export const readOf = (first: number, count: number, address: number, more?: Partial<CommandFields>) =>
	readOrWrite(NvmOpcode.READ, first, count, address, more);
export const writeOf = (first: number, count: number, address: number, more?: Partial<CommandFields>) =>
	readOrWrite(NvmOpcode.WRITE, first, count, address, more);

export function expectSuccess({ status }: Completion): void {
	if (status !== 0) throw new Error(`a command failed with status 0x${status.toString(16)}`);
}
