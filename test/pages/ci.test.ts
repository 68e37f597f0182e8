// docs/ci.md's files: each step of theirs is run as a CI's shell would run it, but for what it installs.

import { copyFileSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { spawn, temporaryDirectory } from "../end-to-end/programs.js";
import { type Block, blocksOf } from "./blocks.js";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const { path: root, remove } = temporaryDirectory();
afterAll(remove);

/** What a CI fills in before its shell sees a line. */
const FILLED_IN: readonly [written: RegExp, value: string][] = [
	[/\$\{\{ matrix\.machine \}\}/g, "intel"],
	[/\$\{\{ matrix\.shard \}\}/g, "2"],
];

/** GitHub's `run:`, and what is in a list below GitLab's `script:`. */
function commandsOf({ lines }: Block): string[] {
	const commands: string[] = [];
	let scriptIndent = -1;
	for (const line of lines) {
		const indent = line.search(/\S/);
		const item = /^\s*- (.*)/.exec(line)?.[1];
		if (indent <= scriptIndent) scriptIndent = -1;
		if (/^\s*script:$/.test(line)) scriptIndent = indent;
		else if (scriptIndent >= 0 && item !== undefined) commands.push(item);
		const run = /^\s*(?:- )?run: (.*)/.exec(line)?.[1];
		if (run !== undefined) commands.push(run);
	}
	return commands.map((command) => FILLED_IN.reduce((text, [written, value]) => text.replace(written, value), command));
}

const blocks = blocksOf("docs/ci.md", readFileSync(join(checkout, "docs", "ci.md"), "utf8"));
const files = blocks.filter(({ language }) => language === "yaml");

test("there are files for GitHub and for GitLab", () => {
	expect(files.length).toBeGreaterThan(2);
	for (const file of files) expect(commandsOf(file).length).toBeGreaterThan(1);
});

describe.each(files)("the file at docs/ci.md:$line", (file) => {
	test("each of its steps works", { timeout: 300_000 }, () => {
		const directory = join(root, `${file.line}`);
		mkdirSync(directory);
		copyFileSync(join(checkout, "test", "pages", "programs", "my-vmm.mjs"), join(directory, "my-vmm-tests.mjs"));
		symlinkSync(join(checkout, "node_modules"), join(directory, "node_modules"));
		symlinkSync("my-vmm-tests.mjs", join(directory, "my-vmm-tests"));
		const environment = `export MACHINE=intel PATH=${join(checkout, "bin")}${delimiter}$PATH`;
		for (const command of commandsOf(file)) {
			if (command.startsWith("npm install")) continue;
			const { status, stdout, stderr } = spawn("sh", "-ec", `cd ${directory}; ${environment}; ${command}`);
			// A trace in which no call failed has nothing to explain.
			expect({ command, status, printed: status === 0 ? "" : stdout + stderr }).toEqual({
				command,
				status: 0,
				printed: "",
			});
		}
	});
});
