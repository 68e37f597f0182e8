// What clients may have us use has an end, which they are told, and nothing is left of it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, type Outcome, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

/** The machine `intel`, whose pages of 4 KiB are all apart: a page table needs an entry for each. */
function scattered(): string {
	const path = join(directory.path, "scattered.json");
	const machine = JSON.parse(readFileSync(new URL("../../machines/intel.json", import.meta.url), "utf8"));
	writeFileSync(path, JSON.stringify({ ...machine, memory: { contiguity: "4K" } }));
	return path;
}

interface Line {
	readonly what: string;
	readonly number: number;
	readonly end: string;
	/** MiB of the whole process by then. */
	readonly resident: number;
}

function linesOf({ stdout }: Outcome): Line[] {
	return [...stdout.matchAll(/^(.+) (\d+) (\w+) (\d+)$/gm)].map(([, what, number, end, resident]) => {
		return { what, number: Number(number), end, resident: Number(resident) };
	});
}

describe.skipIf(!hasCompiler)("what clients may have us use (needs a C compiler)", () => {
	const client = hasCompiler ? buildClient("much", directory.path) : "";
	const run = (machine: string, ...words: string[]) =>
		ioasis("run", "--memory", "48M", "--machine", machine, "--", client, ...words);

	test("a mapping whose page tables don't fit is ENOMEM, and the next one that fits is made", () => {
		const outcome = run(scattered(), "mapping", "4096", "2");
		const ends = linesOf(outcome).map(({ what, end }) => `${what} ${end}`);
		expect(ends).toEqual(["map ENOMEM", "unmap ok", "map ENOMEM", "unmap ok", "map again ok"]);
		expect(Math.max(...linesOf(outcome).map(({ resident }) => resident))).toBeLessThan(48 + 150);
		expect(outcome.stderr).toContain("2 ENOMEM");
	});

	test.each([
		["areas", "10000000", "0"],
		["areas", "10000000", "1"],
		["objects", "10000000"],
	])("%s are as many as fit", (...words) => {
		const outcome = run("intel", ...words);
		const [first, ...others] = linesOf(outcome);
		expect(first.end).toBe("ENOMEM");
		expect(first.number).toBeGreaterThan(10_000);
		expect(others.map(({ end }) => end)).toEqual(others.map(() => "ok"));
		expect(first.resident).toBeLessThan(48 + 150);
		expect(outcome.stderr).not.toContain("internal error");
	});

	test.each([
		["in ascending order", "0"],
		["in descending order", "1"],
	])("300,000 allowed ranges %s are taken in, and as many more as fit", (_, order) => {
		expect(linesOf(run("intel", "ranges", "300000", order))[0]).toMatchObject({ end: "ok" });
		expect(linesOf(run("intel", "ranges", "4000000", order))[0]).toMatchObject({ end: "ENOMEM" });
	});

	test("the reason says what takes most of it, and which option there is", () => {
		const words = ["--trace", "--memory", "48M", "--machine", scattered(), "--", client, "mapping", "4096", "1"];
		expect(ioasis("run", ...words).stderr).toMatch(
			/IOMMU_IOAS_MAP.* = -1 ENOMEM\n +the memory budget is used up: of 48 MiB \(the option --memory\) .* most of it for page tables/,
		);
	});
});

test("a size that can't be is refused", () => {
	const { status, stderr } = ioasis("run", "--memory", "much", "--", "true");
	expect([status, stderr.split("\n")[0]]).toEqual([2, "ioasis: --memory much: not a size"]);
});
