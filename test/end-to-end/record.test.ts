// --record and replay as a user has them.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { command, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const recording = join(directory.path, "recording.rec");
const lines = join(directory.path, "recording.jsonl");
const record = (machine: string, ...program: string[]) =>
	ioasis("run", "--quiet", "--machine", machine, "--record", recording, "--", process.execPath, ...program);

/** What was recorded, as lines. */
function asLines(): string {
	expect(ioasis("convert", recording, lines)).toEqual({ status: 0, stdout: "", stderr: "" });
	return readFileSync(lines, "utf8");
}

test("a recording is replayed without the program, and every answer is the same", () => {
	expect(record("selftest", "examples/first-steps.mjs").status).toBe(0);
	expect(ioasis("replay", recording)).toEqual({
		status: 0,
		stdout: "ioasis: 7 calls, each answered as it was\n",
		stderr: "",
	});
	expect(ioasis("replay", "--quiet", recording).stdout).toBe("");
});

test("on another machine it stops at the first answer that differs, and shows both", () => {
	expect(record("intel", "examples/hwpt-thread.mjs", "alloc-mapped").status).toBe(0);
	const { status, stdout } = ioasis("replay", recording, "--machine", "arm-smmu-2023");
	expect(stdout).toMatch(/^call 6 of 6 is answered otherwise than it was:\nrecorded:\n.* = 0 {out_hwpt_id=3}\nnow:\n/);
	expect(stdout).toContain("= -1 ENODEV\n     arm-smmu-2023 finishes a domain when it is first attached");
	expect(status).toBe(1);
});

test("a changed answer is found, also in the last line of a recording that was cut off", () => {
	record("selftest", "examples/first-steps.mjs");
	const changed = asLines().replace(/"errno":"EINVAL"/g, '"errno":"EPERM"');
	writeFileSync(lines, `${changed}{"kind":"ioctl","thr`);
	const { status, stdout } = ioasis("replay", lines);
	expect(stdout).toMatch(/= -1 EPERM\n.*= -1 EINVAL\n/s);
	expect(status).toBe(1);
});

test("of a recording that was cut off it says so", () => {
	record("selftest", "examples/first-steps.mjs");
	const inTheMiddle =
		/^ioasis: \d calls, each answered as it was; the recording ends in the middle of the next one: the run was killed\n$/;
	asLines();
	for (const [file, end] of [
		[recording, -8],
		[lines, -20],
	] as const) {
		writeFileSync(file, readFileSync(file).subarray(0, end));
		const { status, stdout } = ioasis("replay", file);
		expect(stdout).toMatch(inTheMiddle);
		expect(status).toBe(0);
	}
});

test("of one whose run was killed between two calls it says how many files are open", () => {
	record("selftest", "examples/first-steps.mjs");
	const first = asLines().split("\n").slice(0, 6);
	writeFileSync(lines, `${first.join("\n")}\n`);
	expect(ioasis("replay", lines).stdout).toMatch(/; the recording ends there, with 1 file open: the run was killed\n$/);
});

test("its lines are a recording again, and say what a program asked", () => {
	record("selftest", "examples/first-steps.mjs");
	const [start, ...rest] = asLines()
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line));
	expect(start).toMatchObject({ kind: "start", version: 3, machine: { name: "selftest" } });
	expect(start.program).toEqual([process.execPath, "examples/first-steps.mjs"]);
	expect(rest).toContainEqual(
		expect.objectContaining({ kind: "ioctl", command: "IOMMU_IOAS_ALLOC", number: "0x3b81" }),
	);
	const again = join(directory.path, "again.rec");
	expect(ioasis("convert", lines, again).status).toBe(0);
	const linesOfAgain = ioasis("convert", again).stdout.trimEnd().split("\n");
	expect(linesOfAgain.map((line) => JSON.parse(line))).toEqual([start, ...rest]);
});

test("what somebody has put into a recording is written out where it is shown", () => {
	record("selftest", "examples/first-steps.mjs");
	const text = asLines();
	const evil = "\x1b[2J\nioasis: all is well\u202e";
	const change = (from: RegExp, to: object) =>
		writeFileSync(lines, text.replace(from, JSON.stringify(to).slice(1, -1)));
	change(/"errno":"EINVAL","reason":"[^"]*"/, { errno: "EPERM", reason: evil });
	const written = String.raw`\x1b[2J\nioasis: all is well\u{202e}`;
	expect(ioasis("replay", lines).stdout).toContain(`\n     ${written}\n`);
	change(/"kind":"ioctl"/, { kind: evil });
	const { status, stderr } = ioasis("replay", lines);
	expect(stderr).toMatch(/^ioasis: [^\n]+\/recording\.jsonl:\d+: kind: [^\n]+\n {8}[^\n]+\n$/);
	expect(stderr).toContain(written);
	expect(status).toBe(2);
});

test.each([
	["what isn't there", "/no/such/file", /no\/such\/file can't be read: ENOENT/],
	["what is no recording", "package.json", /package\.json:1: this is not JSON/],
])("%s is refused with a line", (_, file, message) => {
	const { status, stderr } = ioasis("replay", file);
	expect(stderr).toMatch(message);
	expect(status).toBe(2);
});

test("a recording has no file of its own run, unless it is allowed to", () => {
	const [ran, model] = ["ran", "model.mjs"].map((name) => join(directory.path, name));
	writeFileSync(model, `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(ran)}, "");`);
	const device = { address: "0000:00:02.0", model };
	const machine = { name: "x", description: "", iommus: [{ driver: "none", devices: [device] }] };
	writeFileSync(lines, `${JSON.stringify({ kind: "start", version: 2, machine, policy: "mainline" })}\n`);
	for (const words of [
		["replay", lines],
		["walk", "--recording", lines, "0x1000"],
	]) {
		const { status, stderr } = ioasis(...words);
		expect(stderr).toContain(`has a model that is a file, ${model}, which a replay would run`);
		expect([status, existsSync(ran)]).toEqual([2, false]);
	}
	expect(ioasis("replay", "--load-models", lines).stderr).toContain("has no model as its default export");
	expect(existsSync(ran)).toBe(true);
});

describe("what is written while the program runs", () => {
	const flood = ["--", process.execPath, "test/end-to-end/clients/flood.mjs"];

	test("is there to the last moment but a few when ioasis is killed", async () => {
		const trace = join(directory.path, "killed.txt");
		const run = spawn(command, ["run", "--record", recording, `--trace=${trace}`, ...flood, "600"], {
			stdio: "ignore",
		});
		const exit = once(run, "exit");
		const sizes = () =>
			Math.min(...[recording, trace].map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0));
		await vi.waitFor(() => expect(sizes()).toBeGreaterThan(100_000), { timeout: 50_000, interval: 50 });
		run.kill("SIGKILL");
		await exit;
		const { status, stdout } = ioasis("replay", recording);
		expect(stdout).toMatch(
			/^ioasis: \d{4,} calls, each answered as it was(; the recording ends [^\n]*: the run was killed)?\n$/,
		);
		expect(status).toBe(0);
		expect(
			readFileSync(trace, "utf8")
				.split("\n")
				.slice(0, -1)
				.filter((line) => !/^(\d+ | {5})/.test(line)),
		).toEqual([]);
	});

	test("is in its order, and all of it, when it ends", () => {
		const trace = join(directory.path, "whole.txt");
		const { stderr } = ioasis("run", "--record", recording, `--trace=${trace}`, ...flood, "0.5");
		const calls = Number(/ioasis: (\d+) calls, no errors/.exec(stderr)![1]);
		const lines = readFileSync(trace, "utf8").trimEnd().split("\n");
		expect(lines).toHaveLength(calls);
		// Each open begins anew with object 1.
		const ids = lines.flatMap((line) => /IOMMU_IOAS_ALLOC, {flags=0}\) = 0 {out_ioas_id=(\d+)}/.exec(line)?.[1] ?? []);
		expect(ids.length).toBeGreaterThan(10);
		expect(
			ids.map(Number).filter((id, i) => id !== 1 && ids[i - 1] !== String(id) && Number(ids[i - 1]) !== id - 1),
		).toEqual([]);
		expect(ioasis("replay", recording).stdout).toBe(`ioasis: ${calls} calls, each answered as it was\n`);
	});

	test("may go through a pipe, and ends with a line on a disk that is full", () => {
		const program = `"${process.execPath}" examples/first-steps.mjs`;
		const piped = `"${command}" run --quiet --record /dev/fd/3 -- ${program} 3>&1 >/dev/null | cat >"${recording}"`;
		spawnSync("sh", ["-c", piped]);
		expect(ioasis("replay", recording).stdout).toBe("ioasis: 7 calls, each answered as it was\n");
		for (const option of [["--record", "/dev/full"], ["--trace=/dev/full"]]) {
			const { status, stderr } = ioasis(
				"run",
				"--quiet",
				...option,
				"--",
				process.execPath,
				"examples/first-steps.mjs",
			);
			expect(stderr).toMatch(/^ioasis: the (recording|trace) ends here: it can't be written any more: ENOSPC\n$/);
			expect(status).toBe(0);
		}
	});
});
