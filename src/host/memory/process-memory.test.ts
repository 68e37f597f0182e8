// What the pages of a program are, and how their bytes are reached.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, asNobody, buildHarness, isRoot } from "../testing/harness.testing.js";
import type { Stretch } from "../testing/questions.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

const EFAULT = -14;

test("private memory is its process's, and a page's number is that of its address", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const address = mmap(3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
		const [{ page, ...found }] = ask<Stretch[]>(fd, { what: "resolve", address, pages: 3, writable: true });
		client.memoryAt(address, 4096).write("hello");
		const there = ask<string>(fd, { what: "read", backing: found.backing, at: address, length: 5 });
		ask(fd, { what: "write", backing: found.backing, at: address + 2, text: "y" });
		const back = client.memoryAt(address, 5).toString();
		return { found, pageIsAddress: page === address / 4096, there, back };
	});
	expect(answer).toMatchObject({ found: { backing: 0, count: 3 }, pageIsAddress: true, there: "hello", back: "heylo" });
	expect(answer.found.name).toMatch(/^memory of process \d+$/);
});

test("what isn't mapped, or not readable, or not writable when it should be, is EFAULT", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, mprotect, munmap, PROT_READ, PROT_WRITE, PROT_NONE, MAP_PRIVATE, MAP_ANONYMOUS } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const address = mmap(4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
		const resolve = (page: number, pages: number, writable: boolean) => {
			const found = ask<Stretch[] | number>(fd, { what: "resolve", address: address + page * 4096, pages, writable });
			return typeof found === "number" ? found : "found";
		};
		mprotect(address + 4096, 4096, PROT_READ);
		mprotect(address + 2 * 4096, 4096, PROT_NONE);
		munmap(address + 3 * 4096, 4096);
		return [resolve(0, 2, false), resolve(0, 1, true), resolve(0, 2, true), resolve(2, 1, false), resolve(3, 1, false)];
	});
	expect(answer).toEqual(["found", "found", EFAULT, EFAULT, EFAULT]);
});

test("a shared file's page is the same through each mapping, in each process, and through an fd", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, inChild, PROT_READ, PROT_WRITE, MAP_SHARED } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const memfd = client.memfdCreate("guest-ram", 0);
		client.ftruncate(memfd, 8 * 4096);
		const whole = mmap(8 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd);
		const part = mmap(2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 3 * 4096);
		const child = inChild(
			({ ask, mmap }) =>
				ask<Stretch[]>(3, { what: "resolve", address: mmap(4096, 3, 1, 4, 4 * 4096), pages: 1, writable: true }),
			null,
			["ignore", "pipe", "inherit", fd, memfd],
		);
		return [
			...ask<Stretch[]>(fd, { what: "resolve", address: whole, pages: 8, writable: true }),
			...ask<Stretch[]>(fd, { what: "resolve", address: part, pages: 2 }),
			...child,
			ask<object>(fd, { what: "file", fd: memfd }),
		];
	});
	expect(answer).toEqual([
		{ backing: 0, name: "memfd:guest-ram", page: 0, count: 8 },
		{ backing: 0, name: "memfd:guest-ram", page: 3, count: 2 },
		{ backing: 0, name: "memfd:guest-ram", page: 4, count: 1 },
		{ backing: 0, name: "memfd:guest-ram", size: 8 * 4096, mayWrite: true },
	]);
});

test("a range over several mappings is several stretches", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmapAt, PROT_READ, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS, MAP_FIXED } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const memfd = client.memfdCreate("ram", 0);
		client.ftruncate(memfd, 16 * 4096);
		const address = mmapAt(0, 4 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mmapAt(address + 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, 5 * 4096);
		mmapAt(address + 2 * 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, 6 * 4096);
		const found = ask<Stretch[]>(fd, { what: "resolve", address, pages: 4 });
		return found.map(({ backing, page, count }) => [backing, page < 16 ? page : page - address / 4096, count]);
	});
	expect(answer).toEqual([
		[0, 0, 1],
		[1, 5, 2],
		[0, 3, 1],
	]);
});

test("shared memory is reached after the program has unmapped and closed it", async () => {
	const { answer } = await asClient((client) => {
		const { ask } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const memfd = client.memfdCreate("ram", 0);
		client.ftruncate(memfd, 4096);
		const address = client.mmap(4096, 3, client.MAP_SHARED, memfd);
		client.memoryAt(address, 4096).write("still here");
		ask(fd, { what: "resolve", address, pages: 1, writable: true });
		client.munmap(address, 4096);
		client.close(memfd);
		const wrote = ask<number>(fd, { what: "write", backing: 0, at: 0, text: "STILL" });
		const beyond = ask<number>(fd, { what: "write", backing: 0, at: 4094, text: "long" });
		return { wrote, beyond, text: ask<string>(fd, { what: "read", backing: 0, at: 0, length: 10 }) };
	});
	expect(answer).toEqual({ wrote: 5, beyond: 2, text: "STILL here" });
});

const whoCanFollow = [
	{ who: "root", before: [], applies: isRoot, afterUnmap: "\0<>\0" },
	{ who: "an ordinary user", before: isRoot ? asNobody : [], applies: true, afterUnmap: "\0<" },
];

for (const { who, before, applies, afterUnmap } of whoCanFollow) {
	test.runIf(applies)(`${who} shares memory that never had an fd`, async () => {
		const { answer } = await asClient(
			(client) => {
				const { ask, mmap, munmap, memoryAt, MAP_SHARED, MAP_ANONYMOUS } = client;
				const fd = client.open("/dev/iommu", client.O_RDWR);
				const address = mmap(2 * 4096, 3, MAP_SHARED | MAP_ANONYMOUS);
				memoryAt(address, 4096).write("shared");
				const found = ask<Stretch[]>(fd, { what: "resolve", address, pages: 2, writable: true });
				const read = ask<string>(fd, { what: "read", backing: 0, at: 0, length: 6 });
				ask(fd, { what: "write", backing: 0, at: 4095, text: "<>" });
				const written = memoryAt(address + 4095, 2).toString();
				munmap(address + 4096, 4096);
				const afterUnmap = ask<string>(fd, { what: "read", backing: 0, at: 4094, length: 4 });
				return { found: found.map(({ page, count }) => [page, count]), read, written, afterUnmap };
			},
			null,
			before,
		);
		// Linux would keep the page for whoever has pinned it; only root has a way to do that here.
		expect(answer).toEqual({ found: [[0, 2]], read: "shared", written: "<>", afterUnmap });
	});
}

test("a device must not write to a file on a disk, because nobody would write that to the disk", async () => {
	const { answer } = await asClient((client) => {
		const { ask, mmap, MAP_SHARED } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const file = client.temporaryFile(4096);
		const address = mmap(4096, 3, MAP_SHARED, file);
		return {
			reading: ask<Stretch[]>(fd, { what: "resolve", address, pages: 1 }).length,
			writing: ask<number>(fd, { what: "resolve", address, pages: 1, writable: true }),
			file: ask(fd, { what: "file", fd: file }),
		};
	});
	expect(answer).toEqual({ reading: 1, writing: EFAULT, file: "other" });
});

test("the memory of a process that has ended is gone, and reads as nothing", async () => {
	const { answer } = await asClient((client) => {
		const { ask, inChild } = client;
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const address = inChild(
			({ ask, mmap, memoryAt }) => {
				const address = mmap(4096, 3, 0x22);
				memoryAt(address, 4096).write("mine");
				ask<Stretch[]>(3, { what: "resolve", address, pages: 1 });
				return address;
			},
			null,
			["ignore", "pipe", "inherit", fd],
		);
		return ask(fd, { what: "read", backing: 0, at: address, length: 4 });
	});
	expect(answer).toBe("");
});

test("our fds for shared memory are closed when nobody uses it any more", async () => {
	const { answer } = await asClient(async (client) => {
		const { ask, open, close } = client;
		const memfd = client.memfdCreate("short-lived", 0);
		client.ftruncate(memfd, 4096);
		const fd = open("/dev/iommu", client.O_RDWR);
		const ours = () => {
			close(open("/dev/iommu", client.O_RDWR));
			ask(fd, { what: "settle" });
			return client.supervisorsFds("short-lived");
		};
		ask(fd, { what: "file", fd: memfd });
		const held = ours();
		ask(fd, { what: "forget" });
		const seen = [held, ours()];
		// Also without anything being closed, after a while.
		ask(fd, { what: "file", fd: memfd });
		ask(fd, { what: "forget" });
		for (let i = 0; i < 256; i++) ask(fd, { what: "totals" });
		return [...seen, client.supervisorsFds("short-lived")];
	});
	expect(answer).toEqual([1, 0, 0]);
});
