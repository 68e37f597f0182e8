// One program on one machine under one policy.

import { type OneRun, type RunLimits, runOnce } from "./one-run.js";
import type { Failure } from "./report-file.js";

export interface Combination {
	/** A name or a file, as --machine has it. */
	readonly machine: string;
	readonly policy: string;
}

export interface Outcome extends Combination, Pick<OneRun, "ending" | "seconds" | "output"> {
	/** The calls that failed; a program that passes may have some as well. */
	readonly failures: readonly Failure[];
	readonly firstFailure: Failure | undefined;
}

/** @param options more of `ioasis run` @throws NotStarted */
export async function runCombination(
	{ machine, policy }: Combination,
	options: readonly string[],
	program: readonly string[],
	limits: RunLimits,
): Promise<Outcome> {
	const { ending, failures, seconds, output } = await runOnce(
		["--machine", machine, "--policy", policy, ...options],
		program,
		limits,
	);
	return { machine, policy, failures, firstFailure: failures.at(0), ending, seconds, output };
}
