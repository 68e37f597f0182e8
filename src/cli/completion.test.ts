import { expect, test, vi } from "vitest";
import { policies } from "../iommufd/hwpt-policy.js";

vi.stubGlobal("VERSION", "0.0.0");
// The machines that ship are beside dist/, and here there is none.
vi.mock("./machine-files.js", () => ({
	machineNames: () => ["amd", "intel"].map((name) => ({ name, description: "" })),
}));
const { program } = await import("./command-line.js");
const { candidates } = await import("./completion.js");

const of = (...words: string[]) => candidates(program, words);

test("first a command is completed, without those that nobody types", () => {
	expect(of("ru")).toEqual(["run"]);
	expect(of("")).toContain("matrix");
	expect(of("")).not.toContain("complete");
	expect(of("--ver")).toEqual(["--version"]);
});

test("then its options, and their values where they are known", () => {
	expect(of("run", "--trace-f")).toEqual(["--trace-filter", "--trace-format"]);
	expect(of("run", "--trace-format", "")).toEqual(["text", "json"]);
	expect(of("run", "-m", "in")).toEqual(["intel"]);
	expect(of("run", "--quiet", "--machine", "")).toEqual(["amd", "intel"]);
	expect(of("run", "-p", "")).toEqual([...policies.keys()]);
});

test("of a list with commas, its last part", () => {
	expect(of("matrix", "--machines", "intel,a")).toEqual(["intel,amd"]);
});

test("nothing where a file or anything else is expected, which the shell completes", () => {
	expect(of("run", "--record", "")).toEqual([]);
	expect(of("run", "./pro")).toEqual([]);
});

test("help is completed by commands, completion by shells", () => {
	expect(of("help", "mat")).toEqual(["matrix"]);
	expect(of("completion", "")).toEqual(["bash", "zsh", "fish"]);
});
