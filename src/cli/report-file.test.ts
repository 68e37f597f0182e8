import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DmaError } from "../machine/dma-checker.js";
import { lineOf } from "./dma-error-text.js";
import { ReportFile, readReport } from "./report-file.js";

const failure = { thread: 7, path: "/dev/iommu", call: "IOMMU_DESTROY", errno: "ENOENT", reason: "no object 9" };
const end = { code: 0, calls: 1, errors: {}, leftovers: [], stillOpen: [] };
let directory: string;
let path: string;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "ioasis-report-"));
	path = join(directory, "report.jsonl");
});

afterEach(() => rmSync(directory, { recursive: true }));

test("what one thread and another one write is read as one report", () => {
	const report = ReportFile.start(path);
	new ReportFile(report.fd).failure(failure);
	report.end(end);
	expect(readReport(path)).toEqual({ failures: [{ event: "failure", ...failure }], end: { event: "end", ...end } });
});

test("a report that was interrupted has what is complete, and no end", () => {
	ReportFile.start(path).failure(failure);
	appendFileSync(path, '{"event":"fail');
	expect(readReport(path)).toEqual({ failures: [{ event: "failure", ...failure }], end: undefined });
	expect(readReport(join(directory, "never-written"))).toEqual({ failures: [], end: undefined });
});

test("what a program has written there that is no event is left out", () => {
	const report = ReportFile.start(path);
	appendFileSync(path, '{"event":"end","code":{}}\nnull\n\x1b[2J\n{"event":"failure","thread":"7"}\n');
	report.failure(failure);
	expect(readReport(path)).toEqual({ failures: [{ event: "failure", ...failure }], end: undefined });
});

test("of DMAs that go wrong so many are written, too, and the calls that fail after them all the same", () => {
	const report = ReportFile.start(path);
	const error: DmaError = {
		...{ kind: "not mapped", device: "0000:00:02.0", pasid: 0, isWrite: false, start: 0x1000n, length: 8 },
		...{ iova: 0x1000n, reason: "nothing is there", map: "IOAS 2", below: { first: 0n, last: 0xfffn } },
	};
	for (let i = 0; i < 1100; i++) report.dma(lineOf(error));
	report.failure(failure);
	const lines = readFileSync(path, "utf8").trimEnd().split("\n");
	expect(lines).toHaveLength(1001);
	expect(JSON.parse(lines[0])).toEqual({
		...{ event: "dma error", kind: "not mapped", device: "0000:00:02.0", pasid: 0, isWrite: false, start: "0x1000" },
		...{ length: 8, iova: "0x1000", reason: "nothing is there", map: "IOAS 2", below: { first: "0x0", last: "0xfff" } },
	});
	expect(readReport(path).failures).toHaveLength(1);
});

test("a program that fails for ever doesn't fill the disk", () => {
	const report = ReportFile.start(path);
	for (let i = 0; i < 1100; i++) report.failure(failure);
	expect(readFileSync(path, "utf8").split("\n")).toHaveLength(1001);
});
