// What we say about an exception that nobody threw on purpose: a bug of ours, or something that this system has run out of. It must
// not become the program's problem.

import { writeSync } from "node:fs";
import { failureOf } from "./failure.js";

let reported = false;

/** Says it once on stderr; what comes after it is likely the same. */
export function reportInternalError(error: unknown, during: string): void {
	if (reported) return;
	reported = true;
	const { reason, stack, advice } = failureOf(error);
	const what = stack === undefined ? `${during} failed` : `internal error during ${during}`;
	const lines = [`ioasis: ${what}; the program got EIO:`, stack ?? `        ${reason}`];
	if (advice !== undefined) lines.push(stack === undefined ? `        ${advice}` : `ioasis: ${advice}`);
	writeSync(2, `${lines.join("\n")}\n`);
}
