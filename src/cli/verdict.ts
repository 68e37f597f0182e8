// What an outcome means: whether the program works on that machine under that policy, and if not, whether that was expected.

import { constants } from "node:os";
import type { Outcome } from "./combination.js";
import type { Ending } from "./one-run.js";

export type Verdict = "passes" | "fails as expected" | "fails";

export interface Judged extends Outcome {
	readonly verdict: Verdict;
	/** Why it may fail, where --expect says so. */
	readonly because: string | undefined;
}

export function passes({ ending }: Pick<Outcome, "ending">): boolean {
	return ending.kind === "exited" && ending.code === 0;
}

/** "pass", "exit 1", "SIGSEGV", "timeout" */
export function endingInWords(ending: Ending): string {
	if (ending.kind === "timed out") return "timeout";
	if (ending.kind === "exited") return ending.code === 0 ? "pass" : `exit ${ending.code}`;
	const { signal } = ending;
	return Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}

/** "12 combinations: 9 pass, 2 fail as expected, 1 fails" */
export function countInWords(outcomes: readonly Judged[]): string {
	const count = (verdict: Verdict) => outcomes.filter((outcome) => outcome.verdict === verdict).length;
	const [passing, expected, failing] = [count("passes"), count("fails as expected"), count("fails")];
	const parts = [
		passing > 0 && `${passing} ${passing === 1 ? "passes" : "pass"}`,
		expected > 0 && `${expected} ${expected === 1 ? "fails" : "fail"} as expected`,
		failing > 0 && `${failing} ${failing === 1 ? "fails" : "fail"}`,
	].filter((part) => part !== false);
	return `${outcomes.length} combination${outcomes.length === 1 ? "" : "s"}: ${parts.join(", ") || "none to run"}`;
}
