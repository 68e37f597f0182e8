// ioasis matrix as a user or a CI system sees it. The programs are small ones: what the engine answers is tested elsewhere.

import { spawn as start } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, test, vi } from "vitest";
import { command, ioasis, temporaryDirectory } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const directory = temporaryDirectory();
afterAll(directory.remove);

const matrix = (...words: string[]) => ioasis("matrix", ...words);
const two = ["--machines", "intel,pamu-2023", "--policies", "mainline"];
/** Binds a device, which pamu-2023 doesn't let it. */
const bind = ["--", process.execPath, "examples/hwpt-thread.mjs", "bind"];

function file(name: string, text?: string): string {
	const path = join(directory.path, name);
	if (text !== undefined) writeFileSync(path, text);
	return path;
}

test("a program that works everywhere is a table of passes, and exit code 0", () => {
	const { status, stdout, stderr } = matrix("--machines", "intel,s390", "--", "true");
	expect(stdout.split("\n")).toEqual([
		"machine  policy    result  first call that failed, and why",
		"intel    posted    pass",
		"intel    agreed    pass",
		"intel    mainline  pass",
		"s390     posted    pass",
		"s390     agreed    pass",
		"s390     mainline  pass",
		"",
		"6 combinations: 6 pass",
		"",
	]);
	expect([status, stderr]).toEqual([0, ""]);
});

test("where it fails, the table has the first call that failed and its reason, and what to do next", () => {
	const { status, stdout, stderr } = matrix(...two, ...bind);
	expect(stdout).toMatch(/^intel +mainline +pass$/m);
	expect(stdout).toMatch(/^pamu-2023 +mainline +exit 1 +VFIO_DEVICE_BIND_IOMMUFD: EOPNOTSUPP: .*has no DMA domains$/m);
	expect(stderr).toMatch(/ioasis run --trace --machine pamu-2023 --policy mainline -- .*hwpt-thread.mjs bind\n$/);
	expect(status).toBe(1);
});

describe("--expect", () => {
	const expecting = (entry: object) =>
		matrix(...two, "--expect", file("expect.json", JSON.stringify({ mayFail: [entry] })), ...bind);

	test("makes a failure that it allows no failure of the matrix", () => {
		const { status, stdout, stderr } = expecting({ machines: ["pamu-2023"], errno: "EOPNOTSUPP" });
		expect(stdout).toMatch(/^pamu-2023 +mainline +exit 1 \(expected\) +VFIO_DEVICE_BIND_IOMMUFD: EOPNOTSUPP/m);
		expect([status, stderr]).toEqual([0, ""]);
	});

	test("allows nothing else: with another errno it is a failure", () => {
		expect(expecting({ machines: ["pamu-2023"], errno: "ENOMEM" }).status).toBe(1);
	});
});

test("--json has for each combination what the table has, and what the program wrote", () => {
	const { status, stdout } = matrix(...two, "--json", ...bind);
	const { combinations } = JSON.parse(stdout);
	expect(combinations).toEqual([
		expect.objectContaining({ machine: "intel", verdict: "passes", result: "pass", output: "bind works\n" }),
		expect.objectContaining({
			machine: "pamu-2023",
			policy: "mainline",
			verdict: "fails",
			result: "exit 1",
			firstFailure: {
				path: "/dev/vfio/devices/vfio0",
				call: "VFIO_DEVICE_BIND_IOMMUFD",
				errno: "EOPNOTSUPP",
				reason: expect.stringContaining("no DMA domains"),
			},
		}),
	]);
	expect(status).toBe(1);
});

test("--junit writes JUnit XML beside the table", () => {
	const xml = file("junit.xml");
	const { stdout } = matrix(...two, "--junit", xml, ...bind);
	expect(stdout).toContain("2 combinations: 1 passes, 1 fails");
	const text = readFileSync(xml, "utf8");
	expect(text).toContain('tests="2" failures="1"');
	expect(text).toContain('<testcase classname="pamu-2023" name="mainline"');
	expect(text).toContain('<failure type="exit 1" message="VFIO_DEVICE_BIND_IOMMUFD: EOPNOTSUPP: ');
});

test("the shards of a matrix are disjoint, and together all of it", () => {
	const rows = (...words: string[]) =>
		JSON.parse(matrix("--machines", "intel,s390", ...words, "--json", "--", "true").stdout).combinations.map(
			({ machine, policy }: { machine: string; policy: string }) => `${machine} ${policy}`,
		);
	const shards = [1, 2, 3, 4].map((part) => rows("--shard", `${part}/4`));
	expect(shards.map(({ length }) => length)).toEqual([2, 2, 1, 1]);
	expect(shards.flat().sort()).toEqual(rows().sort());
});

test("a program that hangs is killed with all that it started, and the others go on", () => {
	const pidFile = file("pid");
	const hang = `sleep 1000 & echo $! > ${pidFile}; wait`;
	const { status, stdout } = matrix(...two, "--timeout", "2", "--jobs", "1", "--", "sh", "-c", hang);
	expect(stdout.match(/timeout {2}no call$/gm)).toHaveLength(2);
	const isZombie = (pid: string) => readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
	const pid = readFileSync(pidFile, "utf8").trim();
	expect(existsSync(`/proc/${pid}`) && !isZombie(pid)).toBe(false);
	expect(status).toBe(1);
});

test.each([
	["matrix", ["matrix", ...two], /^intel +mainline +pass\n\n1 combination: 1 passes\n$/m],
	["--fail-each", ["run", "--fail-each"], /^0 places: nothing to fail\n$/],
] as const)("%s that a signal ends prints what had ended", async (name, words, printed) => {
	const [first, second] = ["first", "second"].map((run) => file(`${name}-${run}`));
	const script = `if [ -e ${first} ]; then touch ${second}; sleep 1000; else touch ${first}; fi`;
	const child = start(command, [...words, "--jobs", "1", "--", "sh", "-c", script]);
	const closed = once(child, "close");
	const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => text(stream));
	await vi.waitFor(() => expect(existsSync(second)).toBe(true), { timeout: 60_000, interval: 50 });
	child.kill("SIGINT");
	expect(await stdout).toMatch(printed);
	expect(await stderr).toContain("ioasis: SIGINT: that is what had ended\n");
	expect(await closed).toEqual([130, null]);
});

test("--record-on-failure keeps a recording of each run that fails", () => {
	const recordings = file("recordings");
	matrix(...two, "--record-on-failure", recordings, ...bind);
	expect(readdirSync(recordings)).toEqual(["pamu-2023-mainline.rec"]);
});

test("a program that a signal kills is told by its name", () => {
	expect(matrix(...two, "--", "sh", "-c", "kill -SEGV $$").stdout.match(/SIGSEGV/g)).toHaveLength(2);
});

describe("what is wrong is said in a line, and what to do in another", () => {
	test.each([
		[["--machines", "nonesuch", "--", "true"], 2, /there is no machine "nonesuch".*\n +`ioasis machines`/],
		[["--policies", "posted,wished", "--", "true"], 2, /no policy "wished"\n +the policies are: mainline, /],
		[["--shard", "3/2", "--", "true"], 2, /--shard 3\/2 is not a part\n +give I\/N/],
		[["--jobs", "many", "--", "true"], 2, /--jobs many: not a whole number above 0\n +give 1 or more/],
		[["--timeout", "0", "--", "true"], 2, /--timeout 0: not a whole number above 0\n +give 1 or more/],
		[["--expect", "/no/file", "--", "true"], 2, /\/no\/file can't be read: ENOENT\n/],
		[["--junit", "/no/such/file", "--", "true"], 2, /\/no\/such\/file can't be written: ENOENT\n/],
		[["--", "./no-such-program"], 127, /^ioasis: \.\/no-such-program: not found$/],
		[[], 2, /missing required argument 'program'/],
	])("%j", (words, status, message) => {
		const outcome = matrix(...words);
		expect(outcome.stderr.trimEnd()).toMatch(message);
		expect([outcome.status, outcome.stdout]).toEqual([status, ""]);
	});
});

describe("run --report", () => {
	const report = file("report.jsonl");
	const lines = () =>
		readFileSync(report, "utf8")
			.trimEnd()
			.split("\n")
			.map((line) => JSON.parse(line));

	test("has a line for each call that fails, and one for the end", () => {
		const words = ["--quiet", "--machine", "pamu-2023", "--report", report];
		expect(ioasis("run", ...words, ...bind).status).toBe(1);
		expect(lines()).toEqual([
			{
				event: "failure",
				thread: expect.any(Number),
				path: "/dev/vfio/devices/vfio0",
				call: "VFIO_DEVICE_BIND_IOMMUFD",
				errno: "EOPNOTSUPP",
				reason: expect.any(String),
			},
			{ event: "end", code: 1, calls: 3, errors: { EOPNOTSUPP: 1 }, leftovers: [], stillOpen: [] },
		]);
	});

	test("goes with --trace", () => {
		const { stderr } = ioasis("run", "--quiet", "--trace", "--machine", "pamu-2023", "--report", report, ...bind);
		expect(stderr).toMatch(/VFIO_DEVICE_BIND_IOMMUFD, .* = -1 EOPNOTSUPP\n {5}0000:00:02.0 is behind pamu-2023/);
		expect(lines()).toHaveLength(2);
	});

	test("that can't be written, and a policy that isn't there, are said before anything runs", () => {
		expect(ioasis("run", "--report", "/no/such/file", "--", "true").stderr).toMatch(/can't be written to .*: ENOENT\n/);
		const { status, stderr } = ioasis("run", "--policy", "wished", "--", "echo", "started");
		expect(stderr).toMatch(/there is no policy "wished"\n +the policies are: mainline, agreed, posted, reordered\n/);
		expect(status).toBe(2);
	});
});

test("the help of both names each policy, and fits on a screen", () => {
	for (const command of ["run", "matrix"]) {
		const { stdout } = ioasis(command, "--help");
		for (const policy of ["posted", "agreed", "reordered", "mainline"]) expect(stdout).toContain(policy);
		expect(stdout.split("\n").length).toBeLessThan(60);
	}
});
