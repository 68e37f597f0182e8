// A run that goes on, for the commands that ask it something: which one is meant.

import { NothingToWalk } from "../machine/walk.js";
import { refuse } from "./complain.js";
import { findRuns, type Run } from "./run-socket.js";

/**
 * The run that is meant, or the only one.
 * @param pid ioasis's own, or its program's
 * @throws NothingToWalk when it isn't there, or there are several
 */
export async function chosenRun(pid: number | undefined): Promise<Run> {
	const runs = await findRuns();
	const found = runs.filter((run) => pid === undefined || run.pid === pid || run.programPid === pid);
	if (found.length === 1) return found[0];
	const list = runs.map((run) => `  --pid ${inWords(run)}`);
	if (runs.length === 0)
		throw new NothingToWalk(
			"no program of yours runs under `ioasis run` at the moment",
			"start one: ioasis run --machine intel -- ./my-vmm; or give --recording FILE",
		);
	if (found.length === 0)
		throw new NothingToWalk(`no \`ioasis run\`, nor its program, has the PID ${pid}`, "there are:", ...list);
	throw new NothingToWalk("several programs run under `ioasis run` at the moment", "say which:", ...list);
}

/** "28914: ./my-vmm, on intel" */
export function inWords({ pid, program, machine }: Run): string {
	return `${pid}: ${program.join(" ")}, on ${machine}`;
}

/** Why there is no answer. */
export function isSilent(run: Run): NothingToWalk {
	return new NothingToWalk(
		`${inWords(run)} doesn't answer`,
		"it has just ended, or is waiting for memory of its program's",
	);
}

/** The value of an option that is a number. */
export function number(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	if (!/^\d{1,10}$/.test(text)) refuse(`${option} ${text}: not a number`, `give it in decimal: ${option} 3`);
	return Number(text);
}
