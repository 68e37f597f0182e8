// What is wrong in a line, and what to do in another.

import { USAGE_ERROR } from "./exit-codes.js";

export function complain(problem: string, advice?: string): void {
	console.error(`ioasis: ${problem}`);
	if (advice !== undefined) console.error(`        ${advice}`);
}

/** Complains about the command line, and ends. */
export function refuse(problem: string, advice?: string): never {
	complain(problem, advice);
	process.exit(USAGE_ERROR);
}
