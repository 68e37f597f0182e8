// Groups and containers in the hands of real programs, and beside what a real kernel answered.

import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test, vi } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

vi.setConfig({ testTimeout: 120_000 });

const directory = temporaryDirectory();
afterAll(directory.remove);

const recordings = new URL("../recordings/containers/", import.meta.url).pathname;
/** The recordings are root's, who can pin as much as he likes. */
const isRoot = process.getuid?.() === 0;

describe.skipIf(!hasCompiler)("a program with groups and containers", () => {
	test.skipIf(!isRoot).each(["vfio-intel-39", "vfio-intel-48", "vfio-amd", "iommufd-intel-39"])(
		"gets the answers of Linux to 24 sequences of calls, line by line: %s",
		(name) => {
			const program = buildClient("containers", directory.path);
			const machine = `${recordings}${name}.json`;
			const { stdout, status } = ioasis("run", "--quiet", "--machine", machine, "--", program, "12", "300");
			const expected = readFileSync(`${recordings}${name}.txt`, "utf8").split("\n");
			const lines = stdout.split("\n");
			const first = expected.findIndex((line, index) => line !== lines[index]);
			expect([first, lines[first]]).toEqual([-1, undefined]);
			expect([lines.length, status]).toEqual([expected.length, 0]);
		},
	);
});
