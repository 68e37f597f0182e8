// What we say about an exception that nobody threw on purpose: a bug of ours, or something that this system has run out of. It must
// not become the program's problem.

import { failureOf } from "./failure.js";
import { sayOnStderr } from "./say.js";

let reported = false;

/** Says it once on stderr; what comes after it is likely the same. @param so what came of it */
export function reportInternalError(error: unknown, during: string, so = "the program got EIO"): void {
	if (reported) return;
	reported = true;
	const { reason, stack, advice } = failureOf(error);
	const what = stack === undefined ? `${during} failed` : `internal error during ${during}`;
	const lines = [`ioasis: ${what}; ${so}:`, ...(stack?.split("\n") ?? [`        ${reason}`])];
	if (advice !== undefined) lines.push(stack === undefined ? `        ${advice}` : `ioasis: ${advice}`);
	sayOnStderr(...lines);
}
