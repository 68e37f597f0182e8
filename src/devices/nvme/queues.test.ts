import { expect, test } from "vitest";
import { AdminOpcode } from "./admin.js";
import { PAGE, readOf, TestDriver } from "./driver.testing.js";
import { FeatureId } from "./features.js";
import { NvmOpcode } from "./nvm.js";

const flush = (id?: number) => ({ opcode: NvmOpcode.FLUSH, namespace: 1, ...(id === undefined ? {} : { id }) });

test("a queue's entries are used again and again, with the other phase each time", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1, 3);
	const seen: number[] = [];
	for (let i = 0; i < 20; i++) seen.push(driver.do(1, flush(i)).submissionHead);
	expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => (i + 1) % 3));
});

test("several commands are completed in their order, across the end of the ring", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1, 16);
	const ids: number[] = [];
	for (let round = 0; round < 10; round++) {
		driver.submit(1, ...Array.from({ length: 11 }, (_, i) => flush(round * 11 + i)));
		driver.run();
		ids.push(...driver.poll(1).map(({ commandId }) => commandId));
	}
	expect(ids).toEqual(Array.from({ length: 110 }, (_, i) => i));
});

test("a command waits as long as its completion queue is full", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createCompletionQueue(1, 4);
	driver.createSubmissionQueue(1, 16, 1);
	const page = driver.take(PAGE);
	driver.submit(1, ...Array.from({ length: 10 }, () => readOf(0, 8, page)));
	const counts: number[] = [];
	for (let i = 0; i < 5; i++) {
		driver.run();
		counts.push(driver.poll(1).length);
	}
	expect(counts).toEqual([3, 3, 3, 1, 0]);
});

test("two submission queues can share a completion queue, and its entries say whose they are", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createCompletionQueue(1, 16);
	driver.createSubmissionQueue(1, 4, 1);
	driver.createSubmissionQueue(2, 4, 1);
	driver.submit(2, flush(7));
	driver.submit(1, flush(7));
	driver.run();
	expect(driver.poll(1).map(({ submissionId, commandId }) => [submissionId, commandId])).toEqual([
		[1, 7],
		[2, 7],
	]);
});

test("queues take turns, as many commands at a time as the arbitration burst says", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createCompletionQueue(1, 64);
	driver.createSubmissionQueue(1, 16, 1);
	driver.createSubmissionQueue(2, 16, 1);
	driver.createSubmissionQueue(3, 16, 1);
	driver.setFeature(FeatureId.ARBITRATION, 1);
	for (const id of [1, 2]) driver.submit(id, ...Array.from({ length: 4 }, () => flush()));
	driver.submit(3, flush());
	driver.run();
	expect(driver.poll(1).map(({ submissionId }) => submissionId)).toEqual([1, 1, 2, 2, 3, 1, 1, 2, 2]);
});

test("an event that comes while the admin completion queue is full is told when there is room", () => {
	const driver = new TestDriver();
	driver.enable(4);
	const request = { opcode: AdminOpcode.ASYNCHRONOUS_EVENT_REQUEST, id: 100 };
	driver.submit(0, request);
	driver.run();
	driver.submit(0, ...[1, 2, 3].map((id) => ({ opcode: AdminOpcode.GET_FEATURES, dword10: 1, id })));
	driver.run();
	driver.ring(9, false, 1);
	driver.run();
	expect(driver.poll(0).map(({ commandId }) => commandId)).toEqual([1, 2, 3]);
	driver.run();
	expect(driver.poll(0).map(({ commandId }) => commandId)).toEqual([100]);
});

test("the oldest of several entries is written last, so that whoever sees it can take the others", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createCompletionQueue(1, 8);
	driver.createSubmissionQueue(1, 16, 1);
	driver.submit(1, ...[0, 1, 2, 3, 4].map(() => flush()));
	driver.run();
	driver.poll(1);
	const writes: [bigint, number][] = [];
	const write = driver.port.writeMemory.bind(driver.port);
	driver.port.writeMemory = (iova, from, pasid) => {
		writes.push([iova, from.length]);
		return write(iova, from, pasid);
	};
	driver.submit(1, ...[0, 1, 2, 3, 4].map(() => flush()));
	driver.run();
	const start = BigInt(driver.completion.get(1)!.page);
	// Entries 5, 6, 7, 0 and 1.
	expect(writes).toEqual([
		[start, 32],
		[start + 6n * 16n, 32],
		[start + 5n * 16n, 16],
	]);
	expect(driver.poll(1)).toHaveLength(5);
});

test("several commands are fetched at once", () => {
	const driver = new TestDriver();
	driver.enable();
	driver.createQueues(1, 64);
	const reads: number[] = [];
	const read = driver.port.readMemory.bind(driver.port);
	driver.port.readMemory = (iova, into, pasid) => {
		reads.push(into.length);
		return read(iova, into, pasid);
	};
	driver.submit(1, ...Array.from({ length: 40 }, () => flush()));
	driver.run();
	expect(reads).toEqual([32 * 64, 8 * 64]);
});
