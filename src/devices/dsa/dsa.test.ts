import fc from "fast-check";
import * as v from "valibot";
import { expect, test } from "vitest";
import { allOnes } from "../endpoint.js";
import { bytesOf, CRAV, RCI, RCR, TestDsa } from "./dsa.testing.js";
import { dsa } from "./model.js";
import { Operation } from "./operations.js";
import { Command, CommandError, DsaRegister, IntCause } from "./registers.js";
import { Status } from "./status.js";

const { NOOP, BATCH, DRAIN, MEMORY_MOVE, FILL, COMPARE, COMPARE_PATTERN, DUALCAST, CRC_GENERATION } = Operation;
const NOWHERE = 0x4000_0000n;
const INTERRUPT = 2 ** 31;

test("it says what it is and where its tables are", () => {
	const device = new TestDsa(20);
	expect(device.read(DsaRegister.VERSION, 8)).toBe(0x100n);
	const gencap = device.read(DsaRegister.GENCAP, 8);
	expect([(gencap >> 16n) & 31n, (gencap >> 21n) & 15n, (gencap >> 31n) & 1n, (gencap >> 4n) & 1n]).toEqual([
		20n,
		10n,
		1n,
		1n,
	]);
	const wqcap = device.read(DsaRegister.WQCAP, 8);
	expect([wqcap & 0xffffn, (wqcap >> 16n) & 0xffn, (wqcap >> 24n) & 15n, (wqcap >> 48n) & 7n]).toEqual([
		128n,
		8n,
		1n,
		2n,
	]);
	const offsets = device.read(DsaRegister.OFFSETS, 8);
	expect([offsets & 0xffffn, (offsets >> 16n) & 0xffffn, (offsets >> 32n) & 0xffffn]).toEqual([4n, 5n, 7n]);
	// Interrupt handles needn't be asked for.
	expect(device.read(DsaRegister.CMDCAP) & (1n << 13n)).toBe(0n);
	expect(device.dsa.readRegister(2, 0, 8)).toBe(allOnes(8));
});

test("a descriptor that comes to a portal is done, with a record and an interrupt if it asks for them", () => {
	const device = new TestDsa();
	device.start();
	device.port.memory.set([1, 2, 3, 4], 0x8000);
	const move = { operation: MEMORY_MOVE, source: 0x8000n, destination: 0x9000n, size: 4 };
	expect(device.run({ ...move, flags: CRAV | RCR | RCI, vector: 1, first: 2 ** 31 })).toMatchObject({
		status: Status.SUCCESS,
		completed: 4,
	});
	expect([[...device.port.memory.subarray(0x9000, 0x9004)], device.port.interrupts]).toEqual([[1, 2, 3, 4], [1]]);
	expect(device.run({ ...move, flags: CRAV }).status).toBe(0);
	expect(device.run({ operation: NOOP })).toMatchObject({ status: Status.SUCCESS });
	expect(device.run({ operation: DRAIN })).toMatchObject({ status: Status.SUCCESS });
});

test("portals take 64 bytes at once, at any multiple of 64 and in all four pages of a queue", () => {
	const device = new TestDsa();
	device.start([0, 3]);
	const noop = (completion: number) => bytesOf({ operation: NOOP, completion: BigInt(completion) });
	device.dsa.writeBlock(2, 0x3000 + 64 * 5, noop(0x1000));
	device.dsa.writeBlock(2, 3 * 0x4000 + 0x1fc0, noop(0x1020));
	device.dsa.writeBlock(2, 0x4000, noop(0x1040));
	device.dsa.writeBlock(0, 0, noop(0x1060));
	for (let i = 0; i < 8; i++) device.dsa.writeRegister(2, 8 * i, 8, 0n);
	device.settle();
	expect([0x1000, 0x1020, 0x1040, 0x1060].map((at) => device.port.memory[at])).toEqual([1, 1, 0, 0]);
});

test("what finds its queue full is lost, and the occupancy says how full it is", () => {
	const device = new TestDsa();
	device.start();
	for (let i = 0; i < 17; i++) device.submit({ operation: NOOP, completion: BigInt(0x1000 + 32 * i) });
	expect(device.read(DsaRegister.WQCFG + 24) & 0xffffn).toBe(16n);
	device.settle();
	expect([device.port.memory[0x1000 + 32 * 15], device.port.memory[0x1000 + 32 * 16]]).toEqual([1, 0]);
	expect(device.read(DsaRegister.WQCFG + 24)).toBe((1n << 30n) | (1n << 29n));
});

test("memory is as a loop over its bytes leaves it, overlapping or not", () => {
	const SIZE = 0x40000;
	const address = fc.integer({ min: 0x8000, max: SIZE - 0x11000 });
	const operation = fc.record({
		operation: fc.constantFrom(MEMORY_MOVE, FILL, DUALCAST),
		size: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 65536 })),
		source: address,
		destination: fc.oneof(address, fc.integer({ min: -200, max: 200 })),
		second: address,
		pattern: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
	});
	fc.assert(
		fc.property(fc.array(operation, { minLength: 1, maxLength: 6 }), (operations) => {
			const device = new TestDsa();
			device.start();
			const { memory } = device.port;
			for (let i = 0x8000; i < SIZE; i++) memory[i] = (i * 37) >> 4;
			const naive = memory.slice(0, SIZE);
			for (const { operation, size, source, second: anywhere, pattern, ...rest } of operations) {
				const destination = Math.max(0x8000, rest.destination < 0x1000 ? source + rest.destination : rest.destination);
				const second = anywhere - (anywhere % 4096) + (destination % 4096);
				const overlap = (a: number, b: number) => a < b + size && b < a + size;
				const isRefused =
					operation === DUALCAST &&
					(overlap(source, destination) || overlap(source, second) || overlap(destination, second));
				if (operation === FILL)
					for (let i = 0; i < size; i++) naive[destination + i] = Number((pattern >> BigInt(8 * (i % 8))) & 0xffn);
				else if (!isRefused) {
					naive.copyWithin(destination, source, source + size);
					if (operation === DUALCAST) naive.copyWithin(second, source, source + size);
				}
				const specific = new Uint8Array(8);
				if (operation === DUALCAST) new DataView(specific.buffer).setBigUint64(0, BigInt(second), true);
				const { status } = device.run({
					operation,
					size,
					source: operation === FILL ? pattern : BigInt(source),
					destination: BigInt(destination),
					specific: [...specific],
				});
				expect(status).toBe(isRefused ? Status.OVERLAPPING_BUFFERS : Status.SUCCESS);
			}
			expect(Buffer.compare(memory.subarray(0x8000, SIZE), naive.subarray(0x8000))).toBe(0);
		}),
		{ numRuns: 60 },
	);
});

test("comparisons tell whether it is the same, where it isn't, and whether that was expected", () => {
	const device = new TestDsa();
	device.start();
	device.port.memory.fill(7, 0x8000, 0x8100);
	device.port.memory.fill(7, 0x9000, 0x9100);
	const compare = { operation: COMPARE, source: 0x8000n, destination: 0x9000n, size: 0x100 };
	expect(device.run(compare)).toMatchObject({ status: 1, result: 0, completed: 0x100 });
	device.port.memory[0x9010] = 0;
	expect(device.run(compare)).toMatchObject({ status: 1, result: 1, completed: 0x10 });
	const checked = { ...compare, flags: CRAV | RCR | 0x80 };
	expect(device.run({ ...checked, specific: [0] }).status).toBe(Status.SUCCESS_WITH_FALSE_PREDICATE);
	expect(device.run({ ...checked, specific: [1] }).status).toBe(Status.SUCCESS);
	const pattern = { operation: COMPARE_PATTERN, source: 0x8000n, destination: 0x0707_0707_0707_0707n, size: 0x100 };
	expect([device.run(pattern).result, device.run({ ...pattern, destination: 7n }).completed]).toEqual([0, 1]);
});

test("a CRC can go on where another one stopped", () => {
	const device = new TestDsa();
	device.start();
	device.port.memory.set(new TextEncoder().encode("123456789"), 0x8000);
	const crc = (source: bigint, size: number, seed: number) => {
		const specific = new Uint8Array(4);
		new DataView(specific.buffer).setUint32(0, seed, true);
		return device.run({ operation: CRC_GENERATION, source, size, specific: [...specific] }).specific;
	};
	expect(crc(0x8000n, 9, 0)).toBe(0xe306_9283);
	expect(crc(0x8004n, 5, crc(0x8000n, 4, 0))).toBe(0xe306_9283);
});

/** Descriptors in memory, for a batch. */
function putList(device: TestDsa, at: number, list: readonly Uint8Array[]): void {
	list.forEach((bytes, i) => {
		device.port.memory.set(bytes, at + 64 * i);
	});
}

test("a batch does all its descriptors, and says whether all went well", () => {
	const device = new TestDsa();
	device.start();
	const fills = Array.from({ length: 100 }, (_, i) =>
		bytesOf({ operation: FILL, flags: CRAV, source: BigInt(i + 1), destination: BigInt(0x20000 + i), size: 1 }),
	);
	putList(device, 0x10000, fills);
	const batch = { operation: BATCH, source: 0x10000n, size: 100 };
	expect(device.run(batch)).toMatchObject({ status: Status.SUCCESS, completed: 100 });
	expect([...device.port.memory.subarray(0x20000, 0x20064)]).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
	const bad = bytesOf({ operation: FILL, flags: CRAV, completion: 0x840n, destination: NOWHERE, size: 1 });
	putList(device, 0x10000, [bad]);
	expect(device.run(batch)).toMatchObject({ status: Status.BATCH_FAILED, completed: 100 });
	expect(device.record(0x840)).toMatchObject({ status: Status.PAGE_FAULT | 0x80, faultAddress: NOWHERE });
	const fenced = bytesOf({ operation: NOOP, flags: CRAV | 1 });
	putList(device, 0x10000 + 64 * 40, [fenced]);
	expect(device.run(batch)).toMatchObject({ status: Status.BATCH_FAILED, completed: 40 });
	expect(device.run({ ...batch, source: NOWHERE })).toMatchObject({
		status: Status.BATCH_LIST_FAULT,
		completed: 0,
		faultAddress: NOWHERE,
	});
});

test("an error in a batch that has no record tells its place in SWERROR", () => {
	const device = new TestDsa();
	device.start([2]);
	putList(device, 0x10000, [
		bytesOf({ operation: NOOP, flags: 0, completion: 0n }),
		bytesOf({ operation: 99, flags: 0 }),
	]);
	device.submit({ operation: BATCH, source: 0x10000n, size: 2 }, 2);
	device.settle();
	const { word, code } = device.error;
	expect([code, (word >> 4n) & 1n, (word >> 16n) & 0xffn, (word >> 32n) & 0xffn]).toEqual([
		Status.BAD_OPERATION,
		1n,
		2n,
		99n,
	]);
	expect(device.read(DsaRegister.SWERROR + 8, 8) & 0xffffn).toBe(1n);
});

const MOVE = { operation: MEMORY_MOVE, source: 0x8000n, destination: 0x9000n, size: 8 };

test.each([
	["an unknown operation", { operation: 0x42 }, Status.BAD_OPERATION],
	["a flag that it doesn't have", { ...MOVE, flags: CRAV | RCR | 0x80 }, Status.INVALID_FLAGS],
	["a fence outside of a batch", { ...MOVE, flags: CRAV | RCR | 1 }, Status.INVALID_FLAGS],
	["Block On Fault where the queue has none", { ...MOVE, flags: CRAV | RCR | 2 }, Status.INVALID_FLAGS],
	["reserved bits of the first word", { ...MOVE, first: 1 << 20 }, Status.RESERVED_FIELD],
	["a field of another operation", { ...MOVE, specific: [1] }, Status.RESERVED_FIELD],
	[
		"a destination for a batch",
		{ operation: BATCH, source: 0x10000n, size: 2, destination: 1n },
		Status.RESERVED_FIELD,
	],
	["a size of 0", { ...MOVE, size: 0 }, Status.TRANSFER_SIZE],
	["a size beyond the queue's", { ...MOVE, size: 65537 }, Status.TRANSFER_SIZE],
	["a batch of one", { operation: BATCH, source: 0x10000n, size: 1 }, Status.DESCRIPTOR_COUNT],
	["a batch beyond the queue's", { operation: BATCH, source: 0x10000n, size: 1025 }, Status.DESCRIPTOR_COUNT],
	["a list that isn't aligned", { operation: BATCH, source: 0x10020n, size: 2 }, Status.DESCRIPTOR_LIST_ALIGNMENT],
	["a vector that there isn't", { ...MOVE, flags: CRAV | RCR | RCI, vector: 9 }, Status.INVALID_INTERRUPT_HANDLE],
	[
		"destinations at different places of a page",
		{ ...MOVE, operation: DUALCAST, specific: [1, 0xa0] },
		Status.DUALCAST_ALIGNMENT,
	],
	["a source that can't be read", { ...MOVE, source: NOWHERE }, Status.PAGE_FAULT],
	["a destination that can't be written", { ...MOVE, destination: NOWHERE }, Status.PAGE_FAULT | 0x80],
])("%s is told in the record", (_, descriptor, status) => {
	const device = new TestDsa();
	device.start();
	expect(device.run(descriptor).status).toBe(status);
	expect(device.error.valid).toBe(false);
});

test("the flags that are invalid are named", () => {
	const device = new TestDsa();
	device.start();
	expect(device.run({ ...MOVE, flags: CRAV | RCR | 0x80 | 2 }).specific).toBe(0x82);
});

test("what has no place for a record is told in SWERROR, the first of them, until it is acknowledged", () => {
	const device = new TestDsa();
	device.start();
	device.write(DsaRegister.GENCTRL, 1);
	device.run({ ...MOVE, flags: 0, size: 0 });
	expect(device.error).toMatchObject({ valid: true, overflow: false, code: Status.TRANSFER_SIZE });
	device.run({ ...MOVE, completion: 0x801n });
	expect(device.error).toMatchObject({ valid: true, overflow: true, code: Status.TRANSFER_SIZE });
	expect([device.port.interrupts, device.read(DsaRegister.INTCAUSE)]).toEqual([[0], BigInt(IntCause.SOFTWARE_ERROR)]);
	device.write(DsaRegister.INTCAUSE, IntCause.SOFTWARE_ERROR);
	device.write(DsaRegister.SWERROR, 3);
	expect([device.error.valid, device.read(DsaRegister.INTCAUSE)]).toEqual([false, 0n]);
	device.run({ ...MOVE, completion: 0x801n });
	expect(device.error.code).toBe(Status.COMPLETION_ADDRESS_ALIGNMENT);
	device.write(DsaRegister.SWERROR, 3);
	device.submit({ ...MOVE, completion: NOWHERE });
	device.settle();
	expect([device.error.code, device.read(DsaRegister.SWERROR + 16, 8)]).toEqual([
		Status.COMPLETION_ADDRESS_FAULT,
		NOWHERE,
	]);
	device.write(DsaRegister.SWERROR, 3);
	device.run({ ...MOVE, flags: RCR });
	expect([device.error.code, device.read(DsaRegister.SWERROR + 8, 8) >> 32n]).toEqual([Status.INVALID_FLAGS, 8n]);
});

test("a queue can allow some operations only", () => {
	const device = new TestDsa();
	device.write(DsaRegister.WQCFG + 32, 1 << MEMORY_MOVE);
	device.start();
	expect([device.run(MOVE).status, device.run({ operation: NOOP }).status]).toEqual([
		Status.SUCCESS,
		Status.BAD_OPERATION,
	]);
});

test("a vector that needs a PASID is none for completions", () => {
	const device = new TestDsa();
	device.start();
	device.write(DsaRegister.MSIXPERM + 8, 1 << 3);
	expect(device.run({ ...MOVE, flags: CRAV | RCR | RCI, vector: 1 }).status).toBe(Status.INVALID_INTERRUPT_HANDLE);
	expect(device.port.interrupts).toEqual([]);
});

test("the device is enabled only when its configuration fits together", () => {
	const device = new TestDsa();
	const enable = () => device.command(Command.ENABLE_DEVICE);
	const group = (index: number, queues: number, engines: number) => {
		device.write(DsaRegister.GRPCFG + 64 * index, BigInt(queues), 8);
		device.write(DsaRegister.GRPCFG + 64 * index + 32, BigInt(engines), 8);
	};
	device.configure(0, { size: 129 });
	expect(enable()).toBe(CommandError.WQ_SIZE_OUT_OF_RANGE);
	device.configure(0, { mode: (1 << 28) | 0x11 });
	expect(enable()).toBe(CommandError.PASID_CAPABILITY_DISABLED);
	device.configure(0);
	group(0, 1, 0);
	expect(enable()).toBe(CommandError.GROUP_WITHOUT_WQ_OR_ENGINE);
	group(0, 0, 1);
	expect(enable()).toBe(CommandError.GROUP_WITHOUT_WQ_OR_ENGINE);
	group(0, 1, 1);
	group(1, 1, 2);
	expect(enable()).toBe(CommandError.WQ_IN_TWO_GROUPS);
	group(1, 2, 1);
	expect(enable()).toBe(CommandError.ENGINE_IN_TWO_GROUPS);
	group(1, 0, 0);
	expect([enable(), enable(), device.read(DsaRegister.GENSTS)]).toEqual([0, CommandError.DEVICE_NOT_DISABLED, 1n]);
});

test.each([
	["no size", { size: 0 }, CommandError.WQ_SIZE_IS_ZERO],
	["no priority", { mode: 1 }, CommandError.WQ_PRIORITY_IS_ZERO],
	["shared mode", { mode: 0x10 }, CommandError.INVALID_WQ_MODE],
	["Block On Fault", { mode: 0x13 }, CommandError.INVALID_BLOCK_ON_FAULT],
	["batches that are too large", { limits: 16 | (11 << 5) }, CommandError.INVALID_MAX_BATCH_SIZE],
	["transfers that are too large", { limits: 17 | (10 << 5) }, CommandError.INVALID_MAX_TRANSFER_SIZE],
])("a queue with %s can't be enabled", (_, configuration, error) => {
	const device = new TestDsa();
	device.configure(0, configuration);
	expect(device.command(Command.ENABLE_WQ)).toBe(CommandError.DEVICE_NOT_ENABLED);
	expect(device.command(Command.ENABLE_DEVICE)).toBe(0);
	expect(device.command(Command.ENABLE_WQ)).toBe(error);
});

test("commands for queues name them by a mask, and need them enabled", () => {
	const device = new TestDsa();
	device.start([0, 1]);
	expect([
		device.command(Command.ENABLE_WQ, 8),
		device.command(Command.ENABLE_WQ, 0),
		device.command(Command.DISABLE_WQ, 0),
		device.command(Command.DISABLE_WQ, 0x10001),
		device.command(Command.DISABLE_WQ, 5),
		device.command(0x1f),
		device.command(0),
	]).toEqual([
		CommandError.INVALID_WQ_INDEX,
		CommandError.WQ_NOT_DISABLED,
		CommandError.INVALID_WQ_INDEX,
		CommandError.INVALID_WQ_INDEX,
		CommandError.WQ_IS_NOT_ENABLED,
		CommandError.INVALID_COMMAND,
		CommandError.INVALID_COMMAND,
	]);
	expect([device.command(Command.DISABLE_WQ, 3), device.command(Command.RESET_WQ, 1)]).toEqual([
		0,
		CommandError.WQ_IS_NOT_ENABLED,
	]);
	expect(device.command(Command.DISABLE_DEVICE)).toBe(0);
	for (const command of [Command.DISABLE_DEVICE, Command.DRAIN_ALL, Command.ABORT_ALL, Command.DRAIN_PASID])
		expect(device.command(command)).toBe(CommandError.DEVICE_IS_NOT_ENABLED);
});

test("draining waits for what was submitted, aborting throws it away, and a command can interrupt", () => {
	const device = new TestDsa();
	device.start();
	device.submit({ operation: NOOP });
	expect(device.command(Command.DRAIN_WQ, 1, INTERRUPT)).toBe(2 ** 31);
	expect([device.command(Command.RESET_DEVICE), device.port.interrupts]).toEqual([2 ** 31, []]);
	device.settle();
	expect([device.read(DsaRegister.CMDSTS), device.port.interrupts, device.record().status]).toEqual([0n, [0], 1]);
	expect(device.read(DsaRegister.INTCAUSE)).toBe(BigInt(IntCause.COMMAND));
	device.port.memory[0x800] = 0;
	device.submit({ operation: NOOP });
	expect(device.command(Command.ABORT_ALL)).toBe(0);
	device.settle();
	expect(device.record().status).toBe(0);
	device.submit({ operation: NOOP });
	expect(device.command(Command.RESET_WQ, 1)).toBe(0);
	expect([device.read(DsaRegister.WQCFG), device.read(DsaRegister.WQCFG + 24) >> 30n]).toEqual([0n, 0n]);
});

test("the configuration can't be changed while it is in use", () => {
	const device = new TestDsa();
	device.start();
	device.write(DsaRegister.WQCFG, 5);
	device.write(DsaRegister.WQCFG + 8, 0);
	device.write(DsaRegister.GRPCFG, 0xffn, 8);
	expect([0, 8].map((offset) => device.read(DsaRegister.WQCFG + offset))).toEqual([16n, 0x11n]);
	expect(device.read(DsaRegister.GRPCFG, 8)).toBe(1n);
	device.command(Command.DISABLE_WQ, 1);
	device.write(DsaRegister.WQCFG + 8, 0x21);
	device.write(DsaRegister.WQCFG, 5);
	expect([0, 8].map((offset) => device.read(DsaRegister.WQCFG + offset))).toEqual([16n, 0x21n]);
});

test("a reset of the device and one of the function forget everything", () => {
	for (const reset of [
		(device: TestDsa) => device.command(Command.RESET_DEVICE),
		(device: TestDsa) => device.dsa.reset(),
	]) {
		const device = new TestDsa();
		device.start();
		device.write(DsaRegister.GENCTRL, 1);
		device.run({ ...MOVE, flags: 0, size: 0 });
		device.submit({ operation: NOOP });
		reset(device);
		device.settle();
		expect([
			device.read(DsaRegister.GENSTS),
			device.read(DsaRegister.GENCTRL),
			device.read(DsaRegister.WQCFG),
			device.read(DsaRegister.GRPCFG, 8),
			device.error.valid,
			device.record().status,
		]).toEqual([0n, 0n, 0n, 0n, false, 0]);
		device.start();
		expect(device.run({ operation: NOOP }).status).toBe(1);
	}
});

test("no access and no descriptor makes it fail, and its work comes to an end", () => {
	const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 });
	const like = fc.record({
		operation: fc.nat(0x11),
		flags: fc.nat(0x1ff),
		source: fc.constantFrom(0x8000n, 0x10000n, NOWHERE),
		destination: fc.constantFrom(0x9000n, 2n ** 64n - 4n, 0n),
		size: fc.nat(200),
		completion: fc.constantFrom(0x800n, 0x801n, NOWHERE),
	});
	const access = fc.record({
		kind: fc.constantFrom("read", "write", "block"),
		bar: fc.constantFrom(0, 0, 2, 4),
		offset: fc.oneof(fc.integer({ min: 0, max: 0x7ff }), fc.integer({ min: 0, max: 0x20000 })),
		size: fc.constantFrom(1, 2, 4, 8),
		value: fc.oneof(
			fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
			fc.constantFrom(0x100000n, 0x600000n, 0x500000n, 0x800001n),
		),
		descriptor: fc.oneof(bytes, like.map(bytesOf)),
	});
	fc.assert(
		fc.property(fc.array(access, { maxLength: 80 }), fc.boolean(), (accesses, isStarted) => {
			const device = new TestDsa();
			if (isStarted) device.start([0, 1, 2, 3, 4, 5, 6, 7]);
			for (const { kind, bar, offset, size, value, descriptor } of accesses) {
				const at = offset - (offset % size);
				if (kind === "block") device.dsa.writeBlock(2, offset - (offset % 64), descriptor);
				else if (kind === "write") device.dsa.writeRegister(bar, at, size, BigInt.asUintN(8 * size, value));
				else expect(device.dsa.readRegister(bar, at, size)).toBeGreaterThanOrEqual(0n);
			}
			device.settle();
		}),
	);
});

test("how much a descriptor moves can be chosen", () => {
	expect(v.parse(dsa.options, { transfer: "12" })).toEqual({ transfer: 12 });
	expect(() => v.parse(dsa.options, { transfer: "32" })).toThrow("no number from 12 to 31");
});
