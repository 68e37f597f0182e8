// Reads and writes at positions, as a program makes them, and the eventfds by which it hears of what they did.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";

const EINVAL = -22;
const EFAULT = -14;
const EBADF = -9;
const EOPNOTSUPP = -95;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("registers are written and read where they are few bytes, and where only a device has anything", async () => {
	const { answer, outcome } = await asClient((client) => {
		const fd = client.open("/dev/vfio/devices/vfio0", client.O_RDWR);
		const bytes = new Uint8Array(8192);
		bytes.set(Buffer.from("register"));
		const far = 2 ** 40;
		const done = [client.pwrite(fd, bytes, 8, 16), client.pwrite(fd, bytes, 8, far + 24)];
		bytes.fill(0);
		done.push(client.pread(fd, bytes, 511, 16), client.pread(fd, bytes, 8192, far));
		return { done, text: Buffer.from(bytes).toString("latin1", 16, 32) };
	});
	expect(answer).toEqual({ done: [8, 8, 511, 8192], text: "registerregister" });
	expect(outcome.report?.calls).toBe(5);
});

test("a vector of buffers is filled one after the other, until one isn't", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/vfio/devices/vfio0", client.O_RDWR);
		const bytes = new Uint8Array(16);
		client.pwrite(fd, new Uint8Array(Buffer.from("the end.")), 8, 8184);
		const at = BigInt(client.addressOf(bytes));
		const vector = new BigUint64Array([at, 4n, at + 8n, 8n, at, 1n]);
		return [client.preadv(fd, vector, 3, 2 ** 40 + 8184), Buffer.from(bytes).toString("latin1")];
	});
	expect(answer).toEqual([8, "the \0\0\0\0end.\0\0\0\0"]);
});

test("preadv2 and pwritev2 do the same, and know no flag that means anything here", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/vfio/devices/vfio0", client.O_RDWR);
		const bytes = new Uint8Array(Buffer.from("register"));
		const at = BigInt(client.addressOf(bytes));
		const vector = new BigUint64Array([at, 4n, at + 4n, 4n]);
		const [far, RWF_HIPRI, RWF_NOWAIT] = [2 ** 40 + 16, 1, 8];
		const done = [client.pwritev2(fd, vector, 2, far, 0)];
		bytes.fill(0);
		done.push(client.preadv2(fd, vector, 2, far, RWF_HIPRI), client.preadv2(fd, vector, 2, far, RWF_NOWAIT));
		done.push(client.preadv2(fd, new BigUint64Array([at, 0n]), 1, far, RWF_NOWAIT));
		return { done, text: Buffer.from(bytes).toString() };
	});
	expect(answer).toEqual({ done: [8, 8, EOPNOTSUPP, 0], text: "register" });
});

test("what can't be read or written is an errno", async () => {
	const { answer } = await asClient((client) => {
		const { open, pread, pwrite } = client;
		const path = "/dev/vfio/devices/vfio0";
		const [fd, reading, writing] = [2, 0, 1].map((mode) => open(path, mode));
		const bytes = new Uint8Array(8);
		const refused = [pread(writing, bytes, 4, 0), pwrite(reading, bytes, 4, 0), pread(99, bytes, 4, 0)];
		const outside = [pread(fd, bytes, 4, 9000), pread(fd, bytes, 4, -1), client.syscall(17, fd, 16, 4, 0)];
		return { refused, outside: process.arch === "x64" ? outside : outside.slice(0, 2) };
	});
	expect(answer.refused).toEqual([EBADF, EBADF, EBADF]);
	expect(answer.outside).toEqual([EINVAL, EINVAL, EFAULT].slice(0, answer.outside.length));
});

test("other files are read and written by the kernel, however they are", async () => {
	const { answer, outcome } = await asClient((client) => {
		const fd = client.temporaryFile(4096);
		const bytes = new Uint8Array(Buffer.from("text"));
		const done = [client.pwrite(fd, bytes, 4, 100), client.pread(fd, bytes, 4, 2 ** 41)];
		bytes.fill(0);
		return [...done, client.pread(fd, bytes, 4, 100), Buffer.from(bytes).toString()];
	});
	expect(answer).toEqual([4, 0, 4, "text"]);
	expect(outcome.report?.calls).toBe(0);
});

test("an eventfd is signalled, and is known from other files", async () => {
	const { answer } = await asClient((client) => {
		const { ask, poll } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const [eventfd, memfd] = [client.eventfd(0, 0), client.memfdCreate("memory", 0)];
		const polled = [poll(eventfd)];
		for (let i = 0; i < 3; i++) ask(fd, { what: "signal", fd: eventfd });
		polled.push(poll(eventfd));
		const bytes = new Uint8Array(8);
		client.read(eventfd, bytes, 8);
		const kinds = [eventfd, memfd, fd].map((fd_) => ask(fd, { what: "file", fd: fd_ }) ?? "none");
		return { polled, count: bytes[0], kind: kinds[0], memfd: typeof kinds[1], own: kinds[2] };
	});
	expect(answer).toEqual({ polled: [4, 5], count: 3, kind: "eventfd", memfd: "object", own: "ours" });
});

test("an eventfd that is full makes nobody wait", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const eventfd = client.eventfd(0, 0);
		client.write(eventfd, new Uint8Array(8).fill(0xff, 0, 8).fill(0xfe, 0, 1), 8);
		client.ask(fd, { what: "signal", fd: eventfd });
		return client.poll(eventfd);
	});
	expect(answer).toBe(1);
});

test("an eventfd that a program signals is heard while the program makes no calls that we see", async () => {
	const { answer } = await asClient(async (client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const [one, other] = [client.eventfd(0, 0), client.eventfd(0, 0)];
		client.ask(fd, { what: "answer", fd: one, to: other });
		const bytes = new Uint8Array(new BigUint64Array([1n]).buffer);
		const heard = [];
		for (let i = 0; i < 3; i++) {
			client.write(one, bytes, 8);
			const into = new Uint8Array(8);
			heard.push(client.read(other, into, 8), into[0]); // waits
		}
		return { heard, left: client.poll(one) & 1 };
	});
	expect(answer).toEqual({ heard: [8, 1, 8, 1, 8, 1], left: 0 });
});

test("an eventfd that a program signals is heard before the next call that it makes", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const [one, other] = [client.eventfd(0, 0), client.eventfd(0, 0)];
		client.ask(fd, { what: "answer", fd: one, to: other });
		const [signal, into] = [new Uint8Array(new BigUint64Array([1n]).buffer), new Uint8Array(8)];
		let late = 0;
		for (let i = 0; i < 500; i++) {
			client.write(one, signal, 8);
			client.ask(fd, { what: "who" });
			if ((client.poll(other) & client.POLLIN) === 0) late++;
			client.read(other, into, 8);
		}
		return late;
	});
	expect(answer).toBe(0);
});
