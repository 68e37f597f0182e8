// The table that `ioasis matrix` prints: a line for each combination.

import { stripVTControlCharacters, styleText } from "node:util";
import { printable } from "../trace/printable.js";
import type { Outcome } from "./combination.js";
import { endingInWords, type Judged, type Verdict } from "./verdict.js";

const HEAD = ["machine", "policy", "result", "first call that failed, and why"] as const;
const COLOURS = { passes: "green", "fails as expected": "yellow", fails: "red" } as const satisfies Record<
	Verdict,
	string
>;
/** Of the column with colours. */
const RESULT = 2;

/** @param colours whether the reader is a terminal */
export function matrixTable(outcomes: readonly Judged[], colours: boolean): string {
	const rows = outcomes.map((outcome) => cells(outcome).map(printable));
	const widths = HEAD.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].length)));
	const line = (row: readonly string[], paint: (text: string) => string) =>
		row
			.map((cell, column) => (column === RESULT ? paint(cell) : cell) + " ".repeat(widths[column] - cell.length))
			.join("  ")
			.trimEnd();
	const painted = (verdict: Verdict) => (text: string) =>
		colours ? styleText(COLOURS[verdict], text, { validateStream: false }) : text;
	return [line(HEAD, (text) => text), ...rows.map((row, i) => line(row, painted(outcomes[i].verdict)))].join("\n");
}

function cells(outcome: Judged): string[] {
	const { machine, policy, ending, verdict } = outcome;
	const result = verdict === "fails as expected" ? `${endingInWords(ending)} (expected)` : endingInWords(ending);
	// What a program that passes has tried in vain is no news.
	return [machine, policy, result, verdict === "passes" ? "" : whyInWords(outcome)];
}

/** "IOMMU_HWPT_ALLOC: EOPNOTSUPP: s390 has no ...", or what the program had to say where no call failed. */
export function whyInWords({ firstFailure, output }: Pick<Outcome, "firstFailure" | "output">): string {
	if (firstFailure !== undefined) {
		const { call, path, errno, reason } = firstFailure;
		return `${call === "open" ? `open ${path}` : call}: ${errno}: ${reason}`;
	}
	const lastWords = stripVTControlCharacters(output).trimEnd().split("\n").at(-1);
	return lastWords ? `no call; it said: ${lastWords}` : "no call";
}
