// The command line as a user or a script sees it.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { command, ioasis, type Outcome, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const run = (...words: string[]) => ioasis("run", ...words);
const example = "examples/first-steps.mjs";

describe("the program's end is ours", () => {
	test("its exit code", () => {
		expect(run("--quiet", "--", "sh", "-c", "exit 42").status).toBe(42);
		expect(run("--quiet", "--", "true")).toEqual({ status: 0, stdout: "", stderr: "" });
	});

	test("its signal, as a shell tells it", () => {
		expect(run("--quiet", "--", "sh", "-c", "kill -TERM $$").status).toBe(128 + 15);
	});

	test("what it writes and reads, and its arguments byte by byte", () => {
		const { stdout, stderr } = run("--quiet", "--", "sh", "-c", 'echo "$1"; echo error >&2', "sh", "a  b\n'c'");
		expect([stdout, stderr]).toEqual(["a  b\n'c'\n", "error\n"]);
	});

	test("its options are its own, also without --", () => {
		const words = ["--trace", "-m", "amd", "--quiet", "--", "-h"];
		expect(run("--quiet", "echo", ...words)).toEqual({ status: 0, stdout: `${words.join(" ")}\n`, stderr: "" });
	});

	test("whether its calls can be traced makes no difference to it", () => {
		const { status, stderr } = run("--trace=/dev/full", "--", process.execPath, example);
		expect(status).toBe(0);
		expect(stderr).toContain("the trace ends here");
	});

	test("processes that it leaves behind are waited for, and are served", () => {
		const late = `setTimeout(() => require("node:fs").openSync("/dev/iommu", "r+"), 300)`;
		const { stderr } = run("--", "sh", "-c", `"$0" -e '${late}' & exit 3`, process.execPath);
		expect(stderr).toContain("1 call,");
	});
});

describe("what is wrong is said in a line, and what to do in another", () => {
	test.each([
		[["run", "--machine", "nonesuch", "--", "true"], 2, /there is no machine "nonesuch".*\n.*ioasis machines/],
		[["run", "--nonsense", "--", "true"], 2, /unknown option '--nonsense'\n+Try: ioasis run --help/],
		[["run"], 2, /missing required argument 'program'/],
		[["nonsense"], 2, /unknown command 'nonsense'/],
		[["run", "--trce", "--", "true"], 2, /unknown option '--trce'\n\(Did you mean --trace\?\)/],
		[["run", "--machine", "--", "true"], 2, /--machine needs a value, and "--" stands in its place/],
		[["run", "--trace", "calls.txt", "--", "true"], 127, /calls\.txt is taken for the program.*\n.*--trace=calls\.txt/],
		[["run", "--", "/tmp"], 126, /\/tmp is a directory/],
		[["run", "--trace-filter", "device=x", "--trace", "--", "true"], 2, /device=x: a device is like vfio0/],
		[["run", "--trace-times", "--", "true"], 2, /--trace-times is about a trace, and there is none/],
		[["run", "--", "./no-such-program"], 127, /\.\/no-such-program: not found/],
		[["run", "--", "/etc/passwd"], 126, /\/etc\/passwd: can't be started: EACCES/],
		[
			["run", "--trace=/no/such/directory/file", "--", "true"],
			2,
			/can't be written to \/no\/such\/directory\/file: ENOENT/,
		],
	])("%j", (words, status, message) => {
		const outcome = ioasis(...words);
		expect(outcome.stderr).toMatch(message);
		expect(outcome.stderr).not.toMatch(/\n\s+at /); // no stack
		expect(outcome.status).toBe(status);
	});

	test.each([
		["{", /:1:2: a field.s name in quotes is expected here/],
		['{ "name": "mine" }', /description/],
		['{ "name": "mine", "description": "x", "selftest": "yes" }', /selftest/],
		['{ "name": "mine", "description": "x", "memory": { "contiguity": "8K" } }', /memory\.contiguity/],
	])("a machine file that says %s", (text, message) => {
		const file = join(directory.path, "machine.json");
		writeFileSync(file, text);
		const { status, stderr } = run("--machine", file, "--", "true");
		expect(stderr).toMatch(message);
		expect(stderr).toContain(file);
		expect(status).toBe(2);
	});
});

describe("--trace", () => {
	const lines = [
		/^\d+ open\("\/dev\/iommu", O_RDWR\) = \d+$/,
		/^\d+ ioctl\(\d+<\/dev\/iommu>, IOMMU_IOAS_ALLOC, {flags=0}\) = 0 {out_ioas_id=1}$/,
		/^\d+ ioctl\(\d+<\/dev\/iommu>, IOMMU_TEST_CMD, {op=MOCK_DOMAIN, id=1}\) = 0 {out_stdev_id=2, out_hwpt_id=4, out_idev_id=3}$/,
		/IOMMU_IOAS_MAP, {flags=WRITEABLE\|READABLE, ioas_id=1, user_va=0x[0-9a-f]+, length=1048576, iova=0x0}\) = 0 {iova=0x1[0-9a-f]+}$/,
		/IOMMU_IOAS_MAP, {flags=FIXED_IOVA\|READABLE, .*iova=0x1001001}\) = -1 EINVAL$/,
		/^ {5}iova 0x1001001 is not a multiple of 0x800, the alignment of IOAS 1/,
		/^ {5}-> Round the start down and the length up to the alignment/,
		/IOMMU_IOAS_UNMAP, {ioas_id=1, iova=0x1[0-9a-f]+, length=1048576}\) = 0$/,
		/IOMMU_DESTROY, {id=2}\) = 0$/,
	];

	test("prints each call on stderr, and below an error the rule that was broken and what to do", () => {
		const { status, stderr } = run("--quiet", "--trace", "--", process.execPath, example);
		const printed = stderr.trimEnd().split("\n");
		for (const [i, line] of lines.entries()) expect(printed[i]).toMatch(line);
		expect(printed).toHaveLength(lines.length);
		expect(status).toBe(0);
	});

	test("=FILE writes them to a file instead", () => {
		const file = join(directory.path, "trace.txt");
		const { stderr } = run(`--trace=${file}`, "--", process.execPath, example);
		expect(stderr).toBe(
			"ioasis: 7 calls, 1 error: 1 EINVAL\nioasis: left allocated: 1 IOAS when /dev/iommu was closed\n",
		);
		expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(lines.length);
	});
});

describe("what can be told of a trace", () => {
	const traced = (...options: string[]) =>
		run("--quiet", "--trace", ...options, "--", process.execPath, example).stderr;

	test("--trace-filter leaves lines out", () => {
		const lines = traced("--trace-filter", "errors,ioas_*").trimEnd().split("\n");
		expect(lines.map((line) => line.replace(/.*(IOMMU_\w+), .*/, "$1"))).toEqual([
			"IOMMU_IOAS_MAP",
			expect.stringContaining("0x1001001"),
			expect.stringContaining("-> "),
		]);
	});

	test("--trace-times has the time before each line, and how long it took after it", () => {
		expect(traced("--trace-times", "--trace-filter", "destroy")).toMatch(
			/^\d\d:\d\d:\d\d\.\d{6} \d+ .* = 0 <\d+\.\d{6}>\n$/,
		);
	});

	test("--trace-format json is an object a line", () => {
		const lines = traced("--trace-format", "json").trimEnd().split("\n");
		const calls = lines.map((line) => JSON.parse(line));
		expect(calls.map(({ call, command }) => command ?? call)).toEqual([
			"open",
			"IOMMU_IOAS_ALLOC",
			"IOMMU_TEST_CMD",
			"IOMMU_IOAS_MAP",
			"IOMMU_IOAS_MAP",
			"IOMMU_IOAS_UNMAP",
			"IOMMU_DESTROY",
		]);
		expect(calls[4]).toMatchObject({ errno: "EINVAL", hint: "alignment", in: { flags: ["FIXED_IOVA", "READABLE"] } });
	});

	test("--trace-totals is a table at the end, without a trace as well", () => {
		const { stderr } = run("--quiet", "--trace-totals", "--", process.execPath, example);
		expect(stderr).toMatch(/^ *seconds +µs each +calls +errors +call\n/);
		expect(stderr).toMatch(/^ *\d+\.\d{6} +\d+\.\d +2 +1 +IOMMU_IOAS_MAP$/m);
		expect(stderr).toMatch(/ 7 +1 +all\n$/);
	});
});

test("--record-on-failure keeps the recording of a program that fails only", () => {
	const file = join(directory.path, "failure.rec");
	run("--quiet", "--record-on-failure", file, "--", process.execPath, example);
	expect(existsSync(file)).toBe(false);
	const { status, stderr } = run(
		"--record-on-failure",
		file,
		"--",
		"sh",
		"-c",
		`"$0" ${example}; exit 3`,
		process.execPath,
	);
	expect([status, stderr]).toEqual([3, expect.stringContaining(`its calls are in ${file}`)]);
	expect(ioasis("replay", "--quiet", file).status).toBe(0);
});

test("what can't be printed is said, and isn't success", () => {
	const { status, stderr } = spawn("sh", "-c", `"${command}" machines >/dev/full`);
	expect(stderr).toContain("ioasis: stdout can't be written: ENOSPC");
	expect(status).toBe(125);
});

test("machines lists each machine with a line about it, also as JSON", () => {
	const { stdout, status } = ioasis("machines");
	expect(stdout).toMatch(/^selftest +the mock IOMMU/m);
	expect(status).toBe(0);
	expect(JSON.parse(ioasis("machines", "--json").stdout)).toContainEqual({
		name: "selftest",
		description: expect.stringContaining("mock IOMMU"),
	});
});

describe("explain", () => {
	test("says of a call and an errno why, and what to do", () => {
		const { stdout, status } = ioasis("explain", "ioas_map", "einval");
		expect(stdout).toMatch(/^IOMMU_IOAS_MAP answers\n/);
		expect(stdout).toContain("  EINVAL: iova <iova> is not a multiple of");
		expect(stdout).toContain("  -> Round the start down and the length up");
		expect(status).toBe(0);
	});

	test("says it of what failed in a trace, a recording and a report", () => {
		const [trace, recording, report] = ["trace", "record", "report"].map((name) => join(directory.path, name));
		const options = [`--trace=${trace}`, "--record", recording, "--report", report];
		run("--quiet", ...options, "--", process.execPath, example);
		for (const file of [trace, recording, report]) {
			const { stdout, status } = ioasis("explain", file);
			expect(stdout).toMatch(/1 call failed\n\nIOMMU_IOAS_MAP: EINVAL \((line|call) \d+\)\n {2}iova 0x1001001 is not/);
			expect(stdout).toContain("  -> Round the start down and the length up");
			expect(status).toBe(0);
		}
	});

	test("says what was meant, when there is no such call", () => {
		const { stderr, status } = ioasis("explain", "IOAS_MAPP");
		expect(stderr).toContain("did you mean IOMMU_IOAS_MAP?");
		expect(status).toBe(2);
		expect(ioasis("explain", "IOAS_MAP", "EINVALL").stderr).toContain("did you mean EINVAL?");
	});
});

test("doctor finds that it works, where it does", () => {
	const { stdout, status } = ioasis("doctor", "--json");
	const { ok, findings } = JSON.parse(stdout);
	expect(findings.filter((finding: { ok: boolean }) => !finding.ok)).toEqual([]);
	expect([ok, status]).toEqual([true, 0]);
});

test("a report stays the file that it was begun as, whatever the program puts in its place, and isn't the program's", () => {
	const [report, victim] = ["report", "victim"].map((name) => join(directory.path, name));
	const script = 'ls -l /proc/self/fd; mv "$0" "$0.moved"; ln -s "$1" "$0"';
	const { stdout } = run("--quiet", "--report", report, "--", "sh", "-c", script, report, victim);
	expect(stdout).not.toContain(report);
	expect(readFileSync(`${report}.moved`, "utf8")).toContain('"event":"end"');
	expect(existsSync(victim)).toBe(false);
});

test("help fits on a screen and has an example", () => {
	for (const [words, most] of [
		[["--help"], 30],
		[["help", "run"], 60],
	] as const) {
		const { stdout, status } = ioasis(...words);
		expect(stdout.split("\n").length).toBeLessThan(most);
		expect(stdout).toContain("Example:\n  ioasis run --trace -- ");
		expect(status).toBe(0);
	}
	expect(ioasis().status).toBe(2);
});

test("the version is package.json's", () => {
	const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
	for (const option of ["-V", "--version"]) expect(ioasis(option).stdout).toBe(`${version}\n`);
});

test("bash takes what completion prints, and gets its candidates", () => {
	const script = `PATH="${dirname(command)}:$PATH"; source <(ioasis completion bash)
		COMP_WORDS=(ioasis run --trace-f); COMP_CWORD=2; _ioasis; echo "\${COMPREPLY[@]}"`;
	expect(spawn("bash", "-c", script).stdout).toBe("--trace-filter --trace-format\n");
});

/** Runs ioasis itself as the user nobody. */
function asNobody(...words: string[]): Outcome {
	return spawn("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", command, ...words);
}

// Where root can't become nobody, or nobody can't read the checkout, all of the above was run by an ordinary user, or nothing is to be seen.
test.skipIf(asNobody("machines").status !== 0)(
	"an ordinary user can run it as root can, but is no more capable",
	() => {
		const { status, stderr } = asNobody("run", "--quiet", "--trace", "--", process.execPath, example);
		expect(stderr).toContain("IOMMU_DESTROY, {id=2}) = 0");
		expect(status).toBe(0);
	},
);
