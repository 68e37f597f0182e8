// What we say about an exception that nobody threw on purpose: a bug of ours, which must not become the program's problem.

import { writeSync } from "node:fs";

let reported = false;

/** Says it once on stderr; what comes after it is likely the same. */
export function reportInternalError(error: unknown, during: string): void {
	if (reported) return;
	reported = true;
	const stack = error instanceof Error ? error.stack : String(error);
	writeSync(2, `ioasis: internal error during ${during}; the program got EIO. Please report this:\n${stack}\n`);
}
