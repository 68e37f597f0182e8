// The table that `ioasis run --fail-each` prints: a line for each place that failed.

import { styleText } from "node:util";
import { printable } from "../trace/printable.js";
import type { FailedRun } from "./failed-run.js";
import { endingInWords } from "./verdict.js";

const HEAD = ["n", "what failed", "in", "program"] as const;
/** Of the column with colours. */
const PROGRAM = 3;

/** @param colours whether the reader is a terminal */
export function failTable(runs: readonly FailedRun[], colours: boolean): string {
	const rows = runs.map((run) => cells(run).map(printable));
	const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)));
	const line = (row: readonly string[], paint: (text: string) => string) =>
		row
			.map((cell, column) => (column === PROGRAM ? paint(cell) : cell.padEnd(widths[column])))
			.join("  ")
			.trimEnd();
	const painted = (run: FailedRun) => (text: string) =>
		colours ? styleText(run.trouble === undefined ? "green" : "red", text, { validateStream: false }) : text;
	return [line(HEAD, (text) => text), ...rows.map((row, i) => line(row, painted(runs[i])))].join("\n");
}

function cells(run: FailedRun): string[] {
	const { nth, fault } = run;
	const answer = fault?.errno === undefined ? "" : `: ${fault.errno}`;
	const call = fault === undefined ? "?" : `${fault.call === "open" ? `open ${fault.path}` : fault.call}${answer}`;
	return [String(nth), fault?.what ?? "?", call, resultInWords(run)];
}

function resultInWords({ ending, trouble, leaks }: FailedRun): string {
	const end = endingInWords(ending);
	if (trouble === "hung") return "hung";
	if (trouble === "leaked") return `${end}, leaked ${leaks.join(", ")}`;
	return isExit({ trouble, leaks }) ? `${end} at once, leaving ${leaks.join(", ")}` : end;
}

/** Whether it exited on the error, and left to the kernel what it had. */
function isExit({ trouble, leaks }: Pick<FailedRun, "trouble" | "leaks">): boolean {
	return trouble === undefined && leaks.length > 0;
}

/** "37 places: 30 handled, 5 exited on the error, 1 crashed, 1 leaked" */
export function troubleInWords(runs: readonly FailedRun[]): string {
	const count = (trouble: FailedRun["trouble"]) => runs.filter((run) => run.trouble === trouble).length;
	const exited = runs.filter(isExit).length;
	const parts = (["crashed", "hung", "leaked"] as const).map((trouble) => `${count(trouble)} ${trouble}`);
	const all = `${runs.length} place${runs.length === 1 ? "" : "s"}`;
	return `${all}: ${[`${count(undefined) - exited} handled`, `${exited} exited on the error`, ...parts].filter((part) => !part.startsWith("0 ")).join(", ") || "nothing to fail"}`;
}
