// Calls whose answers come later, and what becomes of them when nobody waits for the answer any more.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a call that waits keeps nobody else, is made again in its turn, and counts once", async () => {
	const { answer, outcome } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const threads = Array.from({ length: 4 }, () =>
			inThread(({ ask }, fd) => ask<number>(fd, { what: "pass", gate: "a" }), fd),
		);
		let others = 0;
		while (ask<number>(fd, { what: "waiting", gate: "a" }) < 4) others++;
		const opened = ask<number>(fd, { what: "open gate", gate: "a" });
		return { opened, made: await Promise.all(threads), others };
	});
	expect(answer).toMatchObject({ opened: 4, made: [2, 2, 2, 2] });
	// The open of the file, the questions until all were there and the last of those, the gate's opening, and four that passed.
	expect(outcome.report).toMatchObject({ calls: answer.others + 7, errors: [] });
});

test("a call that still can't go on waits again", async () => {
	const { answer } = await asClient(async ({ open, ask, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const passes = inThread(({ ask }, fd) => ask<number>(fd, { what: "pass", gate: "b" }), fd);
		while (ask<number>(fd, { what: "waiting", gate: "b" }) < 1);
		for (let i = 0; i < 5; i++) ask(fd, { what: "wake", gate: "b" });
		while (ask<number>(fd, { what: "waiting", gate: "b" }) < 1);
		ask(fd, { what: "open gate", gate: "b" });
		return await passes;
	});
	expect(answer).toBeGreaterThan(2);
});

test("one that waits and is killed is forgotten, and what it waited for comes all the same", async () => {
	const { answer, outcome } = await asClient(async ({ open, ask, commandFor, start, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const command = commandFor(
			({ open, ask, O_RDWR }) => ask(open("/dev/iommu", O_RDWR), { what: "pass", gate: "c" }),
			null,
		);
		const children = Array.from({ length: 3 }, () => start(command));
		while (ask<number>(fd, { what: "waiting", gate: "c" }) < 3);
		children[1].child.kill("SIGKILL");
		await children[1].ended;
		const waiting = ask<number>(fd, { what: "waiting", gate: "c" });
		ask(fd, { what: "open gate", gate: "c" });
		return { waiting, ended: await Promise.all(children.map(({ ended }) => ended)) };
	});
	expect(answer).toEqual({ waiting: 2, ended: [0, "SIGKILL", 0] });
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [], errors: [] });
});

test("a program that ends while its calls wait has ended", async () => {
	const { outcome } = await asClient(async ({ open, ask, inThread, write, exitNow, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		inThread(({ ask }, fd) => ask(fd, { what: "pass", gate: "d" }), fd).catch(() => {});
		while (ask<number>(fd, { what: "waiting", gate: "d" }) < 1);
		write(1, Buffer.from("null"), 4);
		exitNow(0);
	});
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [] });
});
