// Who makes a call: processes and threads that come, go, change their program or their user, and get each other's numbers.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, asNobody, buildHarness, isRoot } from "./harness.testing.js";
import type { Who } from "./questions.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a caller has its own thread id, the memory and the limits are its process's", async () => {
	const { answer } = await asClient(async (client) => {
		const { open, ask, inThread, gettid } = client;
		const fd = open("/dev/iommu", client.O_RDWR);
		const here = ask<Who>(fd, { what: "who" });
		const there = await inThread(({ ask, gettid }, fd) => ({ ...ask<Who>(fd, { what: "who" }), tid: gettid() }), fd);
		return { here: { ...here, tid: gettid() }, there };
	});
	const { here, there } = answer;
	expect(here.thread).toBe(here.tid);
	expect(there.thread).toBe(there.tid);
	expect(there.thread).not.toBe(here.thread);
	expect([there.memory, there.owner]).toEqual([here.memory, here.owner]);
});

test("a child has a memory of its own, and so has the program that replaces it", async () => {
	const { answer } = await asClient(({ open, ask, inChild, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const inherited = ["ignore", "pipe", "inherit", fd] as const;
		const mine = ask<Who>(fd, { what: "who" });
		const one = inChild(({ ask }) => ask<Who>(3, { what: "who" }), null, [...inherited]);
		const other = inChild(({ ask }) => ask<Who>(3, { what: "who" }), null, [...inherited]);
		return [mine, one, other].map(({ file, memory, owner }) => [file, memory, owner]);
	});
	expect(answer).toEqual([
		[1, 0, 1],
		[1, 2, 3],
		[1, 4, 5],
	]);
});

test("a process that replaces its program has another memory, and its limits stay its own", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/dev/iommu", client.O_RDWR);
		const body = ({ ask }: typeof client) => ask<Who>(3, { what: "who" });
		// A child, because the result comes over stdout.
		return client.inChild(
			({ ask, execNode }, next) => {
				execNode(next, [ask<Who>(3, { what: "who" })]);
			},
			client.codeFor(
				({ ask }, [before]: Who[]) => [before, ask<Who>(3, { what: "who" })],
				null,
			),
			["ignore", "pipe", "inherit", fd],
		);
	});
	expect(answer).toBe(0);
});
