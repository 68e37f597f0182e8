// A run of `ioasis run --fail-each`, and what is wrong with how it went.

import type { OneRun } from "./one-run.js";

export interface FailedRun extends Pick<OneRun, "ending" | "seconds" | "output"> {
	/** The place, counted from 1. */
	readonly nth: number;
	/** What failed, in which call, and what that answered; undefined when the run was killed before it could say so. */
	readonly fault: OneRun["fault"];
	/** leaked: it went on, and left something. Whoever exits on the error leaves that to the kernel, as many programs do. */
	readonly trouble: "crashed" | "hung" | "leaked" | undefined;
	/** What it left that it doesn't leave when nothing fails, a line each. */
	readonly leaks: readonly string[];
}
