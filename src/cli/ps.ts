// ioasis ps: the runs of this user that go on.

import { say, sayJson } from "../host/say.js";
import { complain } from "./complain.js";
import { NOTHING_TO_SHOW } from "./exit-codes.js";
import { findRuns, type Run } from "./run-socket.js";
import { shellWords } from "./shell-words.js";

/** Sets the exit code. */
export async function ps({ json }: { readonly json?: true }): Promise<void> {
	const runs = (await findRuns()).sort((a, b) => a.since - b.since || a.pid - b.pid);
	if (runs.length === 0) process.exitCode = NOTHING_TO_SHOW;
	if (json) sayJson({ runs });
	else if (runs.length === 0) complain("no program of yours runs under `ioasis run` at the moment");
	else say(...tableOf(runs));
}

/** @returns a line for each run, below the names of the columns */
export function tableOf(runs: readonly Run[]): string[] {
	const rows = [["PID", "PROGRAM'S", "SINCE", "MACHINE", "PROGRAM"], ...runs.map(cellsOf)];
	const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
	const isNumber = (column: number) => column < 2;
	return rows.map((row) =>
		row
			.map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]) : cell.padEnd(widths[column])))
			.join("  ")
			.trimEnd(),
	);
}

function cellsOf({ pid, programPid, since, machine, program }: Run): string[] {
	return [String(pid), String(programPid), timeOf(since), machine, shellWords(program)];
}

/** The local time: "2026-11-27 09:41:07". */
function timeOf(since: number): string {
	const date = new Date(since);
	const two = (value: number) => String(value).padStart(2, "0");
	const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
	return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}
