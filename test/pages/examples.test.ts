// examples/edu in each of its languages does the same: where its toolchain is there.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { ioasis, spawn, temporaryDirectory } from "../end-to-end/programs.js";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const { path: directory, remove } = temporaryDirectory();
afterAll(remove);

const examples = join(checkout, "examples");
const built = join(directory, "edu");

interface Example {
	readonly language: string;
	readonly toolchain: readonly [program: string, ...words: string[]];
	/** How it is built, if it is. */
	readonly build?: readonly [program: string, ...words: string[]];
	readonly run: readonly string[];
}

const EXAMPLES: readonly Example[] = [
	{ language: "JavaScript", toolchain: ["node", "--version"], run: ["node", join(examples, "edu.mjs")] },
	{ language: "Python", toolchain: ["python3", "--version"], run: ["python3", join(examples, "edu/edu.py")] },
	{
		language: "C",
		toolchain: ["cc", "--version"],
		build: ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", `${built}-c`, join(examples, "edu/edu.c")],
		run: [`${built}-c`],
	},
	{
		language: "Go",
		toolchain: ["go", "version"],
		build: ["go", "build", "-o", `${built}-go`, join(examples, "edu/edu.go")],
		run: [`${built}-go`],
	},
	{
		language: "Rust",
		toolchain: ["cargo", "--version"],
		build: [
			...(["cargo", "build", "--quiet", "--locked", "--manifest-path"] as const),
			...[join(examples, "edu/rust/Cargo.toml"), "--target-dir", `${built}-rust`],
		],
		run: [`${built}-rust/debug/edu`],
	},
];

const has = ([program, ...words]: readonly [string, ...string[]]): boolean => spawnSync(program, words).status === 0;

describe.each(EXAMPLES)("in $language", ({ toolchain, build, run }) => {
	test.skipIf(!has(toolchain))(
		"it finds the device, has it copy through the IOMMU, and leaves nothing",
		{ timeout: 300_000 },
		() => {
			if (build) {
				const { status, stderr } = spawn(...build);
				expect(stderr).toBe("");
				expect(status).toBe(0);
			}
			for (const machine of ["intel", "amd", "arm"]) {
				const { stdout, stderr, status } = ioasis("run", "--machine", machine, "--", ...run);
				expect(stdout).toMatch(
					/^0000:00:0\d\.0 is vfio\d\nin the second half of the page: through the IOMMU and back\n$/,
				);
				expect(stderr).not.toContain("left allocated");
				expect(status).toBe(0);
			}
		},
	);
});

describe("of the library", () => {
	test.each([
		[
			"machine.mjs",
			/^another is refused: EINVAL: .* the interrupt \(MSI\) window .*\na DMA is lost: .*0x100000.*\nleft: 1 IOAS/m,
		],
		["page-table.mjs", /^\d+ tables of 4 KiB hold it$/m],
	])("%s prints what it is about", (name, shown) => {
		const { status, stdout } = spawn("node", join(examples, name));
		expect(stdout).toMatch(shown);
		expect(status).toBe(0);
	});
});
