// Registers that a program has mapped, and accesses by loads and stores.

import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, command, hasCompiler, ioasis, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
chmodSync(directory.path, 0o755);
afterAll(directory.remove);

const EDU = "/dev/vfio/devices/vfio0";
const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const canBeNobody = spawn(nobody[0], ...nobody.slice(1), command, "machines").status === 0;
const hasGdb = spawn("gdb", "--version").status === 0;
const hasStrace = spawn("strace", "--version").status === 0;

const copied = [
	"identification 10000ed",
	"6! is 720, by its file 720",
	"copied: yes",
	"its registers as memory: Bad address",
	"after a reset: factorial 0",
	"",
].join("\n");
const good = { status: 0, stderr: "" };
const noneWrong = { ...good, stdout: "0 wrong\n" };

describe.skipIf(!hasCompiler)("mapped registers of the edu device", () => {
	const client = () => buildClient("mapped", directory.path);
	const options = ["run", "--quiet", "--machine", "intel", "--"];
	const run = (...words: string[]) => ioasis(...options, client(), EDU, ...words);
	const runBy = (before: readonly string[], ...words: string[]) =>
		spawn(before[0], ...before.slice(1), command, ...options, client(), EDU, ...words);

	test("are accessed by loads and stores, have DMA done, and are no memory for an IOAS", () => {
		expect(run("copy")).toEqual({ ...good, stdout: copied });
	});

	test("are accessed 20,000 times, and none is wrong", () => {
		expect(run("threads", "1", "20000")).toEqual(noneWrong);
	});

	test("are accessed by eight threads at the same time", () => {
		expect(run("threads", "8", "2500")).toEqual(noneWrong);
	});

	test.skipIf(!canBeNobody)("are accessed by an ordinary user's program", () => {
		expect(runBy(nobody, "copy")).toEqual({ ...good, stdout: copied });
		expect(runBy(nobody, "threads", "8", "1000")).toEqual(noneWrong);
	});

	test("are a child's, too, and its child's", () => {
		expect(run("forks")).toEqual(noneWrong);
	});

	test("are mapped in the place of other mappings, while other threads access them", () => {
		expect(run("remaps")).toEqual(noneWrong);
	});

	test("are mapped again by a program after an exec", () => {
		expect(run("exec")).toEqual({ ...good, stdout: copied });
	});

	test("are of the device's new file when it is opened again, for a thread that knew the fd before, too", () => {
		expect(run("reopens", "4")).toEqual(noneWrong);
	});

	test("give SIGBUS while memory decoding is off, and outlive the fds", () => {
		const lines = ["off: SIGBUS", "on: fffffffe", "reset: 0", "closed: fffffffd", "both: fffffffd", ""];
		expect(run("decoding")).toEqual({ ...good, stdout: lines.join("\n") });
	});

	test("give SIGBUS while the function sleeps, though it answers by its file", () => {
		expect(run("sleeps")).toEqual({ ...good, stdout: "asleep: SIGBUS, by its file 10000ed\nawake: 10000ed\n" });
	});

	test("outlive 200 programs that are killed while they access them", () => {
		expect(run("killed", "200")).toEqual({ ...good, stdout: "after all: fffffffe\n" });
	});

	const seen = "identification 10000ed\n6! is 720: yes\nit lives: yes\n";

	test.skipIf(!hasGdb)("are watched where gdb has the program, whose stores have their effect a little later", () => {
		const gdb = ["gdb", "-q", "-batch", "-ex", "run", "--args", client(), EDU, "patient"];
		const { status, stdout } = ioasis(...options, ...gdb);
		expect(status).toBe(0);
		for (const line of seen.trim().split("\n")) expect(stdout).toContain(`${line}\n`);
	});

	test.skipIf(!hasStrace)("are watched where strace has it, and the trace says so", () => {
		const trace = join(directory.path, "trace");
		const strace = ["strace", "-f", "-o", "/dev/null", client(), EDU, "patient"];
		const outcome = ioasis("run", "--quiet", "--machine", "intel", `--trace=${trace}`, "--", ...strace);
		expect(outcome).toEqual({ ...good, stdout: seen });
		expect(readFileSync(trace, "utf8")).toMatch(
			/0000:00:02\.0: process \d+ has mapped registers whose accesses can't be heard of: process \d+ traces it\./,
		);
	});
});

test.skipIf(!hasCompiler)("the registers of a function without a model can be mapped, and nobody answers", () => {
	const machine = join(directory.path, "machine.json");
	const device = {
		address: "0000:00:02.0",
		vendor: "0x1234",
		device: "0x5678",
		class: "0xff0000",
		bars: [{ index: 0, size: 1048576 }],
	};
	const description = JSON.parse(readFileSync(new URL("../../machines/intel.json", import.meta.url), "utf8"));
	description.iommus[0].devices = [device];
	writeFileSync(machine, JSON.stringify(description));
	const client = buildClient("mapped", directory.path);
	const outcome = ioasis("run", "--quiet", "--machine", machine, "--", client, EDU, "nothing");
	expect(outcome).toEqual({ ...good, stdout: "ffffffff, by its file ffffffff\n" });
});

test.skipIf(!hasCompiler)("doorbells give SIGBUS while memory decoding is off, and are as they were afterwards", () => {
	const nvme = "/dev/vfio/devices/vfio1";
	const client = buildClient("mapped", directory.path);
	const outcome = ioasis("run", "--quiet", "--machine", "intel", "--", client, nvme, "doorbells");
	const lines = [7, 0, 1].map((value) => `off: SIGBUS\non: ${value}\n`);
	expect(outcome).toEqual({ ...good, stdout: lines.join("") });
});

test.skipIf(!hasCompiler).each([
	["throws", 12, /answers nothing any more: TypeError: a bug made on purpose/],
	["ends", 16, /answers nothing any more: its thread has ended/],
])("of a model that %s, loads give all ones from then on", (_, register, told) => {
	const device = ["--device", "./test/end-to-end/devices/trouble.mjs,file=none"];
	const client = [buildClient("mapped", directory.path), "/dev/vfio/devices/vfio2", "broken", String(register)];
	const { stderr, ...outcome } = ioasis("run", "--quiet", "--machine", "intel", ...device, "--", ...client);
	expect(outcome).toEqual({ status: 0, stdout: "ffffffff, and then ffffffff\n" });
	expect(stderr).toMatch(told);
});

test.skipIf(!hasCompiler)("a child has its parent's registers, whichever other processes have others mapped", () => {
	const client = buildClient("mapped", directory.path);
	const command = `"$0" "$1" forks && "$0" "$2" forks && "$0" "$1" second "$2"`;
	const words = ["sh", "-c", command, client, EDU, "/dev/vfio/devices/vfio2"];
	const outcome = ioasis("run", "--quiet", "--machine", "intel", "--device", "edu", "--", ...words);
	expect(outcome).toEqual({ ...good, stdout: "0 wrong\n0 wrong\n0 wrong\n" });
});
