import { expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { expectSuccess, PAGE, readOf, TestDriver } from "./driver.testing.js";
import { FeatureId } from "./features.js";
import { LogPage } from "./log-pages.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";

const flush = { opcode: NvmOpcode.FLUSH, namespace: 1 };
const INVALID_REGISTER = 0;
const INVALID_VALUE = 1;

function setUp(options = {}): TestDriver {
	const driver = new TestDriver({ options });
	driver.enable();
	driver.createQueues(1, 8);
	driver.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 500 });
	driver.run();
	return driver;
}

/** The information of the event that has come, if one has. */
function event(driver: TestDriver): number | undefined {
	driver.run();
	const [completion] = driver.poll(0);
	if (completion === undefined) return undefined;
	expect([completion.commandId, completion.result & 7, completion.result >>> 16]).toEqual([
		500,
		0,
		LogPage.ERROR_INFORMATION,
	]);
	return (completion.result >>> 8) & 0xff;
}

test.each([
	["the tail of a queue that doesn't exist", 2, false, 0, INVALID_REGISTER],
	["the head of a queue that doesn't exist", 2, true, 0, INVALID_REGISTER],
	["a queue beyond all that can be", 200, false, 1, INVALID_REGISTER],
	["a tail beyond the end of the ring", 1, false, 8, INVALID_VALUE],
	["a tail far beyond the end of the ring", 1, false, 0xffff_ffff, INVALID_VALUE],
	["a head beyond the end of the ring", 1, true, 8, INVALID_VALUE],
	["a head beyond what has been completed", 1, true, 1, INVALID_VALUE],
])("ringing for %s is an event, and changes nothing", (_, id, isCompletion, value, information) => {
	const driver = setUp();
	driver.ring(id, isCompletion, value);
	expect(event(driver)).toBe(information);
	expect(driver.port.told).toHaveLength(1);
	expect(driver.do(1, flush).status).toBe(0);
});

test("adding more commands than there is room for is an event", () => {
	const driver = setUp();
	// The completion queue is full after seven, so three of these ten stay.
	for (let i = 0; i < 2; i++) {
		driver.submit(1, ...Array.from({ length: 5 }, () => flush));
		driver.run();
	}
	expect(event(driver)).toBeUndefined();
	driver.submit(1, ...Array.from({ length: 5 }, () => flush));
	expect(event(driver)).toBe(INVALID_VALUE);
	expect(driver.port.told[0]).toContain("5 more commands: there is room for 4");
});

test("ringing with the same value again is nothing", () => {
	const driver = setUp();
	driver.do(1, flush);
	driver.ring(1, false, 1);
	driver.ring(1, true, 1);
	expect(event(driver)).toBeUndefined();
});

test("a doorbell reads as what was written to it, and a queue that is created anew begins at 0", () => {
	const driver = setUp();
	driver.do(1, flush);
	expect([driver.read32(0x1008), driver.read32(0x100c), driver.read32(0x1ffc)]).toEqual([1, 1, 0]);
	driver.port.doorbells.clear();
	driver.admin({ opcode: AdminOpcode.DELETE_SUBMISSION_QUEUE, dword10: 1 });
	driver.createSubmissionQueue(1, 8, 1);
	expect(driver.read32(0x1008)).toBe(0);
	expect(driver.port.doorbells).toEqual(new Map([["0:4104", 0]]));
	expect(driver.do(1, flush).status).toBe(0);
});

test("doorbells can be further apart", () => {
	const driver = setUp({ stride: 64 });
	expect(Number(driver.controller.readRegister(0, NvmeRegister.CAP, 8) >> 32n) & 15).toBe(4);
	expect(driver.do(1, flush).status).toBe(0);
	driver.write32(0x1004, 1);
	expect(event(driver)).toBe(INVALID_REGISTER);
});

test("writes beyond the doorbells are nothing", () => {
	const driver = setUp();
	driver.write32(0x2000, 1);
	expect(event(driver)).toBeUndefined();
});

// --- Shadow doorbells ---

/** A host that keeps its doorbells in memory, and rings when the event index says so. */
function setUpShadow() {
	const driver = setUp();
	const [shadow, eventIndexes] = [driver.take(PAGE), driver.take(PAGE)];
	expectSuccess(driver.admin({ opcode: AdminOpcode.DOORBELL_BUFFER_CONFIG, prp1: shadow, prp2: eventIndexes }));
	const place = (id: number, isCompletion: boolean) => (2 * id + (isCompletion ? 1 : 0)) * 4;
	let rings = 0;
	const ring = driver.ring.bind(driver);
	driver.ring = (id, isCompletion, value) => {
		// Not of the admin queues, as Linux does it.
		if (id === 0) {
			ring(id, isCompletion, value);
			return;
		}
		const { view } = driver.port;
		const at = place(id, isCompletion);
		const old = view.getUint32(shadow + at, true);
		view.setUint32(shadow + at, value, true);
		const wanted = view.getUint32(eventIndexes + at, true);
		if (((value - wanted - 1) & 0xffff) >= ((value - old) & 0xffff)) return;
		rings++;
		ring(id, isCompletion, value);
	};
	const valueAt = (page: number, id: number, isCompletion: boolean) =>
		driver.port.view.getUint32(page + place(id, isCompletion), true);
	return { driver, shadow, eventIndexes, valueAt, rings: () => rings };
}

test("with shadow doorbells a host rings only when the controller waits", () => {
	const { driver, rings, valueAt, eventIndexes } = setUpShadow();
	expect(driver.do(1, flush).status).toBe(0);
	const before = rings();
	driver.put(1, flush);
	driver.ringTail(1);
	expect(rings()).toBe(before + 1);
	// More comes before the controller has looked: it sees that by itself.
	driver.put(1, flush);
	driver.ringTail(1);
	expect(rings()).toBe(before + 1);
	driver.run();
	expect(driver.poll(1)).toHaveLength(2);
	expect(valueAt(eventIndexes, 1, false)).toBe(3);
});

test("a shadow doorbell is seen that is set while the controller works", () => {
	const { driver, shadow } = setUpShadow();
	const page = driver.take(PAGE);
	const write = driver.port.writeMemory.bind(driver.port);
	driver.port.writeMemory = (iova, from, pasid) => {
		// During the first read's data another command appears.
		if (Number(iova) === page && driver.submission.get(1)!.at === 1) {
			driver.put(1, flush);
			driver.port.view.setUint32(shadow + 8, 2, true);
		}
		return write(iova, from, pasid);
	};
	driver.submit(1, readOf(0, 1, page));
	driver.run();
	expect(driver.poll(1)).toHaveLength(2);
});

test("a ring for the admin queue that is heard late takes nothing back of what its shadow says", () => {
	const { driver, shadow } = setUpShadow();
	const getFeatures = (id: number) => ({ opcode: AdminOpcode.GET_FEATURES, dword10: FeatureId.ARBITRATION, id });
	const { at: first } = driver.submission.get(0)!;
	driver.put(0, getFeatures(1));
	driver.put(0, getFeatures(2));
	driver.port.view.setUint32(shadow, first + 2, true);
	driver.write32(0x1000, first + 1);
	driver.run();
	driver.write32(0x1000, first + 1);
	driver.run();
	expect(driver.poll(0).map(({ commandId }) => commandId)).toEqual([1, 2]);
	expect(driver.port.told).toEqual([]);
});

test("shadow doorbells begin with what the registers said, and so do those of a new queue", () => {
	const driver = setUp();
	for (let i = 0; i < 3; i++) driver.do(1, flush);
	const [shadow, eventIndexes] = [driver.take(PAGE), driver.take(PAGE)];
	driver.bytes(shadow, 2 * PAGE).fill(0xee);
	expectSuccess(driver.admin({ opcode: AdminOpcode.DOORBELL_BUFFER_CONFIG, prp1: shadow, prp2: eventIndexes }));
	const words = (page: number, first: number) =>
		[0, 4].map((offset) => driver.port.view.getUint32(page + first + offset, true));
	expect([words(shadow, 8), words(eventIndexes, 8)]).toEqual([
		[3, 3],
		[3, 3],
	]);
	driver.createQueues(2);
	expect([words(shadow, 16), words(eventIndexes, 16)]).toEqual([
		[0, 0],
		[0, 0],
	]);
});

test("a completion queue that was full goes on when its shadow head moves", () => {
	const { driver } = setUpShadow();
	driver.createCompletionQueue(2, 3);
	driver.createSubmissionQueue(2, 16, 2);
	driver.submit(2, ...Array.from({ length: 7 }, () => flush));
	let done = 0;
	for (let i = 0; i < 5; i++) {
		driver.run();
		done += driver.poll(2).length;
	}
	expect(done).toBe(7);
});

test("a shadow doorbell with nonsense in it is an event", () => {
	const { driver, shadow } = setUpShadow();
	driver.port.view.setUint32(shadow + 8, 99, true);
	driver.write32(0x1008, 1);
	expect(event(driver)).toBe(INVALID_VALUE);
});

test("doorbell buffers are at the start of pages", () => {
	const driver = setUp();
	for (const [prp1, prp2] of [
		[PAGE + 8, PAGE],
		[PAGE, PAGE + 4],
	]) {
		const completion = driver.admin({ opcode: AdminOpcode.DOORBELL_BUFFER_CONFIG, prp1, prp2 });
		expect(completion.status).toBe(0x002);
	}
	expect(driver.do(1, flush).status).toBe(0);
});
