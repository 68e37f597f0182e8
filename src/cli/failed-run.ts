// A run of `ioasis run --fail-each`, and what is wrong with how it went.

import type { OneRun } from "./one-run.js";

export interface FailedRun extends Pick<OneRun, "ending" | "seconds" | "output"> {
	/** The place, counted from 1. */
	readonly nth: number;
	/** What failed, in which call, and what that answered; undefined when the run was killed before it could say so. */
	readonly fault: OneRun["fault"];
	readonly trouble: "crashed" | "hung" | "leaked" | undefined;
	/** What it left, a line each. */
	readonly leaks: readonly string[];
}
