// What the commands have in common that make many runs of a program.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { failureOf } from "../host/failure.js";
import { checkPrerequisites, temporaryDirectory } from "../host/launch/prerequisites.js";
import { showProgress } from "../host/say.js";
import { refuse } from "./complain.js";
import { NOT_EXECUTABLE } from "./exit-codes.js";
import { complainOf } from "./fail.js";
import { killAll } from "./one-run.js";

/** 128 + SIGINT, as shells have it. */
const INTERRUPTED = 130;

/** A number of seconds or jobs. */
export function positive(option: string, text: string): number {
	const number = Number(text);
	if (!Number.isInteger(number) || number < 1)
		refuse(`${option} ${text}: not a whole number above 0`, "give 1 or more");
	return number;
}

/** A directory for the reports of the runs. It goes with this process, and so do they. */
export function beginRuns(): string {
	const directory = makeDirectory();
	process.on("exit", () => {
		killAll();
		remove(directory);
	});
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupted);
	return directory;
}

function makeDirectory(): string {
	try {
		checkPrerequisites();
		return mkdtempSync(join(temporaryDirectory(), "ioasis-runs-"));
	} catch (error) {
		complainOf(failureOf(error));
		process.exit(NOT_EXECUTABLE);
	}
}

function remove(directory: string): void {
	try {
		rmSync(directory, { recursive: true, force: true });
	} catch {
		// It may have become somebody else's. What is in it is small.
	}
}

function interrupted(): void {
	killAll();
	showProgress("");
	process.exit(INTERRUPTED);
}
