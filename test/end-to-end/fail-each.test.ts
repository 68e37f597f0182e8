// ioasis run --fail-nth and --fail-each, with a program that handles errors as it should, and in some of the ways in which
// it shouldn't.

import { afterAll, describe, expect, test, vi } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const directory = temporaryDirectory();
afterAll(directory.remove);

describe.skipIf(!hasCompiler)("a program whose calls fail one after the other", () => {
	const client = hasCompiler ? buildClient("errors", directory.path) : "";
	const failEach = (habit: string, ...options: string[]) =>
		ioasis("run", "--fail-each", ...options, "--", client, habit);

	test("and that handles each of them is a table, and exit code 0", () => {
		const { status, stdout, stderr } = failEach("careful");
		expect(
			stdout
				.split("\n")
				.slice(0, 5)
				.map((line) => line.trim().split(/ {2,}/)),
		).toEqual([
			["n", "what failed", "in", "program"],
			["1", "a context", "open /dev/iommu: ENOMEM", "exit 1"],
			["2", "an open file", "open /dev/iommu: ENOMEM", "exit 1"],
			["3", "IOAS", "IOMMU_IOAS_ALLOC: ENOMEM", "exit 1"],
			["4", "finding an object", "IOMMU_IOAS_MAP: ENOENT", "exit 1"],
		]);
		expect(stdout).toMatch(/\n(\d+) places: \1 handled\n$/);
		expect([status, stderr]).toEqual([0, ""]);
	});

	test("and that crashes at one of them is told so, with what to do next", () => {
		const { status, stdout, stderr } = failEach("crash", "--jobs", "1");
		expect(stdout).toMatch(/^4 +finding an object +IOMMU_IOAS_MAP: ENOENT +SIGSEGV$/m);
		expect(stdout).toMatch(/places: \d handled, \d crashed\n$/);
		expect(stderr).toContain("ioasis: the first with trouble is 4;");
		expect(stderr).toMatch(/ioasis run --trace .*--fail-nth 4 -- .*errors crash\n$/);
		expect(status).toBe(1);
	});

	test("and that then leaves what it destroys otherwise has a leak", () => {
		const { status, stdout } = failEach("leak");
		expect(stdout).toMatch(/^5 +.*exit 1, leaked 2 IOAS when \/dev\/iommu was closed$/m);
		expect(stdout).toMatch(/places: \d handled, \d leaked\n$/);
		expect(status).toBe(1);
	});

	test("and that exits at once on the error leaves to the kernel what it has, which is no trouble", () => {
		const { status, stdout, stderr } = failEach("exit");
		expect(stdout).toMatch(/^5 +.*exit 1 at once, leaving 1 IOAS when \/dev\/iommu was closed$/m);
		expect(stdout).toMatch(/places: \d handled, \d exited on the error\n$/);
		expect([status, stderr]).toEqual([0, ""]);
	});

	test("and that waits for ever is ended after --timeout", () => {
		const { status, stdout } = failEach("hang", "--timeout", "15", "--jobs", "8", "--json");
		const { runs } = JSON.parse(stdout);
		expect(runs[2]).toMatchObject({
			nth: 3,
			failed: "IOAS",
			call: "IOMMU_IOAS_ALLOC",
			trouble: "hung",
			result: "timeout",
		});
		expect(status).toBe(1);
	});

	test("can be looked at one by one", () => {
		const { status, stderr } = ioasis("run", "--trace", "--fail-nth", "3", "--", client, "careful");
		expect(stderr).toContain(
			"IOMMU_IOAS_ALLOC, {flags=0}) = -1 ENOMEM\n     fault injection: there is no memory for IOAS\n",
		);
		expect(stderr).toContain("ioasis: 3 places where memory may run out, and the 3rd failed: IOAS\n");
		expect(status).toBe(1);
		expect(ioasis("run", "--fail-nth", "0", "--", client, "careful").stderr).toMatch(
			/^ioasis: \d+ places where memory may run out$/m,
		);
	});
});

test("a program that makes no call has nothing to fail", () => {
	expect(ioasis("run", "--fail-each", "--", "true")).toEqual({
		status: 0,
		stdout: "0 places: nothing to fail\n",
		stderr: "",
	});
});

test("a program that fails anyway, or isn't there, or a wrong option, is said at once", () => {
	const fails = ioasis("run", "--fail-each", "--machine", "arm", "--", "sh", "-c", "exit 1");
	expect([fails.status, fails.stderr]).toEqual([
		1,
		expect.stringContaining("fails without anything being made to fail (exit 1)"),
	]);
	expect(fails.stderr).toContain("ioasis run --trace --machine arm --policy mainline -- sh -c 'exit 1'\n");
	expect(ioasis("run", "--fail-each", "--", "/nonexistent/program").status).toBe(127);
	expect(ioasis("run", "--fail-each", "--trace", "--", "true").status).toBe(2);
	expect(ioasis("run", "--fail-each", "--dma-errors", "abort", "--", "true").status).toBe(2);
	expect(ioasis("run", "--jobs", "2", "--", "true").status).toBe(2);
	expect(ioasis("run", "--json", "--", "true").stderr).toMatch(/^ioasis: --json is for .*--fail-each or --dma-errors/);
	expect(ioasis("run", "--fail-nth", "x", "--", "true").status).toBe(2);
	expect(ioasis("run", "--fail-nth", "1", "--record", "/dev/null", "--", "true").status).toBe(2);
});
