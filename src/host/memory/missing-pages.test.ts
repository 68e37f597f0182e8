// Memory whose pages somebody fills by userfaultfd(2) when they are touched: who touches one waits, and nobody else does.

import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { asClient, buildHarness } from "../testing/harness.testing.js";

/** To have the kernel's accesses wait takes a privilege, or vm.unprivileged_userfaultfd. */
const canBeFilled = (): boolean =>
	spawnSync("python3", ["-c", "import ctypes,sys; sys.exit(ctypes.CDLL(None).syscall(323, 0) < 0)"]).status === 0;

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

describe.skipIf(process.arch !== "x64" || !canBeFilled())("a page that is missing", () => {
	test("is waited for by who reads a struct in it, while others are answered", async () => {
		const { answer, outcome } = await asClient(
			async ({ open, ask, inThread, missingPage, addressOf, poll, O_RDWR }) => {
				const fd = open("/dev/iommu", O_RDWR);
				const page = missingPage();
				const counts = inThread(
					({ count, memoryAt }, { fd, at }) => [count(fd, at), memoryAt(at, 12).readUInt32LE(8)],
					{ fd, at: page.address + 0x40 },
				);
				while (poll(page.uffd) === 0);
				const others = Array.from({ length: 50 }, () => ask<{ file: number }>(fd, { what: "who" }).file);
				const content = new Uint8Array(4096);
				new DataView(content.buffer).setUint32(0x48, 7, true);
				page.fill(addressOf(content));
				return { counts: await counts, others: others.length };
			},
		);
		expect(answer).toEqual({ counts: [0, 8], others: 50 });
		expect(outcome.report).toMatchObject({ errors: [] });
	});

	test("is waited for by who has something written to it, once that has been made", async () => {
		const { answer } = await asClient(async ({ open, ask, inThread, missingPage, addressOf, poll, O_RDWR }) => {
			const fd = open("/dev/iommu", O_RDWR);
			const page = missingPage();
			const queue = ask<number>(fd, { what: "queue", writable: false });
			ask(fd, { what: "push", text: "hello" });
			const reads = inThread(
				({ readAt, memoryAt }, { queue, at }) => [readAt(queue, at, 16), memoryAt(at, 8).toString("latin1")],
				{ queue, at: page.address + 0x40 },
			);
			while (poll(page.uffd) === 0);
			const { file } = ask<{ file: number }>(fd, { what: "who" });
			page.fill(addressOf(new Uint8Array(4096).fill(0x2e)));
			return { read: await reads, file };
		});
		expect(answer).toEqual({ read: [5, "hello..."], file: 1 });
	});

	test("that nobody fills doesn't keep a program that is killed", async () => {
		const { answer, outcome } = await asClient(async ({ open, ask, start, commandFor, O_RDWR }) => {
			const fd = open("/dev/iommu", O_RDWR);
			const { child, ended } = start(
				commandFor(
					({ open, count, missingPage, O_RDWR }) => count(open("/dev/iommu", O_RDWR), missingPage().address),
					null,
				),
			);
			while (ask<{ open: number }>(fd, { what: "totals" }).open < 2);
			for (let i = 0; i < 100; i++) ask(fd, { what: "who" });
			child.kill("SIGKILL");
			const end = await ended;
			while (ask<{ open: number }>(fd, { what: "totals" }).open > 1) ask(fd, { what: "settle" });
			return end;
		});
		expect(answer).toBe("SIGKILL");
		expect(outcome.report).toMatchObject({ errors: [], leftovers: [] });
	});
});
