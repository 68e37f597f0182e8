// What is wrong in a line, and what to do in another.

import { USAGE_ERROR } from "./exit-codes.js";

export function complain(problem: string, advice?: string): void {
	console.error(`ioasis: ${problem}`);
	if (advice !== undefined) console.error(`        ${advice}`);
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
