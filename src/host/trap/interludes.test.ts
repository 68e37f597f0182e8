// A call that takes long, and others that are answered within it.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Body } from "../testing/client.testing.js";
import { asClient, buildHarness } from "../testing/harness.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("others are answered within a call that takes long, and it goes on where it was", async () => {
	const { answer, outcome } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const works = inThread(({ ask }, fd) => ask<boolean>(fd, { what: "work", gate: "a" }), fd);
		while (ask<number>(fd, { what: "working" }) < 1);
		ask(fd, { what: "open gate", gate: "a" });
		return await works;
	});
	expect(answer).toBe(true);
	expect(outcome.report).toMatchObject({ errors: [] });
});

test("a call within another one may take long, too", async () => {
	const { answer } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const gates = ["a", "b", "c"];
		const working = gates.map((gate) =>
			inThread(({ ask }, { fd, gate }) => ask<boolean>(fd, { what: "work", gate }), { fd, gate }),
		);
		while (ask<number>(fd, { what: "working" }) < gates.length);
		for (const gate of gates) ask(fd, { what: "open gate", gate });
		return await Promise.all(working);
	});
	expect(answer).toEqual([true, true, true]);
});

test("what a call maps after others were answered within it counts as its own, and as made after them", async () => {
	const { answer } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const works = inThread(({ ask }, fd) => {
			const { thread } = ask<{ thread: number }>(fd, { what: "who" });
			ask(fd, { what: "work", gate: "a" });
			return thread;
		}, fd);
		let asked = 2; // Opening, and who it is.
		for (let working = 0; working < 1; asked++) working = ask<number>(fd, { what: "working" });
		ask(fd, { what: "open gate", gate: "a" });
		const thread = await works;
		return { thread, asked: asked + 1, mapper: ask<{ thread: number; call: number }>(fd, { what: "mapper" }) };
	});
	expect(answer.mapper).toEqual({ thread: answer.thread, call: answer.asked + 1 });
});

test("a call that was put aside is made again within one that takes long", async () => {
	const { answer } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const passes = inThread(({ ask }, fd) => ask<number>(fd, { what: "pass", gate: "a" }), fd);
		while (ask<number>(fd, { what: "waiting", gate: "a" }) < 1);
		const works = inThread(({ ask }, fd) => ask<boolean>(fd, { what: "work", gate: "b" }), fd);
		while (ask<number>(fd, { what: "working" }) < 1);
		ask(fd, { what: "open gate", gate: "a" });
		const made = await passes;
		ask(fd, { what: "open gate", gate: "b" });
		return [made, await works];
	});
	expect(answer).toEqual([2, true]);
});

test("a caller that is killed within its long call is missed by nobody", async () => {
	const { answer, outcome } = await asClient(async ({ open, ask, start, commandFor, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const body: Body<null, boolean> = ({ open, ask, O_RDWR }) =>
			ask(open("/dev/iommu", O_RDWR), { what: "work", gate: "a" });
		const { child, ended } = start(commandFor(body, null));
		while (ask<number>(fd, { what: "working" }) < 1);
		child.kill("SIGKILL");
		const end = await ended;
		ask(fd, { what: "open gate", gate: "a" });
		while (ask<{ open: number }>(fd, { what: "totals" }).open > 1) ask(fd, { what: "settle" });
		return end;
	});
	expect(answer).toBe("SIGKILL");
	expect(outcome.report).toMatchObject({ errors: [["EFAULT", 1]], leftovers: [] });
});
