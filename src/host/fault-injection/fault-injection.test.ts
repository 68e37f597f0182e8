// The files of a kernel with CONFIG_FAULT_INJECTION, as a program finds them. What fails here is the open of a file.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FailNth } from "../../faults/fail-nth.js";
import { allocation } from "../../faults/faults.js";
import { codeOf } from "../../uapi/errno.js";
import { WaitQueue } from "../../uapi/later.js";
import { asClient, buildHarness } from "../testing/harness.testing.js";
import { FaultInjection } from "./fault-injection.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

const [EBADF, ENOENT, ENOMEM, EINVAL, ERANGE] = [-9, -2, -12, -22, -34];

test("fail-nth takes a number and shows what is left of it, by position or not", async () => {
	const { answer } = await asClient((client) => {
		const fd = client.open("/proc/self/fail-nth", client.O_RDWR);
		const bytes = new Uint8Array(new ArrayBuffer(16));
		const [pread, pwrite] = process.arch === "x64" ? [17, 18] : [67, 68];
		const write = (text: string) => client.write(fd, new Uint8Array(Buffer.from(text)), text.length);
		const writeAt = (text: string) =>
			client.syscall(pwrite, fd, client.addressOf(new Uint8Array(Buffer.from(text))), text.length, 0);
		const show = (position: number) => {
			const length = client.syscall(pread, fd, client.addressOf(bytes), 16, position);
			return Buffer.from(bytes).toString("latin1", 0, length);
		};
		const written = ["12", "0x10\n", "-1", "x", "", "4294967296"].map(write);
		const shown = [show(0), show(1)];
		written.push(writeAt("7"));
		shown.push(show(0));
		const reads = [client.read(fd, bytes, 1), client.read(fd, bytes, 16), client.read(fd, bytes, 16)];
		const readOnly = client.open(`/proc/${process.pid}/task/${client.gettid()}/fail-nth`, client.O_RDONLY);
		return {
			written,
			shown,
			reads,
			other: client.readText(readOnly),
			refused: client.write(readOnly, bytes, 1),
			missing: client.open("/proc/self/task/1/fail-nth", client.O_RDWR),
		};
	});
	expect(answer.written).toEqual([2, 5, EINVAL, EINVAL, EINVAL, ERANGE, 1]);
	expect(answer.shown).toEqual(["16\n", "6\n", "7\n"]);
	expect(answer.reads).toEqual([1, 1, 0]);
	expect([answer.other, answer.refused, answer.missing]).toEqual(["7\n", EBADF, ENOENT]);
});

test("debugfs says what may fail, and the thread that has asked for it sees it fail", async () => {
	const { answer, outcome } = await asClient(async (client) => {
		const { readdirSync, readFileSync, writeFile: writeFileSync } = client;
		const debugfs = "/sys/kernel/debug";
		const nth = client.open("/proc/self/fail-nth", client.O_RDWR);
		const failNext = () => client.write(nth, new Uint8Array(Buffer.from("1")), 1);
		const iommu = () => Math.min(0, client.open("/dev/iommu", client.O_RDWR));
		failNext();
		const before = iommu();
		const directory = client.open(`${debugfs}/`, client.O_RDONLY);
		const file = client.openat(directory, "failslab/ignore-gfp-wait", 1);
		client.write(file, new Uint8Array(Buffer.from("N")), 1);
		const opens = [iommu(), iommu()];
		failNext();
		opens.push(await client.inThread(({ open }) => Math.min(0, open("/dev/iommu", 2))), iommu());
		writeFileSync(`${debugfs}/failslab/times`, "2\n");
		writeFileSync(`${debugfs}/failslab/probability`, "100");
		opens.push(iommu(), iommu(), iommu());
		return {
			before,
			opens,
			kinds: readdirSync(debugfs),
			names: readdirSync(`${debugfs}/failslab`).sort(),
			values: ["ignore-gfp-wait", "times", "probability", "interval"].map((name) =>
				readFileSync(`${debugfs}/failslab/${name}`, "utf8"),
			),
			missing: client.open(`${debugfs}/failslab/nothing`, client.O_RDONLY),
		};
	});
	expect(answer.before).toBe(0);
	expect(answer.opens).toEqual([ENOMEM, 0, 0, ENOMEM, ENOMEM, ENOMEM, 0]);
	expect(answer.kinds.sort()).toEqual(["fail_page_alloc", "failslab"]);
	expect(answer.names).toContain("verbose_ratelimit_burst");
	expect(answer.values).toEqual(["N\n", "0\n", "100\n", "1\n"]);
	expect(answer.missing).toBe(ENOENT);
	expect(outcome.report?.errors).toEqual([["ENOMEM", 4]]);
});

test("threads whose fail-nth is not in use any more take no fds", () => {
	const injection = new FaultInjection(false, undefined, "/nowhere");
	const fds = () => readdirSync("/proc/self/fd").length;
	const programs = Array.from({ length: 60 }, () => spawn("sleep", ["60"], { stdio: "ignore" }));
	const before = fds();
	for (const { pid } of programs) injection.openFailNth(`/proc/${pid}/fail-nth`, 2)?.release();
	expect(fds() - before).toBeLessThan(20);
	for (const program of programs) program.kill();
});

test("a call that is made again comes by the same places, and they count once", () => {
	const plan = new FailNth(4);
	const injection = new FaultInjection(false, plan, "/nonexistent");
	const later = new WaitQueue().later("a test");
	const call = (isReady: boolean) => {
		for (const place of ["one", "two"]) allocation(place);
		if (!isReady) throw later;
		for (const place of ["three", "four"]) allocation(place);
	};
	for (let i = 0; i < 3; i++)
		expect(() => injection.during(7, () => call(false))).toThrow(expect.objectContaining(later));
	injection.during(8, () => allocation("another call's"));
	expect(plan.passed).toBe(3);
	expect(codeOf(() => injection.during(7, () => call(true)))).toBe("ENOMEM");
	expect([plan.passed, plan.failed?.what]).toEqual([4, "three"]);
});
