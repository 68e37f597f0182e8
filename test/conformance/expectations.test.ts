import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Expectations } from "./expectations.js";
import { Trouble } from "./trouble.js";

let directory: string;
let path: string;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "ioasis-expectations-"));
	path = join(directory, "expected.json");
});

afterEach(() => rmSync(directory, { recursive: true }));

test("what a run showed is remembered, and what it did not run stays as it was", () => {
	writeFileSync(path, '{ "iommufd": { "f.a": ["x", "y"], "g": ["z"] } }');
	const expectations = Expectations.load(path);
	expectations.update("iommufd", [
		{ name: "f.a.x", outcome: "failed" },
		{ name: "f.b.x", outcome: "passed" },
		{ name: "f.b.y", outcome: "skipped" },
	]);
	expectations.save(path);
	expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ iommufd: { "f.a": ["y"], "f.b": ["x"], g: ["z"] } });
});

test("only a test that is named, of that program, must pass", () => {
	writeFileSync(path, '{ "iommufd": { "f.a": ["x"] } }');
	const expectations = Expectations.load(path);
	expect(expectations.mustPass("iommufd", "f.a.x")).toBe(true);
	expect(expectations.mustPass("iommufd", "f.a.y")).toBe(false);
	expect(expectations.mustPass("iommufd_fail_nth", "f.a.x")).toBe(false);
});

test("a file that is not there or can't be read says so, instead of expecting nothing", () => {
	expect(() => Expectations.load(path)).toThrow(Trouble);
	writeFileSync(path, "{");
	expect(() => Expectations.load(path)).toThrow(Trouble);
});
