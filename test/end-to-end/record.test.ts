// --record and replay as a user has them.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { ioasis, temporaryDirectory } from "./programs.js";

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
