import { expect, test } from "vitest";
import { type BlockStore, MemoryStore } from "../block-store.js";
import { AdminOpcode } from "./admin.js";
import { ENABLE, PAGE, readOf, TestDriver, writeOf } from "./driver.testing.js";
import { FeatureId, NAMESPACE_NOTICES } from "./features.js";
import { LogPage } from "./log-pages.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";
import { Status } from "./status.js";

/** A controller of a machine, and how it becomes another one of the same kind, with the same disk. */
function setUp(options: Record<string, unknown> = {}) {
	const store = new MemoryStore(256 * 1024 * 1024);
	const make = () => new TestDriver({ options: { file: "disk", ...options }, files: { disk: store as BlockStore } });
	const driver = make();
	driver.enable();
	driver.createQueues(1, 16, { vector: 1, interrupts: true });
	const move = (from: TestDriver) => {
		const to = make();
		to.controller.restore!(from.controller.save!());
		to.continueFrom(from);
		to.clock.now = 5_000_000n;
		return to;
	};
	return { driver, make, move };
}

test("a controller goes on where another one has stopped, in the middle of commands", () => {
	const { driver, move } = setUp();
	const pages = Array.from({ length: 12 }, () => driver.take(PAGE));
	for (const [index, page] of pages.entries()) driver.bytes(page, PAGE).fill(index + 1);
	driver.submit(1, ...pages.map((page, index) => writeOf(8 * index, 8, page)));
	const between = move(driver);
	between.run();
	const after = move(between);
	expect(after.poll(1).map(({ status }) => status)).toEqual(Array(12).fill(0));
	const page = after.take(PAGE);
	for (const index of pages.keys()) {
		expect(after.do(1, readOf(8 * index, 8, page)).status).toBe(0);
		expect(after.bytes(page, PAGE).every((byte) => byte === index + 1)).toBe(true);
	}
});

test("what waits goes with it: requests, events, commands that take long, completions without room, interrupts", () => {
	const { driver, move } = setUp();
	driver.setFeature(FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, NAMESPACE_NOTICES);
	driver.createCompletionQueue(2, 2);
	driver.createSubmissionQueue(2, 16, 2);
	driver.submit(2, ...[1, 2].map((id) => ({ opcode: NvmOpcode.VERIFY, namespace: 1, dword12: 0xffff, id })));
	driver.controller.work!();
	// A doorbell of nobody: an event that nobody has asked for yet.
	driver.ring(40, false, 1);
	const middle = move(driver);
	expect(middle.port.told).toEqual([]);
	middle.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 100 });
	middle.run();
	expect(middle.poll(0)).toMatchObject([{ commandId: 100, result: LogPage.ERROR_INFORMATION << 16 }]);
	// The queue has room for one of the two.
	const end = move(middle);
	end.run();
	expect(end.poll(2)).toMatchObject([{ commandId: 1, status: 0 }]);
	end.run();
	expect(end.poll(2)).toMatchObject([{ commandId: 2, status: 0 }]);
	// Nobody has taken this one.
	end.submit(1, { opcode: NvmOpcode.FLUSH, namespace: 1 });
	end.run();
	expect(move(end).port.interrupts).toEqual([1]);
});

test("a completion that has no room yet is not lost", () => {
	const { driver, move } = setUp();
	driver.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 100 });
	driver.createCompletionQueue(2, 2);
	driver.createSubmissionQueue(2, 16, 2);
	driver.submit(2, { opcode: NvmOpcode.VERIFY, namespace: 1, dword12: 0xffff, id: 1 });
	driver.controller.work!();
	driver.submit(2, { opcode: NvmOpcode.FLUSH, namespace: 1, id: 2 });
	driver.run();
	const after = move(driver);
	expect(after.poll(2).map(({ commandId }) => commandId)).toEqual([2]);
	after.run();
	expect(after.poll(2).map(({ commandId }) => commandId)).toEqual([1]);
});

test("a format goes on", () => {
	const { driver, move } = setUp();
	driver.submit(0, { opcode: AdminOpcode.FORMAT_NVM, namespace: 1, dword10: 1, id: 9 });
	driver.controller.work!();
	const after = move(driver);
	expect(after.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(Status.FORMAT_IN_PROGRESS);
	after.run();
	expect(after.poll(0)).toMatchObject([{ commandId: 9, status: 0 }]);
	expect(after.do(1, readOf(65535, 1, after.take(PAGE))).status).toBe(0);
	expect(after.do(1, readOf(65536, 1, PAGE)).status).toBe(Status.LBA_OUT_OF_RANGE);
});

test("features, logs, the clock, blocks that can't be read and the mask of interrupts go with it", () => {
	const { driver, move } = setUp();
	driver.clock.now = 1_000_000_000n;
	const page = driver.take(PAGE);
	driver.port.view.setBigUint64(page, 1_700_000_000_000n, true);
	driver.setFeature(FeatureId.TIMESTAMP, 0, { prp1: page });
	driver.setFeature(FeatureId.VOLATILE_WRITE_CACHE, 0);
	driver.setFeature(FeatureId.ERROR_RECOVERY, 7, { namespace: 1 });
	driver.setFeature(FeatureId.INTERRUPT_VECTOR_CONFIGURATION, 3 | (1 << 16));
	driver.setFeature(FeatureId.TEMPERATURE_THRESHOLD, 300);
	driver.setFeature(FeatureId.HOST_IDENTIFIER, 1, { prp1: page });
	driver.do(1, { opcode: NvmOpcode.WRITE_UNCORRECTABLE, namespace: 1, dword10: 100, dword12: 9 });
	driver.do(1, readOf(100, 1, page));
	driver.clock.now = 3_000_000_000n;
	driver.write32(NvmeRegister.INTMS, 0x10);
	const logs = (of: TestDriver) =>
		[of.logPage(LogPage.ERROR_INFORMATION, 128), of.logPage(LogPage.HEALTH, 512)].map((log) => log.slice());
	const before = logs(driver);
	const after = move(driver);
	expect(logs(after)).toEqual(before);
	const value = (id: number, more = {}) => after.getFeature(id, more).result;
	expect([
		value(FeatureId.VOLATILE_WRITE_CACHE),
		value(FeatureId.ERROR_RECOVERY, { namespace: 1 }),
		value(FeatureId.INTERRUPT_VECTOR_CONFIGURATION, { dword11: 3 }),
		value(FeatureId.TEMPERATURE_THRESHOLD),
		after.read32(NvmeRegister.INTMS),
	]).toEqual([0, 7, 0x10003, 300, 0x10]);
	after.getFeature(FeatureId.TIMESTAMP, { prp1: page });
	expect(after.port.view.getBigUint64(page, true) & 0xffff_ffff_ffffn).toBe(1_700_000_002_000n + 5n);
	const reads = [99, 100, 109, 110].map((block) => after.do(1, readOf(block, 1, page)).status);
	expect(reads).toEqual([0, Status.UNRECOVERED_READ_ERROR, Status.UNRECOVERED_READ_ERROR, 0]);
});

test("shadow doorbells and the Controller Memory Buffer go with it", () => {
	const { driver, move } = setUp({ cmb: "16K" });
	const base = 0x7000_0000n;
	driver.write64(NvmeRegister.CMBMSC, base | 3n);
	driver.controller.writeRegister(2, 0x100, 4, 0x1234n);
	const [shadow, indexes] = [driver.take(PAGE), driver.take(PAGE)];
	driver.admin({ opcode: AdminOpcode.DOORBELL_BUFFER_CONFIG, prp1: shadow, prp2: indexes });
	const after = move(driver);
	expect(after.controller.readRegister(2, 0x100, 4)).toBe(0x1234n);
	after.put(1, { ...readOf(0, 1, 0), prp1: base });
	after.port.view.setUint32(shadow + 8, 1, true);
	after.ring(1, false, 1);
	after.run();
	expect(after.poll(1)).toMatchObject([{ status: 0 }]);
});

test("the doorbells are seen as they were", () => {
	const { driver, move } = setUp();
	driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 });
	const after = move(driver);
	expect([after.read32(0x1008), after.port.doorbells.get("0:4104")]).toEqual([1, 1]);
});

// --- Bytes that are wrong ---

test.each([
	["nothing", () => new Uint8Array(0), "this is no state of an NVMe controller"],
	["something else", () => new Uint8Array(100), "this is no state of an NVMe controller"],
	["another version", (state: Uint8Array) => state.fill(9, 4, 5), "the state has version 9: 1 is known"],
	["a part of it", (state: Uint8Array) => state.subarray(0, state.length - 1), /^the state's description is no JSON/],
	["more than it", (state: Uint8Array) => Uint8Array.from([...state, 0]), /^the state has \d+ bytes, and should have/],
	["nonsense", (state: Uint8Array) => state.fill(0x7b, 12), "the state's description is no JSON"],
])("%s is refused, and nothing has changed", (_, change, message) => {
	const { driver } = setUp();
	const state = change(driver.controller.save!());
	expect(() => driver.controller.restore!(state)).toThrow(message);
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});

/** Changes values in the description of a state, by their paths; undefined takes one away. */
function changed(state: Uint8Array, changes: Readonly<Record<string, unknown>>): Uint8Array {
	const description = JSON.parse(new TextDecoder().decode(state.subarray(12)));
	for (const [path, value] of Object.entries(changes)) {
		const names = path.split(".");
		const last = names.pop()!;
		const place = names.reduce((inner, name) => inner[name], description);
		if (value === undefined) delete place[last];
		else place[last] = value;
	}
	const bytes = new TextEncoder().encode(JSON.stringify(description));
	const whole = new Uint8Array(12 + bytes.length);
	whole.set(state.subarray(0, 8));
	new DataView(whole.buffer).setUint32(8, bytes.length, true);
	whole.set(bytes, 12);
	return whole;
}

const namespace = { id: 2, size: 512, format: 0, isFormatting: false, uncorrectable: [] };
const ring = { page: 1, size: 4, head: 0, tail: 0, vector: 0, hasInterrupts: false, phase: 1 };
const late = { completionId: 9, submissionId: 0, submissionHead: 0, commandId: 0, status: 0, result: 0 };
const operation = (fields: object, namespaceId = 1, range = [0, 1]) => ({
	operations: [{ kind: "verify", submissionId: 1, commandId: 1, rest: [{ namespaceId, ranges: [range] }], ...fields }],
});
/** CC, by its number. */
const CC = NvmeRegister.CC / 4;

test.each([
	["a field is missing", { health: undefined }, "the state is wrong at health: "],
	["a field is unknown", { more: 1 }, "the state is wrong at more: "],
	["a number is too large", { interruptMask: 2 ** 32 }, "the state is wrong at interruptMask: "],
	["a number is no integer", { next: 0.5 }, "the state is wrong at next: "],
	["it has fewer queues", { doorbells: [0, 0] }, "0 I/O queues, and this one has 64"],
	["it has more namespaces", { "namespaces.1": namespace }, "with 2 namespaces, and this one has 1"],
	["its namespace is smaller", { "namespaces.0.size": 512 }, "namespace 1 of the state has 512 bytes"],
	["bad blocks are beyond the end", { "namespaces.0.uncorrectable": [[0, 2 ** 40]] }, "beyond its end"],
	["a queue is there twice", { "completion.2": { ...ring, id: 1 } }, "the same number"],
	["a queue's number is too large", { "submission.1.id": 65 }, "a number above 64"],
	["more queues are allocated", { allocatedSubmission: 65 }, "more queues than 64"],
	["a head is beyond its ring", { "completion.0.head": 32 }, "beyond its end"],
	["a vector isn't there", { "completion.1.vector": 65 }, "there are 65"],
	["a queue has no completion queue", { "submission.1.completionId": 9 }, "has no completion queue"],
	["a request has no queue", { submission: [], requests: [1] }, "no admin queue"],
	["a page size isn't there", { [`registers.${CC}`]: ENABLE | (15 << 7) }, "CC.MPS"],
	["a completion has no queue", { late: [late] }, "a completion of the state has no queue"],
	["an operation has no queue", operation({ submissionId: 9 }), "an operation of the state has no queue"],
	["an operation has no namespace", operation({}, 2), "namespace 2, which isn't there"],
	["an operation goes too far", operation({}, 1, [0, 2 ** 40]), "beyond the end of namespace 1"],
	["an operation goes backwards", operation({}, 1, [9, 8]), "beyond the end of namespace 1"],
	["a format has no format", operation({ kind: "format" }), "that it needs"],
])("a state is refused when %s", (_, changes, message) => {
	const { driver } = setUp();
	const state = changed(driver.controller.save!(), changes);
	expect(() => driver.controller.restore!(state)).toThrow(message);
	expect(driver.do(1, { opcode: NvmOpcode.FLUSH, namespace: 1 }).status).toBe(0);
});
