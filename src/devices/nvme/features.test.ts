import { beforeEach, describe, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { PAGE, TestDriver } from "./driver.testing.js";
import { FeatureId, NAMESPACE_NOTICES } from "./features.js";
import { TEMPERATURE } from "./health.js";
import { LogPage } from "./log-pages.js";
import { Status } from "./status.js";

let driver: TestDriver;

beforeEach(() => {
	driver = new TestDriver({ options: { size: "1M:1M" } });
	driver.enable();
});

const SAVE = 2 ** 31;
const select = (kind: number, id: number) => id | (kind << 8);

test.each([
	["arbitration", FeatureId.ARBITRATION, 7, 0x0102_0303],
	["the power state", FeatureId.POWER_MANAGEMENT, 0, 1 << 5],
	["the volatile write cache", FeatureId.VOLATILE_WRITE_CACHE, 1, 0],
	["interrupt coalescing", FeatureId.INTERRUPT_COALESCING, 0, 0x0a10],
	["write atomicity", FeatureId.WRITE_ATOMICITY_NORMAL, 0, 1],
	["events", FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, 0, NAMESPACE_NOTICES | 0x1f],
])("%s can be set, and is as before after a reset", (_, id, initial, value) => {
	expect(driver.getFeature(id).result).toBe(initial);
	expect(driver.setFeature(id, value)).toMatchObject({ status: 0, result: 0 });
	expect(driver.getFeature(id).result).toBe(value);
	expect([1, 2].map((kind) => driver.getFeature(select(kind, id)).result)).toEqual([initial, initial]);
	driver.disable();
	driver.enable();
	expect(driver.getFeature(id).result).toBe(initial);
});

test.each([
	["a power state that isn't there", FeatureId.POWER_MANAGEMENT, 1],
	["more than WCE", FeatureId.VOLATILE_WRITE_CACHE, 2],
	["events that nobody has", FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION, 1 << 12],
	["65536 submission queues", FeatureId.NUMBER_OF_QUEUES, 0xffff],
	["65536 completion queues", FeatureId.NUMBER_OF_QUEUES, 0xffff_0000],
	["a vector that isn't there", FeatureId.INTERRUPT_VECTOR_CONFIGURATION, 65],
	["a temperature sensor that isn't there", FeatureId.TEMPERATURE_THRESHOLD, 1 << 16],
	["a threshold of a reserved type", FeatureId.TEMPERATURE_THRESHOLD, 2 << 20],
	["a feature that isn't there", 0x7f, 0],
	["a host memory buffer", 0x0d, 1],
])("setting %s is an invalid field", (_, id, value) => {
	expect(driver.setFeature(id, value).status).toBe(Status.INVALID_FIELD);
});

test.each([
	["a feature that isn't there", 0x7f, 0],
	["a reserved kind of value", select(4, FeatureId.ARBITRATION), 0],
	["a vector that isn't there", FeatureId.INTERRUPT_VECTOR_CONFIGURATION, 65],
	["a temperature sensor that isn't there", FeatureId.TEMPERATURE_THRESHOLD, 3 << 16],
	["a threshold of a reserved type", FeatureId.TEMPERATURE_THRESHOLD, 3 << 20],
])("getting %s is an invalid field", (_, id, dword11) => {
	expect(driver.getFeature(id, { dword11 }).status).toBe(Status.INVALID_FIELD);
});

test("none can be saved, and each can be changed", () => {
	const ids = Object.values(FeatureId);
	for (const id of ids) expect(driver.setFeature(id + SAVE, 0).status).toBe(Status.FEATURE_NOT_SAVEABLE);
	const ofNamespace = (id: number) => (id === FeatureId.ERROR_RECOVERY ? 2 : 0);
	expect(ids.map((id) => driver.getFeature(select(3, id)).result)).toEqual(ids.map((id) => 4 | ofNamespace(id)));
});

test("what is the same for all namespaces can't be set for one", () => {
	const set = (namespace: number) => driver.setFeature(FeatureId.ARBITRATION, 7, { namespace }).status;
	expect([0, 1, 3, 0xffff_ffff].map(set)).toEqual([
		0,
		Status.FEATURE_NOT_NAMESPACE_SPECIFIC,
		Status.INVALID_NAMESPACE_OR_FORMAT,
		0,
	]);
});

test("error recovery is set for one namespace, or for all", () => {
	const set = (namespace: number, value: number) => driver.setFeature(FeatureId.ERROR_RECOVERY, value, { namespace });
	const get = (namespace: number) => driver.getFeature(FeatureId.ERROR_RECOVERY, { namespace });
	set(0xffff_ffff, 5);
	set(2, 9);
	expect([get(1).result, get(2).result]).toEqual([5, 9]);
	expect([set(3, 1), set(0, 1), get(3), get(0), get(0xffff_ffff)].map(({ status }) => status)).toEqual(
		Array(5).fill(Status.INVALID_NAMESPACE_OR_FORMAT),
	);
	expect(set(1, 1 << 16).status).toBe(Status.INVALID_FIELD);
});

test("a vector's configuration is its own", () => {
	driver.setFeature(FeatureId.INTERRUPT_VECTOR_CONFIGURATION, 3 | (1 << 16));
	const get = (dword11: number) => driver.getFeature(FeatureId.INTERRUPT_VECTOR_CONFIGURATION, { dword11 }).result;
	expect([get(3), get(4)]).toEqual([3 | (1 << 16), 4]);
});

describe("the number of queues", () => {
	test("is as many as are asked for, or as there are", () => {
		const { NUMBER_OF_QUEUES } = FeatureId;
		expect(driver.getFeature(NUMBER_OF_QUEUES).result).toBe(63 * 0x10001);
		expect(driver.setFeature(NUMBER_OF_QUEUES, 3 | (200 << 16)).result).toBe(3 | (63 << 16));
		expect(driver.getFeature(NUMBER_OF_QUEUES).result).toBe(3 | (63 << 16));
		expect(driver.getFeature(select(1, NUMBER_OF_QUEUES)).result).toBe(63 * 0x10001);
	});

	test("can't be set when there are some", () => {
		driver.createQueues(1);
		expect(driver.setFeature(FeatureId.NUMBER_OF_QUEUES, 0).status).toBe(Status.COMMAND_SEQUENCE_ERROR);
	});
});

describe("the temperature", () => {
	const OVER = 0;
	const UNDER = 1 << 20;
	const set = (value: number) => driver.setFeature(FeatureId.TEMPERATURE_THRESHOLD, value);
	const get = (dword11: number) => driver.getFeature(FeatureId.TEMPERATURE_THRESHOLD, { dword11 }).result;
	const warning = () => driver.logPage(LogPage.HEALTH, 512)[0];

	test("has an upper and a lower threshold, and is a warning at or beyond them", () => {
		expect([get(OVER), get(UNDER), warning()]).toEqual([343, 0, 0]);
		set(OVER | TEMPERATURE);
		expect([get(OVER), get(UNDER), warning()]).toEqual([TEMPERATURE, 0, 2]);
		set(OVER | (TEMPERATURE + 1));
		expect(warning()).toBe(0);
		set(UNDER | (15 << 16) | TEMPERATURE);
		expect([get(UNDER), warning()]).toEqual([TEMPERATURE, 2]);
	});

	test("is an event when it becomes a warning, for whoever wants to hear of it", () => {
		driver.submit(0, { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 77 });
		set(OVER | 300);
		expect(driver.poll(0)).toEqual([]);
		driver.submit(0, {
			opcode: AdminOpcode.SET_FEATURES,
			dword10: FeatureId.ASYNCHRONOUS_EVENT_CONFIGURATION,
			dword11: 2,
		});
		driver.run();
		const event = driver.poll(0).find(({ commandId }) => commandId === 77);
		expect(event?.result).toBe(1 | (1 << 8) | (LogPage.HEALTH << 16));
	});
});

describe("the timestamp", () => {
	const MILLISECOND = 1_000_000n;
	const get = () => {
		const prp1 = driver.take(PAGE);
		expect(driver.getFeature(FeatureId.TIMESTAMP, { prp1 }).status).toBe(0);
		const bytes = driver.bytes(prp1, 8);
		return [Number(driver.port.view.getBigUint64(prp1, true) & 0xffff_ffff_ffffn), bytes[6]];
	};
	const set = (value: bigint) => {
		const prp1 = driver.take(PAGE);
		driver.port.view.setBigUint64(prp1, value, true);
		expect(driver.setFeature(FeatureId.TIMESTAMP, 0, { prp1 }).status).toBe(0);
	};

	test("counts from when the machine was switched on, and from what the host sets", () => {
		driver.clock.now = 1234n * MILLISECOND;
		expect(get()).toEqual([1234, 0]);
		set(1_700_000_000_000n);
		driver.clock.now += 56n * MILLISECOND;
		expect(get()).toEqual([1_700_000_000_056, 2]);
	});

	test("goes on over a controller reset, and wraps after 48 bits", () => {
		set(2n ** 48n - 1n);
		driver.disable();
		driver.enable();
		driver.clock.now += 3n * MILLISECOND;
		expect(get()).toEqual([2, 2]);
	});

	test("can't be had where the IOMMU refuses it", () => {
		const more = { prp1: 0x7000_0000 };
		expect([
			driver.getFeature(FeatureId.TIMESTAMP, more),
			driver.setFeature(FeatureId.TIMESTAMP, 0, more),
		]).toMatchObject(Array(2).fill({ status: Status.DATA_TRANSFER_ERROR, doNotRetry: false }));
	});
});

test("the host's identifier has 64 or 128 bits", () => {
	const prp1 = driver.take(PAGE);
	driver.bytes(prp1, 16).set(Array.from({ length: 16 }, (_, index) => index + 1));
	expect(driver.setFeature(FeatureId.HOST_IDENTIFIER, 1, { prp1 }).status).toBe(0);
	driver.bytes(prp1, 16).fill(0);
	expect(driver.getFeature(FeatureId.HOST_IDENTIFIER, { prp1 }).status).toBe(0);
	expect([...driver.bytes(prp1, 16)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
	driver.getFeature(FeatureId.HOST_IDENTIFIER, { prp1, dword11: 1 });
	expect(driver.bytes(prp1, 16)[15]).toBe(16);
	driver.setFeature(FeatureId.HOST_IDENTIFIER, 0, { prp1 });
	driver.getFeature(FeatureId.HOST_IDENTIFIER, { prp1, dword11: 1 });
	expect(driver.bytes(prp1, 16)[15]).toBe(0);
});
