// Random sequences of commands, against a model so simple that it can't be wrong: a Map from block to byte.

import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { type CommandFields, PAGE, readOrWrite, TestDriver } from "./driver.testing.js";
import { NvmOpcode } from "./nvm.js";
import { Status } from "./status.js";

/** Of each namespace, in bytes. */
const SIZE = 64 * 1024;
const NAMESPACES = 2;
const QUEUES = 3;
const QUEUE_SIZE = 6;
/** Blocks of one command. */
const MOST = 6;
const UNMAPPED = 0x7000_0000;

type Kind = keyof typeof NvmOpcode;

/** A command before it is known whom it meets: places are fractions of what there is. */
interface Wish {
	readonly queue: number;
	readonly kind: Kind;
	readonly namespace: number;
	readonly place: number;
	readonly count: number;
	readonly byte: number;
	readonly mistake: "none" | "namespace" | "range" | "memory" | "prp" | "fused";
}

type Step =
	/** The controller may become another one in the middle of it. */
	| { readonly kind: "commands"; readonly wishes: readonly Wish[]; readonly isMoved: boolean }
	| { readonly kind: "format"; readonly namespace: number; readonly format: number }
	| { readonly kind: "reset" | "move" };

/** What a disk is. Every block holds one byte, again and again. */
class NaiveDisk {
	/** Of namespaces, from 0 on: in bytes. */
	readonly blockSizes = Array.from({ length: NAMESPACES }, () => 512);
	readonly #bytes = Array.from({ length: NAMESPACES }, () => new Map<number, number>());
	readonly #bad = Array.from({ length: NAMESPACES }, () => new Set<number>());

	blocks(namespace: number): number {
		return SIZE / this.blockSizes[namespace];
	}

	byte(namespace: number, block: number): number {
		return this.#bytes[namespace].get(block) ?? 0;
	}

	isBad(namespace: number, first: number, count: number): boolean {
		return Array.from({ length: count }, (_, i) => first + i).some((block) => this.#bad[namespace].has(block));
	}

	write(namespace: number, first: number, count: number, byte: number): void {
		for (let block = first; block < first + count; block++) {
			this.#bytes[namespace].set(block, byte);
			this.#bad[namespace].delete(block);
		}
	}

	spoil(namespace: number, first: number, count: number): void {
		for (let block = first; block < first + count; block++) this.#bad[namespace].add(block);
	}

	format(namespace: number, blockSize: number): void {
		this.blockSizes[namespace] = blockSize;
		this.#bytes[namespace].clear();
		this.#bad[namespace].clear();
	}
}

interface Expected {
	readonly status: number;
	/** What is to be in the host's memory afterwards. */
	readonly data?: { readonly address: number; readonly bytes: readonly number[]; readonly blockSize: number };
}

class Host {
	driver: TestDriver;
	readonly disk = new NaiveDisk();
	readonly #stores = Array.from({ length: NAMESPACES }, () => new MemoryStore(SIZE));
	/** A buffer for each command that can be under way. */
	#buffers: number[] = [];
	/** By queue and command. */
	readonly #expected = new Map<string, Expected>();
	#nextId = 0;

	constructor() {
		this.driver = this.#newDriver();
		this.#begin();
	}

	#newDriver(): TestDriver {
		const [one, two] = this.#stores;
		return new TestDriver({ options: { file: "one:two" }, files: { one, two }, memory: 1024 * 1024 });
	}

	#begin(): void {
		this.driver.enable(8);
		for (let id = 1; id <= QUEUES; id++) this.driver.createQueues(id, QUEUE_SIZE);
		this.#buffers = Array.from({ length: QUEUES * QUEUE_SIZE }, () => this.driver.take(MOST * PAGE + PAGE));
	}

	do(step: Step): void {
		switch (step.kind) {
			case "commands":
				this.#doCommands(step.wishes, step.isMoved);
				break;
			case "format": {
				const { namespace, format } = step;
				const completion = this.driver.admin({
					opcode: AdminOpcode.FORMAT_NVM,
					namespace: namespace + 1,
					dword10: format,
				});
				expect(completion.status).toBe(0);
				this.disk.format(namespace, format === 0 ? 512 : 4096);
				break;
			}
			case "reset":
				this.driver.disable();
				this.driver = this.#again();
				this.#begin();
				break;
			case "move":
				this.#move();
				break;
		}
	}

	/** The same controller, with memory that nobody has yet. */
	#again(): TestDriver {
		const driver = this.#newDriver();
		driver.controller.restore!(this.driver.controller.save!());
		return driver;
	}

	/** The controller becomes another one, in the middle of what it does. */
	#move(): void {
		const state = this.driver.controller.save!();
		const driver = this.#newDriver();
		driver.controller.restore!(state);
		driver.continueFrom(this.driver);
		this.driver = driver;
	}

	/** All queues get theirs before any is done, and each is about blocks of its own, so that the order doesn't matter. */
	#doCommands(wishes: readonly Wish[], isMoved: boolean): void {
		let buffer = 0;
		const isFull = new Set<number>();
		for (const wish of wishes) {
			const queue = this.driver.submission.get(wish.queue)!;
			if (isFull.has(wish.queue)) continue;
			this.#put(wish, this.#buffers[buffer++]);
			const waiting = [...this.#expected.keys()].filter((key) => key.startsWith(`${wish.queue}:`)).length;
			if (waiting === queue.size - 1) isFull.add(wish.queue);
		}
		for (let id = 1; id <= QUEUES; id++) this.driver.ringTail(id);
		if (isMoved) this.#move();
		this.driver.run();
		for (let id = 1; id <= QUEUES; id++)
			for (const { commandId, submissionId, status } of this.driver.poll(id)) {
				expect(submissionId).toBe(id);
				this.#check(`${id}:${commandId}`, status);
			}
		expect(this.#expected.size).toBe(0);
	}

	#check(key: string, status: number): void {
		const expected = this.#expected.get(key);
		this.#expected.delete(key);
		expect(status).toBe(expected?.status);
		if (expected?.data === undefined) return;
		const { address, bytes, blockSize } = expected.data;
		for (const [index, byte] of bytes.entries()) {
			const block = this.driver.bytes(address + index * blockSize, blockSize);
			if (!block.every((one) => one === byte)) expect.fail(`block ${index} isn't ${byte}`);
		}
	}

	/** Puts a command into its queue, and decides what must come of it. */
	#put(wish: Wish, address: number): void {
		const { queue, kind, mistake, byte } = wish;
		const { namespace } = wish;
		const blockSize = this.disk.blockSizes[namespace];
		const blocks = this.disk.blocks(namespace);
		// A third of the namespace for each queue.
		const share = Math.floor(blocks / QUEUES);
		const count = Math.min(wish.count, share);
		const first = (queue - 1) * share + Math.floor(wish.place * (share - count + 1));
		const id = this.#nextId++ & 0xffff;
		const start = mistake === "range" ? blocks - count + 1 : first;
		const length = count * blockSize;
		this.driver.bytes(address, length).fill(byte);
		const command: CommandFields = {
			...readOrWrite(NvmOpcode[kind], start, count, address),
			...(length > 2 * PAGE ? { prp2: this.#list(address, length) } : {}),
			...(kind === "DATASET_MANAGEMENT" ? this.#ranges(address, start, count) : {}),
			...(mistake === "namespace" ? { namespace: NAMESPACES + 1 } : { namespace: namespace + 1 }),
			...(mistake === "memory" ? { prp1: UNMAPPED } : {}),
			...(mistake === "prp" ? { prp1: address + 1 } : {}),
			...(mistake === "fused" ? { flags: 3 } : {}),
			id,
		};
		this.driver.put(queue, command);
		const status = this.#statusOf(wish, first, count);
		const bytes = Array.from({ length: count }, (_, index) => this.disk.byte(namespace, first + index));
		const isRead = kind === "READ" && status === 0;
		this.#expected.set(`${queue}:${id}`, { status, ...(isRead ? { data: { address, bytes, blockSize } } : {}) });
		if (status !== 0) return;
		if (kind === "WRITE") this.disk.write(namespace, first, count, byte);
		if (kind === "WRITE_ZEROES" || kind === "DATASET_MANAGEMENT") this.disk.write(namespace, first, count, 0);
		if (kind === "WRITE_UNCORRECTABLE") this.disk.spoil(namespace, first, count);
	}

	#statusOf({ kind, namespace, mistake, byte }: Wish, first: number, count: number): number {
		const isBad = this.disk.isBad(namespace, first, count);
		const hasData = kind === "READ" || kind === "WRITE" || kind === "COMPARE";
		if (mistake === "fused") return Status.INVALID_FIELD;
		if (mistake === "namespace") return Status.INVALID_NAMESPACE_OR_FORMAT;
		if (kind === "FLUSH") return Status.SUCCESS;
		if (kind === "DATASET_MANAGEMENT") {
			if (mistake === "prp") return Status.PRP_OFFSET_INVALID;
			if (mistake === "memory") return Status.DATA_TRANSFER_ERROR;
		}
		if (mistake === "range") return Status.LBA_OUT_OF_RANGE;
		if (isBad && (kind === "READ" || kind === "COMPARE" || kind === "VERIFY")) return Status.UNRECOVERED_READ_ERROR;
		if (hasData && mistake === "prp") return Status.PRP_OFFSET_INVALID;
		if (hasData && mistake === "memory") return Status.DATA_TRANSFER_ERROR;
		if (kind !== "COMPARE") return Status.SUCCESS;
		const isSame = Array.from({ length: count }, (_, i) => first + i).every(
			(block) => this.disk.byte(namespace, block) === byte,
		);
		return isSame ? Status.SUCCESS : Status.COMPARE_FAILURE;
	}

	/** The PRP list of a buffer, which is after it. */
	#list(address: number, length: number): number {
		const list = address + MOST * PAGE;
		for (let i = 1; i * PAGE < length; i++)
			this.driver.port.view.setBigUint64(list + (i - 1) * 8, BigInt(address + i * PAGE), true);
		return list;
	}

	#ranges(address: number, first: number, count: number): Partial<CommandFields> {
		this.driver.port.view.setUint32(address + 4, count, true);
		this.driver.port.view.setBigUint64(address + 8, BigInt(first), true);
		return { dword10: 0, dword11: 4 };
	}
}

const wish: fc.Arbitrary<Wish> = fc.record({
	queue: fc.integer({ min: 1, max: QUEUES }),
	kind: fc.constantFrom(
		...(["READ", "READ", "WRITE", "WRITE", "COMPARE", "WRITE_ZEROES", "WRITE_UNCORRECTABLE", "VERIFY"] as const),
		...(["FLUSH", "DATASET_MANAGEMENT"] as const),
	),
	namespace: fc.nat(NAMESPACES - 1),
	place: fc.integer({ min: 0, max: 7 }).map((eighths) => eighths / 8),
	count: fc.integer({ min: 1, max: MOST }),
	byte: fc.integer({ min: 0, max: 2 }),
	mistake: fc.oneof(
		{ weight: 6, arbitrary: fc.constant("none" as const) },
		{ weight: 1, arbitrary: fc.constantFrom("namespace", "range", "memory", "prp", "fused") },
	),
});

const step: fc.Arbitrary<Step> = fc.oneof(
	{
		weight: 8,
		arbitrary: fc.record({
			kind: fc.constant("commands" as const),
			wishes: fc.array(wish, { minLength: 1, maxLength: 12 }),
			isMoved: fc.nat(4).map((number) => number === 4),
		}),
	},
	{
		weight: 1,
		arbitrary: fc.record({
			kind: fc.constant("format" as const),
			namespace: fc.nat(NAMESPACES - 1),
			format: fc.nat(1),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("reset" as const, "move" as const) }) },
);

test("5,000 random sequences of commands do what a Map from block to byte does", () => {
	fc.assert(
		fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
			const host = new Host();
			for (const one of steps) host.do(one);
		}),
		{ numRuns: 5_000 },
	);
}, 120_000);
