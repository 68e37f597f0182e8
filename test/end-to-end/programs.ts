// Programs that are run under bin/ioasis by the tests here.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Whether clients in C can be built here. */
export const hasCompiler = spawnSync("cc", ["--version"]).status === 0;

/** A directory of its own for a test file; call the function when it is over. */
export function temporaryDirectory(): { path: string; remove: () => void } {
	const path = mkdtempSync(join(tmpdir(), "ioasis-test-"));
	return { path, remove: () => rmSync(path, { recursive: true }) };
}

/** Builds clients/NAME.c; returns the program's path. */
export function buildClient(name: string, directory: string, options: readonly string[] = []): string {
	const program = join(directory, `${name}${options.join("")}`);
	const source = fileURLToPath(new URL(`clients/${name}.c`, import.meta.url));
	execFileSync("cc", ["-O2", "-Wall", "-Werror", "-pthread", ...options, "-o", program, source], { stdio: "pipe" });
	return program;
}

export interface Outcome {
	readonly status: number | null;
	readonly stdout: string;
	readonly stderr: string;
}

/** bin/ioasis of this checkout. */
export const command = join(root, "bin/ioasis");

/** Runs it with some words. */
export function ioasis(...words: string[]): Outcome {
	return spawn(command, ...words);
}

/** Runs any program to its end; one that hangs fails the test instead of all of them. */
export function spawn(program: string, ...words: string[]): Outcome {
	const { status, stdout, stderr } = spawnSync(program, words, {
		cwd: root,
		encoding: "utf8",
		timeout: 120_000,
		killSignal: "SIGKILL",
	});
	return { status, stdout, stderr };
}
