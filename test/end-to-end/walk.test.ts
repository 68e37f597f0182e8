// run --walk, and walk: page tables at work, seen from outside.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { askRun, findRuns } from "../../src/cli/run-socket.js";
import { command, ioasis, temporaryDirectory } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

/** The page that this program maps is at 4 GiB. */
const attach = ["--", process.execPath, "examples/hwpt-thread.mjs", "attach"];
const walk = (machine: string, iova: string, ...words: string[]) =>
	ioasis("run", "--quiet", "--machine", machine, "--walk", iova, ...words);

test("shows each level of the walk, when a call has changed it", () => {
	const { stderr, status } = walk("amd", "0x100000000", ...attach);
	const [head, ...levels] = stderr.trimEnd().split("\n");
	expect(head).toMatch(/^IOVA 0x100000000 in HWPT 3 \(amd\), after VFIO_DEVICE_ATTACH_IOMMUFD_PT:$/);
	expect(levels.length).toBeGreaterThan(1);
	for (const level of levels.slice(0, -1))
		expect(level).toMatch(/^ {2}level \d PTE \d+ of the table at .*: next table/);
	expect(levels.at(-1)).toMatch(/: 4K page at 0x[0-9a-f]+, read and write \(/);
	expect(status).toBe(0);
});

test("shows it again when it has become another, and only then", () => {
	const { stderr } = walk("selftest", "0x1000000,0x0", "--", process.execPath, "examples/first-steps.mjs");
	expect(stderr.match(/^IOVA .*$/gm)).toEqual([
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_TEST_CMD:",
		"IOVA 0x0 in HWPT 4 (selftest), after IOMMU_TEST_CMD:",
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_IOAS_MAP:",
		"IOVA 0x0 in HWPT 4 (selftest), after IOMMU_IOAS_MAP:", // the table has got another level on top
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_IOAS_UNMAP:",
	]);
});

test("says so where there is no table yet, and where the table can't have the address", () => {
	const alloc = ["--", process.execPath, "examples/hwpt-thread.mjs", "alloc"];
	expect(walk("arm-smmu-2023", "0x1000", ...alloc).stderr).toMatch(
		/after IOMMU_HWPT_ALLOC:\n {2}there is no table yet/,
	);
	expect(walk("s390", "0xfffffffffffff000", ...alloc).stderr).toMatch(
		/0xfffffffffffff000 is outside of 0x0 to 0x[0-9a-f]+, which/,
	);
});

test("goes with --trace, whose lines come before", () => {
	expect(walk("amd", "0x100000000", "--trace", ...attach).stderr).toMatch(
		/ATTACH_IOMMUFD_PT, .* = 0.*\nIOVA 0x100000000/,
	);
});

test("what isn't an address is refused", () => {
	const { status, stderr } = walk("amd", "4096", "--", "true");
	expect(stderr).toBe("ioasis: --walk 4096: not an IOVA\n        give it in hexadecimal: 0x1000000\n");
	expect(status).toBe(2);
});

const directory = temporaryDirectory();
afterAll(directory.remove);

/** A nested page table, in which 0x5000 leads to guest-physical 0x40008000. Its input is empty, so it doesn't wait. */
const nest = ["--", process.execPath, "examples/nested.mjs"];

test("shows both stages of a nested page table as soon as a device is attached to it", () => {
	const { stderr } = walk("intel", "0x5000", ...nest);
	expect(stderr).toMatch(/^IOVA 0x5000 in HWPT 4 .*, after IOMMU_HWPT_ALLOC:\n {2}HWPT 4 is attached to no device/m);
	const after = stderr.slice(stderr.indexOf("for 0000:00:02.0, after VFIO_DEVICE_ATTACH_IOMMUFD_PT"));
	expect(after).toMatch(/^ {4}PTE 5 at guest-physical 0x40003028 is 0x40008007: 4K page at guest-physical 0x40008000/m);
	expect(after).toMatch(/^ {6}0x40003028 is physical 0x[0-9a-f]+028 by the second stage$/m);
	expect(after).toMatch(/^ {2}second stage: guest-physical 0x40008000 in HWPT 3$/m);
	expect(after).toMatch(/^ {2}physical 0x[0-9a-f]+000, read and write\n$/m);
});

describe("walk --recording", () => {
	const recording = join(directory.path, "nested.rec");
	const recorded = (...words: string[]) => ioasis("walk", "--recording", recording, ...words);

	test("walks where it ended, after the last call at which an IOVA is translated, or after one's own", () => {
		ioasis("run", "-q", "-m", "amd", "--record", recording, ...attach);
		const { stdout, status } = recorded("0x100000000");
		const [head, which, ...levels] = stdout.trimEnd().split("\n");
		expect(head).toMatch(
			/nested\.rec, after call 6 \(VFIO_DEVICE_ATTACH_IOMMUFD_PT\), the last at which an IOVA is translated:$/,
		);
		expect(which).toBe("IOVA 0x100000000 in HWPT 3 (amd):");
		expect(levels.at(-1)).toMatch(/: 4K page at 0x[0-9a-f]+, read and write \(/);
		expect(status).toBe(0);
		const early = recorded("--at", "5", "0x100000000");
		expect([early.stderr, early.status]).toEqual(["ioasis: there is no page table (HWPT) at the moment\n", 1]);
	});

	test("has of a guest's memory what was recorded, and says so", () => {
		ioasis("run", "-q", "-m", "intel", "--record", recording, ...nest);
		expect(recorded("--device", "vfio0", "0x5000").stdout).toMatch(
			/^ {2}fault: 0x40000000 \(PML4E 0\) is not in the recording: `ioasis run --record FILE --walk IOVA` puts/m,
		);
		ioasis("run", "-q", "-m", "intel", "--walk", "0x5000", "--record", recording, ...nest);
		const { walks } = JSON.parse(recorded("--hwpt", "4", "--json", "0x5000").stdout);
		expect(walks).toMatchObject([{ hwpt: 4, device: "0000:00:02.0", firstStage: { output: "0x40008000" } }]);
		expect(walks[0].table.physical).toMatch(/^0x[0-9a-f]+000$/);
		expect(ioasis("replay", recording).status).toBe(0);
	});

	test("names the access to a register after which it looks", () => {
		const edu = join(directory.path, "edu.rec");
		ioasis("run", "-q", "-m", "intel", "--record", edu, "--", process.execPath, "examples/edu.mjs");
		const calls = ioasis("convert", edu)
			.stdout.split("\n")
			.filter((line) => line.includes('"answer":'));
		const at = calls.findLastIndex((line) => line.startsWith('{"kind":"pwrite"')) + 1;
		const { stdout } = ioasis("walk", "--recording", edu, "--at", String(at), "0x0");
		expect(stdout).toContain(`edu.rec, after call ${at} (pwrite):\n`);
	});

	test("stops where the calls are answered otherwise", () => {
		const lines = ioasis("convert", recording).stdout.split("\n");
		const at = lines.findIndex((line) => line.includes("IOMMU_HWPT_ALLOC"));
		lines[at] = lines[at].replace(/"answer":0/, '"answer":1');
		writeFileSync(recording, lines.join("\n"));
		const { stderr, status } = recorded("0x5000");
		expect(stderr).toMatch(/: call \d+, IOMMU_HWPT_ALLOC, is answered otherwise than it was/);
		expect(status).toBe(1);
	});

	test.each([
		[["--at", "9999", "0x0"], /--at 9999: .* has \d+ calls/],
		[["--at", "x", "0x0"], /--at x: not a number\n/],
		[["4096"], /^ioasis: 4096: not an IOVA\n {8}give it in hexadecimal/],
		[["--pasid", "1", "0x0"], /there is no --device\n/],
	])("%j is refused with a line", (words, message) => {
		const { stderr, status } = recorded(...words);
		expect(stderr).toMatch(message);
		expect(status).toBe(2);
	});
});

describe("walk, of a program that runs", () => {
	/** Where runs can be found: not among those of other tests. */
	beforeAll(() => {
		vi.stubEnv("XDG_RUNTIME_DIR", directory.path);
		vi.stubEnv("TMPDIR", directory.path);
	});
	afterAll(() => {
		vi.unstubAllEnvs();
	});

	/** Starts what waits until its input ends; returns when it waits. */
	async function start(...words: string[]): Promise<ChildProcess> {
		const run = spawn(command, ["run", "-q", ...words], { stdio: ["pipe", "pipe", "inherit"] });
		await once(run.stdout!, "data");
		// A program can be faster than the socket.
		const socket = join(directory.path, "ioasis", `${run.pid}.sock`);
		await vi.waitUntil(() => existsSync(socket), { timeout: 30_000 });
		return run;
	}

	async function end(run: ChildProcess): Promise<void> {
		run.stdin!.end();
		expect(await once(run, "exit")).toEqual([0, null]);
	}

	test("shows both stages as they are at this moment, as often as it is asked", async () => {
		const run = await start("-m", "intel", ...nest);
		const { stdout, stderr, status } = ioasis("walk", "0x5000", "0x40008000");
		expect(stdout).toMatch(new RegExp(`^${run.pid}: .* examples/nested.mjs, on intel:\n`));
		expect(stdout.match(/^IOVA .*$/gm)).toEqual([
			"IOVA 0x5000 in HWPT 3 (intel-vtd):",
			"IOVA 0x5000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0:",
			"IOVA 0x40008000 in HWPT 3 (intel-vtd):",
			"IOVA 0x40008000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0:",
		]);
		expect(stdout).toMatch(
			/^ {4}PTE 5 at guest-physical 0x40003028 is 0x40008007: 4K page at guest-physical 0x40008000/m,
		);
		expect([stderr, status]).toEqual(["", 0]);

		const [{ programPid }] = await findRuns();
		const { walks, ...about } = JSON.parse(
			ioasis("walk", "--pid", String(programPid), "--device", "vfio0", "--json", "0x5000").stdout,
		);
		expect(about).toEqual({
			pid: run.pid,
			programPid,
			machine: "intel",
			program: nest.slice(1),
			since: expect.any(Number),
		});
		expect(walks).toMatchObject([{ hwpt: 4, firstStage: { output: "0x40008000" } }]);
		await end(run);
	});

	test("ps lists it, until it has ended", async () => {
		const before = Date.now();
		const run = await start("-m", "amd", "--", "sh", "-c", "echo; read line; true");
		const [head, line, ...more] = ioasis("ps").stdout.trimEnd().split("\n");
		expect(head).toMatch(/^ *PID +PROGRAM'S +SINCE +MACHINE +PROGRAM$/);
		expect(line).toMatch(
			new RegExp(`^ *${run.pid} +\\d+  \\d{4}(-\\d\\d){2} \\d\\d(:\\d\\d){2}  amd +sh -c 'echo; read line; true'$`),
		);
		expect(more).toEqual([]);
		const { runs } = JSON.parse(ioasis("ps", "--json").stdout);
		expect(runs).toEqual(await findRuns());
		expect(runs[0].since).toBeGreaterThanOrEqual(before);
		await end(run);
		const after = ioasis("ps");
		expect([after.status, after.stdout]).toEqual([1, ""]);
		expect(after.stderr).toBe("ioasis: no program of yours runs under `ioasis run` at the moment\n");
	});

	test("objects lists what there is, now and in the recording of it", async () => {
		const recording = join(directory.path, "objects.rec");
		const run = await start("-m", "intel", "--record", recording, ...nest);
		const now = ioasis("objects");
		const [head, ...lines] = now.stdout.trimEnd().split("\n");
		expect(head).toMatch(new RegExp(`^${run.pid}: .* examples/nested.mjs, on intel:$`));
		expect(lines).toEqual([
			"/dev/iommu:",
			"  device 1 (0000:00:02.0): vfio0, group 0, attached to HWPT 4",
			"  IOAS 2: 1 mapping of 0x10000 bytes at 0x40000000 to 0x4000ffff",
			"    reserved: 0xfee00000 to 0xfeefffff, the interrupt (MSI) window of 0000:00:02.0",
			expect.stringMatching(/^ {4}reserved: 0x2.* beyond the aperture of HWPT 3/),
			"  HWPT 3 (intel-vtd): shows IOAS 2, can be nested on",
			"  HWPT 4 (intel-vtd): nested on HWPT 3",
		]);
		const { files, ...about } = JSON.parse(ioasis("objects", "--pid", String(run.pid), "--json").stdout);
		expect(about).toMatchObject({ pid: run.pid, machine: "intel" });
		await end(run);
		expect(ioasis("objects").status).toBe(1);

		const then = ioasis("objects", recording);
		expect(then.stdout.split("\n").slice(1)).toEqual(now.stdout.split("\n").slice(1));
		expect(JSON.parse(ioasis("objects", "--json", recording).stdout).files).toEqual(files);
		const early = ioasis("objects", recording, "--at", "1").stdout;
		expect(early).toMatch(/objects\.rec, after call 1 \(open .*\):\n/);
		expect(early).not.toContain("HWPT");
	});

	test.each([
		[["--at", "1"], /^ioasis: --at is a call of a recording, and there is none\n/],
		[["--pid", "1", "x.rec"], /^ioasis: --pid is of a program that runs/],
		[["no-such.rec"], /^ioasis: no-such.rec can't be read: ENOENT\n/],
	])("objects %j is refused", (words, message) => {
		const { status, stderr } = ioasis("objects", ...words);
		expect(stderr).toMatch(message);
		expect(status).toBe(2);
	});

	test("says what there is, where what was asked for isn't", async () => {
		expect(ioasis("walk", "0x0").stderr).toMatch(
			/^ioasis: no program of yours runs under `ioasis run` at the moment\n {8}start one: ioasis run .* or give --recording FILE\n$/,
		);
		expect(ioasis("objects").stderr).toMatch(/ or give a recording: ioasis objects vmm\.rec\n$/);
		const run = await start("-m", "intel", ...nest);
		const problem = (...words: string[]) => {
			const { status, stdout, stderr } = ioasis("walk", ...words);
			expect([status, stdout]).toEqual([1, ""]);
			return stderr;
		};
		expect(problem("--hwpt", "9", "0x0")).toBe(
			"ioasis: there is no HWPT 9 at the moment\n        the HWPTs are: 3 (intel-vtd), 4 (intel-vtd)\n",
		);
		expect(problem("--device", "vfio1", "0x0")).toMatch(
			/vfio1 is no device that is bound .*\n {8}.* vfio0 \(0000:00:02.0\)\n/,
		);
		expect(problem("--pid", "1", "0x0")).toMatch(
			/has the PID 1\n {8}there are:\n {10}--pid \d+: .*nested.mjs, on intel\n/,
		);
		const other = await start("--", "sh", "-c", "echo; read line; true");
		expect(problem("0x0")).toMatch(/^ioasis: several programs run .*\n {8}say which:(\n {10}--pid \d+: .*){2}\n$/);
		expect(problem("--pid", String(other.pid), "0x0")).toBe("ioasis: there is no page table (HWPT) at the moment\n");
		await Promise.all([end(run), end(other)]);
	});

	test("a recorded program's walk is in its recording, too", async () => {
		const recording = join(directory.path, "walked.rec");
		const run = await start("-m", "intel", "--record", recording, ...nest);
		const now = ioasis("walk", "--device", "vfio0", "0x5000").stdout;
		await end(run);
		const then = ioasis("walk", "--recording", recording, "--device", "vfio0", "0x5000").stdout;
		expect(then.split("\n").slice(1)).toEqual(now.split("\n").slice(1));
		expect(ioasis("replay", recording).status).toBe(0);
	});

	test("one that was killed leaves a socket, which the next walk removes", async () => {
		const run = await start("--", "sh", "-c", "echo; read line");
		run.kill("SIGKILL");
		await once(run, "exit");
		const sockets = () => readdirSync(join(directory.path, "ioasis"));
		expect(sockets()).toEqual([`${run.pid}.sock`]);
		expect(ioasis("walk", "0x0").status).toBe(1);
		expect(sockets()).toEqual([]);
	});

	test("no call is disturbed by being asked all the time, and each question is answered", async () => {
		const flood = ["--", process.execPath, "test/end-to-end/clients/flood.mjs", "3"];
		const run = spawn(command, ["run", "-q", ...flood], { stdio: ["ignore", "inherit", "inherit"] });
		const exit = once(run, "exit");
		let answers = 0;
		for (let isOver = false; !isOver; ) {
			await new Promise((resolve) => setTimeout(resolve, 1));
			const [found] = await findRuns();
			const answer = found && (await askRun(found, { about: "walk", iovas: ["0x1000"] }));
			if (answer) answers++;
			isOver = run.exitCode !== null || run.signalCode !== null;
			expect(answer ?? { problem: "it has ended" }).toMatchObject({
				problem: expect.stringMatching(/no page table|has ended/),
			});
		}
		expect(await exit).toEqual([0, null]);
		expect(answers).toBeGreaterThan(20);
	});
});
