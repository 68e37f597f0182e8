import { expect, test } from "vitest";
import { matrixTable } from "./matrix-table.js";
import type { Failure } from "./report-file.js";
import { countInWords, type Judged } from "./verdict.js";

const common = { failures: [], firstFailure: undefined, seconds: 1, output: "", because: undefined };
const refused = { path: "/dev/iommu", call: "IOMMU_HWPT_ALLOC", errno: "ENODEV", reason: "not finished" } as Failure;
const outcomes: Judged[] = [
	// It tried something in vain, and went on.
	{
		...common,
		machine: "intel",
		policy: "posted",
		ending: { kind: "exited", code: 0 },
		verdict: "passes",
		firstFailure: refused,
	},
	{
		...common,
		machine: "arm",
		policy: "posted",
		ending: { kind: "exited", code: 3 },
		verdict: "fails",
		firstFailure: refused,
	},
	{
		...common,
		machine: "arm",
		policy: "agreed",
		ending: { kind: "killed", signal: 11 },
		verdict: "fails",
		output: "hello\nboom\n\n",
	},
	{ ...common, machine: "arm", policy: "mainline", ending: { kind: "timed out" }, verdict: "fails as expected" },
];

test("a line says how it ended, and the first call that failed or the program's last words", () => {
	expect(matrixTable(outcomes, false).split("\n")).toEqual([
		"machine  policy    result              first call that failed, and why",
		"intel    posted    pass",
		"arm      posted    exit 3              IOMMU_HWPT_ALLOC: ENODEV: not finished",
		"arm      agreed    SIGSEGV             no call; it said: boom",
		"arm      mainline  timeout (expected)  no call",
	]);
});

test("colours don't move the columns", () => {
	const coloured = matrixTable(outcomes, true);
	expect(coloured).toContain("\x1b[32mpass");
	// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one
	expect(coloured.replaceAll(/\x1b\[\d+m/g, "")).toBe(matrixTable(outcomes, false));
});

test("the count is a sentence", () => {
	expect(countInWords(outcomes)).toBe("4 combinations: 1 passes, 1 fails as expected, 2 fail");
	expect(countInWords([])).toBe("0 combinations: none to run");
});
