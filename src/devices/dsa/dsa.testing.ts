// A small driver for the Data Streaming Accelerator in front of its model, for tests.

import { TestPort } from "../port.testing.js";
import { Dsa, PORTALS_BAR, REGISTERS_BAR } from "./dsa.js";
import { Command, DsaRegister } from "./registers.js";

export const CRAV = 4;
export const RCR = 8;
export const RCI = 16;

const DEDICATED = 1;
const PRIORITY_1 = 1 << 4;

export interface TestDescriptor {
	readonly operation: number;
	readonly flags?: number;
	readonly completion?: bigint;
	readonly source?: bigint;
	readonly destination?: bigint;
	readonly size?: number;
	readonly vector?: number;
	/** Bytes from 40 on. */
	readonly specific?: readonly number[];
	/** The first word. */
	readonly first?: number;
}

/** The bytes of one. Unless it says otherwise it has a completion record at 0x800, and asks for it. */
export function bytesOf({
	operation,
	flags = CRAV | RCR,
	completion = 0x800n,
	source = 0n,
	destination = 0n,
	size = 0,
	vector = 0,
	specific = [],
	first = 0,
}: TestDescriptor): Uint8Array {
	const bytes = new Uint8Array(64);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, first, true);
	view.setUint32(4, (flags | (operation << 24)) >>> 0, true);
	view.setBigUint64(8, completion, true);
	view.setBigUint64(16, source, true);
	view.setBigUint64(24, destination, true);
	view.setUint32(32, size, true);
	view.setUint16(36, vector, true);
	bytes.set(specific, 40);
	return bytes;
}

export interface TestRecord {
	readonly status: number;
	readonly result: number;
	readonly completed: number;
	readonly faultAddress: bigint;
	/** A CRC, or the flags that are invalid. */
	readonly specific: number;
}

export class TestDsa {
	readonly port = new TestPort();
	readonly dsa: Dsa;

	constructor(maxTransferShift = 16) {
		this.dsa = new Dsa(this.port, maxTransferShift);
	}

	read(offset: number, size = 4): bigint {
		return this.dsa.readRegister(REGISTERS_BAR, offset, size);
	}

	write(offset: number, value: number | bigint, size = 4): void {
		this.dsa.writeRegister(REGISTERS_BAR, offset, size, BigInt(value));
	}

	/** @returns how it ended */
	command(command: number, operand = 0, flags = 0): number {
		this.write(DsaRegister.CMD, ((command << 20) | operand | flags) >>> 0);
		return Number(this.read(DsaRegister.CMDSTS));
	}

	/** A queue as it must be to be enabled. */
	configure(queue: number, { size = 16, mode = DEDICATED | PRIORITY_1, limits = 16 | (10 << 5) } = {}): void {
		const base = DsaRegister.WQCFG + 64 * queue;
		this.write(base, size);
		this.write(base + 8, mode);
		this.write(base + 12, limits);
	}

	/** Queues that engine 0 serves, all enabled. */
	start(queues: readonly number[] = [0]): void {
		for (const queue of queues) this.configure(queue);
		this.write(DsaRegister.GRPCFG, BigInt(queues.reduce((bits, queue) => bits | (1 << queue), 0)), 8);
		this.write(DsaRegister.GRPCFG + 32, 1n, 8);
		const results = [this.command(Command.ENABLE_DEVICE)];
		for (const queue of queues) results.push(this.command(Command.ENABLE_WQ, queue));
		if (results.some((error) => error !== 0)) throw new Error(`not enabled: ${results}`);
	}

	submit(descriptor: TestDescriptor | Uint8Array, queue = 0): void {
		const bytes = descriptor instanceof Uint8Array ? descriptor : bytesOf(descriptor);
		this.dsa.writeBlock(PORTALS_BAR, queue * 0x4000, bytes);
	}

	settle(): void {
		while (this.dsa.work());
	}

	/** Submits it, and tells how it ended. */
	run(descriptor: TestDescriptor): TestRecord {
		const at = Number(descriptor.completion ?? 0x800n);
		this.port.memory.fill(0, at, at + 32);
		this.submit(descriptor);
		this.settle();
		return this.record(at);
	}

	record(at = 0x800): TestRecord {
		const { view } = this.port;
		return {
			status: view.getUint8(at),
			result: view.getUint8(at + 1),
			completed: view.getUint32(at + 4, true),
			faultAddress: view.getBigUint64(at + 8, true),
			specific: view.getUint32(at + 16, true),
		};
	}

	/** SWERROR's first word. */
	get error(): { readonly valid: boolean; readonly overflow: boolean; readonly code: number; readonly word: bigint } {
		const word = this.read(DsaRegister.SWERROR, 8);
		return {
			valid: (word & 1n) !== 0n,
			overflow: (word & 2n) !== 0n,
			code: Number((word >> 8n) & 0xffn),
			word,
		};
	}
}
