// Queues as their clients have them: read, written, polled, duplicated, passed on, and released.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";
import type { Files } from "../testing/questions.testing.js";
import { QUEUE_FDS } from "../trap/filter.js";

const EINVAL = -22;
const EFAULT = -14;
const ESPIPE = -29;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("what the engine queues is polled and read, one after the other", async () => {
	const { answer, outcome } = await asClient((client) => {
		const { ask, poll, read } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const queue = ask<number>(fd, { what: "queue", writable: false });
		const bytes = new Uint8Array(new ArrayBuffer(8));
		const take = () => [read(queue, bytes, 8), Buffer.from(bytes).toString("latin1", 0, 3), poll(queue)];
		const seen = [poll(queue), ...take()];
		for (const text of ["one", "two"]) ask(fd, { what: "push", text });
		return { queue, closeOnExec: client.fcntl(queue, 1, 0), seen: [...seen, poll(queue), ...take(), ...take()] };
	});
	expect(answer.queue).toBe(QUEUE_FDS.first);
	expect(answer.closeOnExec).toBe(1);
	expect(answer.seen).toEqual([0, 0, "\0\0\0", 0, 1, 3, "one", 1, 3, "two", 0]);
	expect(outcome.report?.errors).toEqual([]);
});

test("a queue that takes answers is always writable, and gets what is written", async () => {
	const { answer } = await asClient((client) => {
		const { ask, poll, write, addressOf } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const queue = ask<number>(fd, { what: "queue", writable: true });
		const bytes = new Uint8Array(Buffer.from("answer"));
		const vector = new BigUint64Array([BigInt(addressOf(bytes)), 2n, BigInt(addressOf(bytes)) + 2n, 4n]);
		const polled = [poll(queue)];
		const done = [write(queue, bytes, 6), client.writev(queue, vector, 2)];
		ask(fd, { what: "push", text: "question" });
		polled.push(poll(queue));
		return { polled, done, written: ask(fd, { what: "written" }), mode: client.fcntl(queue, 3, 0) & 3 };
	});
	expect(answer).toEqual({ polled: [4, 5], done: [6, 6], written: ["answer", "an", "swer"], mode: 2 });
});

test("preadv2 and pwritev2 without a position are as readv and writev", async () => {
	const { answer } = await asClient((client) => {
		const { ask, preadv2, pwritev2 } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const queue = ask<number>(fd, { what: "queue", writable: true });
		for (const text of ["one", "two"]) ask(fd, { what: "push", text });
		const bytes = new Uint8Array(Buffer.from("answer"));
		const vector = new BigUint64Array([BigInt(client.addressOf(bytes)), 6n]);
		const done = [pwritev2(queue, vector, 1, -1, 0), preadv2(queue, vector, 1, -1, 0), preadv2(queue, vector, 1, 0, 0)];
		return { done, text: Buffer.from(bytes).toString("latin1", 0, 3), written: ask(fd, { what: "written" }) };
	});
	expect(answer).toEqual({ done: [6, 3, ESPIPE], text: "one", written: ["answer"] });
});

test("a read that can't be is the engine's errno, and takes nothing", async () => {
	const { answer } = await asClient((client) => {
		const { ask, read, readAt, addressOf } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const queue = ask<number>(fd, { what: "queue", writable: false });
		for (const text of ["one", "two"]) ask(fd, { what: "push", text });
		const bytes = new Uint8Array(new ArrayBuffer(8));
		const pread = client.syscall(process.arch === "x64" ? 17 : 67, queue, addressOf(bytes), 8, 0);
		const failed = [read(queue, bytes, 2), readAt(queue, 16, 8), readAt(queue, 2 ** 47, 8), pread];
		failed.push(client.write(queue, bytes, 8), client.readv(queue, new BigUint64Array(2), -1));
		const at = BigInt(addressOf(bytes));
		return {
			failed,
			nothing: client.readv(queue, new BigUint64Array([0n, 0n]), 1),
			rest: [client.readv(queue, new BigUint64Array([at, 3n, at + 3n, 5n]), 2), client.poll(queue)],
		};
	});
	expect(answer.failed).toEqual([EINVAL, EFAULT, EFAULT, ESPIPE, EINVAL, EINVAL]);
	expect(answer.nothing).toBe(0);
	expect(answer.rest).toEqual([6, 0]);
});

test("a queue goes on working in a duplicate and in a child, and is released with the last", async () => {
	const { answer } = await asClient((client) => {
		const { ask, dup, fcntl, close, read } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const queue = ask<number>(fd, { what: "queue", writable: true });
		const copies = [dup(queue), fcntl(queue, 0, 1000), fcntl(queue, 1030, 0)];
		const flags = copies.map((copy) => fcntl(copy, 1, 0));
		for (const text of ["one", "two"]) ask(fd, { what: "push", text });
		const bytes = new Uint8Array(new ArrayBuffer(8));
		const own = [copies[0], copies[1], queue].map((copy) => read(copy, bytes, 8));
		for (const each of [queue, copies[0], copies[1]]) close(each);
		const before = ask<Files>(fd, { what: "settle" });
		close(copies[2]);
		return { copies, flags, own, before, after: ask<Files>(fd, { what: "settle" }) };
	});
	const { first } = QUEUE_FDS;
	expect(answer.copies).toEqual([first + 1, 1000, first + 2]);
	expect(answer.flags).toEqual([0, 0, 1]);
	expect(answer.own).toEqual([3, 3, 0]);
	expect(answer.before).toEqual({ open: [1, 2], released: [] });
	expect(answer.after).toEqual({ open: [1], released: [2] });
});

test("what else a program has at a number that queues have is its own", async () => {
	const { answer } = await asClient((client) => {
		const { ask, dup2, read, write } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const memfd = client.memfdCreate("mine", 0);
		dup2(memfd, 768);
		const queue = ask<number>(fd, { what: "queue", writable: false });
		const bytes = new Uint8Array(Buffer.from("mine"));
		const own = [write(768, bytes, 4), client.dup(768) < 768, read(768, bytes, 4), client.fcntl(768, 1, 0)];
		return { queue, own, iommu: [dup2(fd, 769), read(769, bytes, 4)] };
	});
	expect(answer).toEqual({ queue: 769, own: [4, true, 0, 0], iommu: [769, 0] });
});

test("where RLIMIT_NOFILE is lower a queue gets any number, and can be polled", async () => {
	const { answer } = await asClient((client) => {
		const { ask, poll } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		client.setSoftLimit(7, 256, 256);
		const queue = ask<number>(fd, { what: "queue", writable: false });
		ask(fd, { what: "push", text: "one" });
		return [queue < 256, poll(queue)];
	});
	expect(answer).toEqual([true, 1]);
});

test("queues that are left when everybody ends are released", async () => {
	const { outcome } = await asClient((client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		for (let i = 0; i < 300; i++) client.ask(fd, { what: "queue", writable: i % 2 === 0 });
	});
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [] });
});
