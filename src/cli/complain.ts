// What is wrong in a line, and what to do in another.

import { sayOnStderr } from "../host/say.js";
import { USAGE_ERROR } from "./exit-codes.js";

/** @param advice a line, or more than one */
export function complain(problem: string, ...advice: readonly (string | undefined)[]): void {
	const lines = advice.filter((line) => line !== undefined);
	sayOnStderr(`ioasis: ${problem}`, ...lines.map((line) => `        ${line}`));
}

/** What to do about an error, where it knows. */
export function adviceOf(error: unknown): string | undefined {
	const { advice } = error as { advice?: unknown };
	return typeof advice === "string" ? advice : undefined;
}

/** Complains about the command line, and ends. */
export function refuse(problem: string, advice?: string): never {
	complain(problem, advice);
	process.exit(USAGE_ERROR);
}
