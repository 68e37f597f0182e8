// Who makes a call: processes and threads that come and go, change their program or their user, and get each other's numbers.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, asNobody, buildHarness, isRoot } from "../testing/harness.testing.js";
import type { Who } from "../testing/questions.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a caller is a thread, its memory and its limits are its process's", async () => {
	const { answer } = await asClient(async ({ open, ask, inThread, gettid, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const here = { ...ask<Who>(fd, { what: "who" }), tid: gettid() };
		const there = await inThread(({ ask, gettid }, fd) => ({ ...ask<Who>(fd, { what: "who" }), tid: gettid() }), fd);
		return { here, there };
	});
	const { here, there } = answer;
	expect(here.thread).toBe(here.tid);
	expect(there.thread).toBe(there.tid);
	expect(there.thread).not.toBe(here.thread);
	expect([there.memory, there.owner]).toEqual([here.memory, here.owner]);
});

test("a child has memory and limits of its own", async () => {
	const { answer } = await asClient(({ open, ask, inChild, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const mine = ask<Who>(fd, { what: "who" });
		const child = () => inChild(({ ask }) => ask<Who>(3, { what: "who" }), null, ["ignore", "pipe", "inherit", fd]);
		return [mine, child(), child()].map(({ file, memory, owner }) => [file, memory, owner]);
	});
	expect(answer).toEqual([
		[1, 0, 1],
		[1, 2, 3],
		[1, 4, 5],
	]);
});

test("a process that replaces its program has another memory, and stays the owner that it was", async () => {
	const { answer } = await asClient(({ open, ask, becomeProgram, O_RDWR }): Who[] => {
		const fd = open("/dev/iommu", O_RDWR);
		const before = [ask<Who>(fd, { what: "who" }), ask<Who>(fd, { what: "who" })];
		return becomeProgram(
			({ ask }, { fd, before }) => [...before, ask<Who>(fd, { what: "who" }), ask<Who>(fd, { what: "who" })],
			{ fd, before },
		);
	});
	expect(answer.map(({ memory }) => memory)).toEqual([0, 0, 2, 2]);
	expect(answer.map(({ owner }) => owner)).toEqual([1, 1, 1, 1]);
	expect(answer.map(({ thread }) => thread)).toEqual(Array(4).fill(answer[0].thread));
});

test("a thread that we have never heard of can replace its process's program", async () => {
	const { answer } = await asClient(({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const before = ask<Who>(fd, { what: "who" });
		return inThread(
			({ becomeProgram }, input): Who[] =>
				becomeProgram(({ ask }, { fd, before }) => [before, ask<Who>(fd, { what: "who" })], input),
			{ fd, before },
		);
	});
	expect(answer.map(({ memory }) => memory)).toEqual([0, 2]);
	expect(answer[1]).toMatchObject({ thread: answer[0].thread, owner: answer[0].owner, alive: true });
});

test("a program that could not be replaced keeps its memory", async () => {
	const { answer } = await asClient(({ open, ask, exec, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const before = ask<Who>(fd, { what: "who" });
		const failed = exec("/nonexistent");
		return { failed, before: before.memory, after: ask<Who>(fd, { what: "who" }).memory };
	});
	expect(answer).toEqual({ failed: -2, before: 0, after: 0 });
});

test.runIf(isRoot)(
	"who gives up its privileges has no capabilities and another user from the next call on",
	async () => {
		const { answer } = await asClient(({ open, ask, setresuid, O_RDWR }) => {
			const fd = open("/dev/iommu", O_RDWR);
			const before = ask<Who>(fd, { what: "who" });
			setresuid(65534, 65534, 65534);
			return { before, after: ask<Who>(fd, { what: "who" }) };
		});
		expect(answer.before).toMatchObject({ uid: 0, ipcLock: true });
		expect(answer.after).toMatchObject({ uid: 65534, ipcLock: false });
	},
);

test.skipIf(isRoot)("an ordinary user has no capabilities", async () => {
	const { answer } = await asClient(({ open, ask, O_RDWR }) => ask<Who>(open("/dev/iommu", O_RDWR), { what: "who" }));
	expect(answer.ipcLock).toBe(false);
});

test.runIf(isRoot)("an ordinary user is served too, without root's rights", async () => {
	const { answer, outcome } = await asClient(
		({ open, ask, O_RDWR }) => ask<Who>(open("/dev/iommu", O_RDWR), { what: "who" }),
		null,
		asNobody,
	);
	expect(answer).toMatchObject({ uid: 65534, ipcLock: false, alive: true });
	expect(outcome.report).toMatchObject({ calls: 2, errors: [], leftovers: [] });
});

test("RLIMIT_MEMLOCK is what it is at the time of asking", async () => {
	const { answer } = await asClient(({ open, ask, setSoftLimit, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		return [65536, 4096].map((limit) => {
			setSoftLimit(8, limit, 65536);
			return ask<Who>(fd, { what: "who" }).memlock;
		});
	});
	expect(answer).toEqual([65536, 4096]);
});

test("what a process has locked itself is known, whichever of its threads asks and however it is locked", async () => {
	const { answer } = await asClient(async ({ open, ask, mmap, mlock, munmap, inThread, ...client }) => {
		const fd = open("/dev/iommu", client.O_RDWR);
		const { PROT_READ, MAP_PRIVATE, MAP_ANONYMOUS } = client;
		const locked = () => ask<Who>(fd, { what: "who" }).locked;
		const before = locked();
		const byFlag = mmap(0x3000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x2000);
		const mapped = locked();
		const byCall = mmap(0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
		mlock(byCall, 0x1000);
		const there = await inThread(({ ask }, fd) => ask<Who>(fd, { what: "who" }).locked, fd);
		munmap(byFlag, 0x3000);
		return [before, mapped, there, locked()];
	});
	expect(answer).toEqual([0, 3, 4, 1]);
});

test("thread ids that are used again don't confuse us", async () => {
	// Each child is a process of its own, and gone before the next; with a small range of numbers they come back.
	const { answer } = await asClient(({ open, inChild, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const stdio = ["ignore", "pipe", "inherit", fd] as const;
		return Array.from({ length: 12 }, () =>
			inChild(({ ask }) => ask<Who>(3, { what: "who" }).memory, null, [...stdio]),
		);
	});
	expect(new Set(answer).size).toBe(12);
});
