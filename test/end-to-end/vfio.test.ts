// A device in the hands of a program that knows it by its VFIO file only.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const device = "/dev/vfio/devices/vfio0";
const trace = join(directory.path, "trace");
const recording = join(directory.path, "recording.rec");

test("the example of a driver has its device copy memory", () => {
	const { status, stdout } = ioasis("run", "--quiet", "--machine", "intel", "--", process.execPath, "examples/edu.mjs");
	expect(stdout).toBe("0000:00:02.0 is vfio0\nin the second half of the page: through the IOMMU and back\n");
	expect(status).toBe(0);
});

describe.skipIf(!hasCompiler)("the edu device", () => {
	/** What is recorded has the device's model in the supervisor's thread; without it has one of its own. */
	const ways = [["--record", recording], [`--trace=${trace}.threads`], []];
	const outcomeOf = (client: string, ...options: string[]) =>
		ioasis("run", "--quiet", "--machine", "intel", ...options, "--", buildClient(client, directory.path), device);
	/** The same in whichever way. */
	const run = (client: string) => {
		const [first, ...others] = ways.map((way) =>
			outcomeOf(client, ...(way.length === 2 ? [`--trace=${trace}`] : []), ...way),
		);
		for (const other of others) expect(other).toEqual(first);
		// But for the numbers of threads, and addresses.
		const lines = (name: string) => readFileSync(name, "utf8").replaceAll(/^\d+ |0x[0-9a-f]{6,}/gm, "");
		expect(lines(`${trace}.threads`)).toBe(lines(trace));
		return first;
	};

	test("is found in its configuration space, and copies memory when its registers say so", () => {
		expect(run("edu")).toEqual({
			status: 0,
			stdout: [
				"ids 1234:11e8",
				"BAR 0 has 1048576 bytes, and its address is back",
				"without memory: Input/output error",
				"identification 10000ed",
				"copied: yes",
				"after a reset: source 0",
				"",
			].join("\n"),
			stderr: "",
		});
		const lines = readFileSync(trace, "utf8");
		expect(lines).toMatch(/ pread64\(\d+<\/dev\/vfio\/devices\/vfio0>, CONFIG\+0x10, 4\) = 4 {0xfff00000}\n/);
		expect(lines).toMatch(/ pwrite64\(\d+<.*>, BAR0\+0x80, 8, 0x0000000000100000\) = 8\n/);
		expect(lines).toMatch(/ pread64\(.*>, BAR0\+0x0, 4\) = -1 EIO\n {5}BAR 0 of 0000:00:02.0 answers nothing: /);
	});

	test("is replayed without the program, also where it reads memory", () => {
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});

	test("interrupts by messages and by its pin, which masks itself and is unmasked", () => {
		expect(run("interrupts")).toEqual({
			status: 0,
			stdout: [
				"no eventfd: Invalid argument",
				"messages: 2",
				"loopback: 1",
				"switched off: 0",
				"pin: 1",
				"masked: 0",
				"unmasked, and still asserted: 1",
				"unmasked, and acknowledged: 0",
				"pin: 1",
				"unmasked by an eventfd: 1",
				"",
			].join("\n"),
			stderr: "",
		});
		expect(readFileSync(trace, "utf8")).toMatch(
			/interrupt: 0000:00:02.0: MSI vector 0 signals .*\n\d+ pwrite64\(.*BAR0/,
		);
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});

	test("reaches what a process had pinned that has gone", () => {
		expect(run("gone")).toEqual({
			status: 0,
			stdout: ["exit: from the child", "becomes another program: from the child", "killed: refused", ""].join("\n"),
			stderr: "",
		});
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});
});
