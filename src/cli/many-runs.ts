// What the commands have in common that make many runs of a program.

import { mkdtempSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { failureOf } from "../host/failure.js";
import { checkPrerequisites, temporaryDirectory } from "../host/launch/prerequisites.js";
import { showProgress } from "../host/say.js";
import { complain, refuse } from "./complain.js";
import { KILLED_BY, NOT_EXECUTABLE } from "./exit-codes.js";
import { complainOf } from "./fail.js";
import { killAll } from "./one-run.js";

/** A number of seconds or jobs. */
export function positive(option: string, text: string): number {
	const number = Number(text);
	if (!Number.isInteger(number) || number < 1)
		refuse(`${option} ${text}: not a whole number above 0`, "give 1 or more");
	return number;
}

/**
 * A directory for the reports of the runs. It goes with this process, and so do they.
 * @param show prints what has ended, when a signal ends us
 */
export function beginRuns(show: () => void): string {
	const directory = makeDirectory();
	process.on("exit", () => {
		killAll();
		remove(directory);
	});
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupted(signal, show));
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

let isInterrupted = false;

/** Who sends another signal doesn't wait for the first one's end. */
function interrupted(signal: NodeJS.Signals, show: () => void): void {
	killAll();
	showProgress("");
	const code = KILLED_BY + constants.signals[signal];
	if (isInterrupted) process.exit(code);
	isInterrupted = true;
	try {
		show();
		complain(`${signal}: that is what had ended`);
	} finally {
		process.exit(code);
	}
}
