// A run that goes on, for the commands that ask it something: which one is meant.

import { NothingToShow } from "../machine/nothing-to-show.js";
import { refuse } from "./complain.js";
import { askRun, findRuns, type Question, type Run, type Shown } from "./run-socket.js";

/**
 * Asks the run that is meant, or the only one.
 * @param pid ioasis's own, or its program's, as the command line has it
 * @param recording how the command is told of a recording instead
 * @throws NothingToShow when the run isn't there, or there are several, or it has nothing to show
 */
export async function askChosen(
	pid: string | undefined,
	question: Question,
	recording: string,
): Promise<{ readonly run: Run; readonly shown: readonly Shown[] }> {
	const run = await chosenRun(number("--pid", pid), recording);
	const answer = await askRun(run, question);
	if (answer === undefined)
		throw new NothingToShow(
			`${inWords(run)} doesn't answer`,
			"it has just ended, or is waiting for memory of its program's",
		);
	if ("problem" in answer) throw new NothingToShow(answer.problem, ...(answer.advice ?? []));
	return { run, shown: answer.shown };
}

async function chosenRun(pid: number | undefined, recording: string): Promise<Run> {
	const runs = await findRuns();
	const found = runs.filter((run) => pid === undefined || run.pid === pid || run.programPid === pid);
	if (found.length === 1) return found[0];
	const list = runs.map((run) => `  --pid ${inWords(run)}`);
	if (runs.length === 0)
		throw new NothingToShow(
			"no program of yours runs under `ioasis run` at the moment",
			`start one: ioasis run --machine intel -- ./my-vmm; or give ${recording}`,
		);
	if (found.length === 0)
		throw new NothingToShow(`no \`ioasis run\`, nor its program, has the PID ${pid}`, "there are:", ...list);
	throw new NothingToShow("several programs run under `ioasis run` at the moment", "say which:", ...list);
}

/** "28914: ./my-vmm, on intel" */
export function inWords({ pid, program, machine }: Run): string {
	return `${pid}: ${program.join(" ")}, on ${machine}`;
}

/** The value of an option that is a number. */
export function number(option: string, text: string | undefined): number | undefined {
	if (text === undefined) return undefined;
	if (!/^\d{1,10}$/.test(text)) refuse(`${option} ${text}: not a number`, `give it in decimal: ${option} 3`);
	return Number(text);
}
