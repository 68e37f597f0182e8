// Clients in C, for what Node can't do: choosing an instruction, faulting in one thread of several, being killed at an access.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const built = join(checkout, ".cache", "host-clients", String(process.pid));

/** Whether there is a C compiler. Without one those tests are skipped. */
export const hasCompiler = spawnSync("gcc", ["--version"]).status === 0;

/**
 * Builds a client.
 * @param source from src/host/ on
 * @param files that it includes, and that are made for it
 * @returns the program's path
 */
export function buildClient(source: string, files: { readonly [name: string]: string } = {}): string {
	mkdirSync(built, { recursive: true });
	for (const [name, text] of Object.entries(files)) writeFileSync(join(built, name), text);
	const program = join(built, basename(source, ".c"));
	const words = ["-O2", "-Wall", "-I", built, "-o", program, join(checkout, "src", "host", source), "-lpthread"];
	const { status, stderr } = spawnSync("gcc", words, { encoding: "utf8" });
	if (status !== 0) throw new Error(`gcc ${words.join(" ")}: ${stderr}`);
	return program;
}

/** Call it after the tests of a file. */
export function removeClients(): void {
	rmSync(built, { recursive: true, force: true });
}
