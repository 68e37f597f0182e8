import { beforeEach, describe, expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { ENABLE, expectSuccess, TestDriver } from "./driver.testing.js";
import { FeatureId } from "./features.js";
import { NvmOpcode } from "./nvm.js";
import { NvmeRegister } from "./registers.js";
import { Status } from "./status.js";

let driver: TestDriver;
const RING = 0x10000;

beforeEach(() => {
	driver = new TestDriver();
	driver.enable();
});

/** Creates a queue as asked for. @returns the status */
function create(kind: "SUBMISSION" | "COMPLETION", id: number, size: number, high = 1, flags = 1, prp1 = RING): number {
	const dword10 = (id | ((size - 1) << 16)) >>> 0;
	const dword11 = ((high << 16) | flags) >>> 0;
	return driver.admin({ opcode: AdminOpcode[`CREATE_${kind}_QUEUE`], prp1, dword10, dword11 }).status;
}

function remove(kind: "SUBMISSION" | "COMPLETION", id: number): number {
	return driver.admin({ opcode: AdminOpcode[`DELETE_${kind}_QUEUE`], dword10: id }).status;
}

describe("a completion queue", () => {
	test.each([
		["number 0", [0, 16], Status.INVALID_QUEUE_IDENTIFIER],
		["a number beyond those that there are", [65, 16], Status.INVALID_QUEUE_IDENTIFIER],
		["one entry", [1, 1], Status.INVALID_QUEUE_SIZE],
		["more entries than MQES", [1, 2049], Status.INVALID_QUEUE_SIZE],
		["a vector beyond those that there are", [1, 16, 65], Status.INVALID_INTERRUPT_VECTOR],
		["pages here and there", [1, 16, 0, 0], Status.INVALID_FIELD],
		["no page of its own", [1, 16, 0, 1, RING + 64], Status.PRP_OFFSET_INVALID],
	] as const)("can't be created with %s", (_, parameters, status) => {
		const [id, size, ...rest] = parameters;
		expect(create("COMPLETION", id, size, ...rest)).toBe(status);
	});

	test("can have all entries that MQES allows, and the last vector", () => {
		expect(create("COMPLETION", 64, 2048, 64)).toBe(Status.SUCCESS);
	});

	test("can't be created twice", () => {
		expect([create("COMPLETION", 1, 16), create("COMPLETION", 1, 16)]).toEqual([0, Status.INVALID_QUEUE_IDENTIFIER]);
	});

	test("can't be deleted while a submission queue uses it, nor when it isn't there", () => {
		create("COMPLETION", 1, 16);
		create("SUBMISSION", 2, 16, 1);
		expect(remove("COMPLETION", 1)).toBe(Status.INVALID_QUEUE_DELETION);
		expect(remove("SUBMISSION", 2)).toBe(0);
		expect(remove("COMPLETION", 1)).toBe(0);
		expect([0, 1, 65, 0xffff].map((id) => remove("COMPLETION", id))).toEqual(
			Array(4).fill(Status.INVALID_QUEUE_IDENTIFIER),
		);
	});

	test("that is deleted asserts no pin any more", () => {
		driver.createQueues(1, 16, { vector: 1, interrupts: true });
		driver.submit(1, { opcode: NvmOpcode.FLUSH, namespace: 1 });
		driver.run();
		expectSuccess(driver.admin({ opcode: AdminOpcode.DELETE_SUBMISSION_QUEUE, dword10: 1 }));
		expectSuccess(driver.admin({ opcode: AdminOpcode.DELETE_COMPLETION_QUEUE, dword10: 1 }));
		driver.poll(0);
		expect(driver.port.isAsserted).toBe(false);
	});
});

describe("a submission queue", () => {
	beforeEach(() => {
		create("COMPLETION", 1, 16);
	});

	test.each([
		["number 0", [0, 16], Status.INVALID_QUEUE_IDENTIFIER],
		["a number beyond those that there are", [65, 16], Status.INVALID_QUEUE_IDENTIFIER],
		["one entry", [1, 1], Status.INVALID_QUEUE_SIZE],
		["more entries than MQES", [1, 2049], Status.INVALID_QUEUE_SIZE],
		["the admin completion queue", [1, 16, 0], Status.INVALID_QUEUE_IDENTIFIER],
		["a completion queue that can't be", [1, 16, 65], Status.INVALID_QUEUE_IDENTIFIER],
		["a completion queue that isn't there", [1, 16, 2], Status.COMPLETION_QUEUE_INVALID],
		["pages here and there", [1, 16, 1, 0], Status.INVALID_FIELD],
		["no page of its own", [1, 16, 1, 1, RING + 64], Status.PRP_OFFSET_INVALID],
	] as const)("can't be created with %s", (_, parameters, status) => {
		const [id, size, ...rest] = parameters;
		expect(create("SUBMISSION", id, size, ...rest)).toBe(status);
	});

	test("can't be created twice, nor deleted when it isn't there", () => {
		expect([create("SUBMISSION", 1, 16), create("SUBMISSION", 1, 16)]).toEqual([0, Status.INVALID_QUEUE_IDENTIFIER]);
		expect([remove("SUBMISSION", 1), remove("SUBMISSION", 1), remove("SUBMISSION", 0)]).toEqual([
			0,
			Status.INVALID_QUEUE_IDENTIFIER,
			Status.INVALID_QUEUE_IDENTIFIER,
		]);
	});

	test("is deleted with what is under way in it", () => {
		driver = new TestDriver({ options: { size: "64M" } });
		driver.enable();
		driver.createQueues(1);
		driver.submit(1, { opcode: NvmOpcode.VERIFY, namespace: 1, dword12: 0xffff, id: 9 });
		driver.controller.work!();
		driver.submit(0, { opcode: AdminOpcode.DELETE_SUBMISSION_QUEUE, dword10: 1 });
		driver.run();
		expect(driver.poll(0)).toMatchObject([{ status: 0 }]);
		expect(driver.poll(1)).toMatchObject([{ commandId: 9, status: Status.ABORTED_SQ_DELETION, doNotRetry: false }]);
	});
});

test("there can be no more queues than were asked for", () => {
	driver.setFeature(FeatureId.NUMBER_OF_QUEUES, 1 | (2 << 16));
	expect([3, 4].map((id) => create("COMPLETION", id, 4))).toEqual([0, Status.INVALID_QUEUE_IDENTIFIER]);
	expect([2, 3].map((id) => create("SUBMISSION", id, 4, 3))).toEqual([0, Status.INVALID_QUEUE_IDENTIFIER]);
});

test("64 I/O queues of each kind can be", () => {
	driver = new TestDriver();
	driver.enable(64);
	for (let id = 1; id <= 64; id++) driver.createQueues(id, 4, { vector: id, interrupts: true });
	driver.port.interrupts.length = 0;
	for (let id = 1; id <= 64; id++) driver.submit(id, { opcode: NvmOpcode.FLUSH, namespace: 1 });
	driver.run();
	expect(driver.port.interrupts).toEqual(Array.from({ length: 64 }, (_, index) => index + 1));
	for (let id = 1; id <= 64; id++) expect(driver.poll(id)).toMatchObject([{ status: 0 }]);
});

test.each([
	["IOCQES", ENABLE & ~(15 << 20), "COMPLETION"],
	["IOSQES", ENABLE & ~(15 << 16), "SUBMISSION"],
] as const)("queues can't be created before CC.%s says how large their entries are", (_, cc, kind) => {
	driver = new TestDriver();
	driver.enable(16, cc);
	if (kind === "SUBMISSION") create("COMPLETION", 1, 16);
	expect(create(kind, 1, 16)).toBe(Status.INVALID_QUEUE_SIZE);
	driver.write32(NvmeRegister.CC, ENABLE);
	expect(create(kind, 1, 16)).toBe(0);
});
