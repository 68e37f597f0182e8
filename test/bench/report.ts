// The table that people read.

import type { Figure, Goal, Measurement, Unit } from "./figure.js";

/** A figure and what came of it: numbers, or why there are none. */
export type Row = { readonly figure: Figure } & (
	| { readonly measured: Measurement; readonly skipped?: undefined }
	| { readonly skipped: string; readonly measured?: undefined }
);

/** The best of the rounds, because what disturbs a measurement only ever adds to it. */
export function best(values: readonly number[]): number | undefined {
	return values.length === 0 ? undefined : Math.min(...values);
}

/** Figure by floor; undefined without a floor. */
export function ratioOf({ figure, floor }: Measurement): number | undefined {
	const least = best(floor);
	return least === undefined ? undefined : best(figure)! / least;
}

/** Whether the goal is reached; undefined when there is none, or nothing to tell by. */
export function reaches(goal: Goal, measured: Measurement): boolean | undefined {
	if (goal.kind === "none") return undefined;
	if (goal.kind === "figure") return best(measured.figure)! <= goal.most;
	const ratio = ratioOf(measured);
	return ratio === undefined ? undefined : ratio <= goal.most;
}

/** The lines of the table, and below it what was skipped and what there is to add. */
export function tableOf(rows: readonly Row[]): string[] {
	const head = ["", "figure", "floor", "ratio", "goal", ""];
	const body = rows.filter(({ measured }) => measured !== undefined).map(cellsOf);
	const widths = head.map((_, column) => Math.max(...[head, ...body].map((cells) => cells[column].length)));
	const lines = [head, ...body].map((cells) => cells.map((cell, at) => pad(cell, widths[at], at)).join("  "));
	const notes = rows.flatMap(({ figure, measured }) => notesOf(figure, measured));
	const skipped = rows.flatMap(({ figure, skipped }) => (skipped === undefined ? [] : [[figure.name, skipped]]));
	return [
		...lines.map((line) => line.trimEnd()),
		...(notes.length > 0 ? ["", ...notes] : []),
		...(skipped.length > 0 ? ["", "not measured here:", ...skipped.map(([name, why]) => `  ${name}: ${why}`)] : []),
	];
}

function cellsOf({ figure, measured }: Row): string[] {
	const { name, unit, goal } = figure;
	const floor = best(measured!.floor);
	const ratio = ratioOf(measured!);
	const reached = reaches(goal, measured!);
	return [
		name,
		inUnit(best(measured!.figure)!, unit),
		floor === undefined ? "" : inUnit(floor, unit),
		ratio === undefined ? "" : `${ratio.toFixed(2)}x`,
		goalInWords(goal, unit),
		reached === undefined ? "" : reached ? "ok" : "missed",
	];
}

function notesOf({ name, unit }: Figure, measured: Measurement | undefined): string[] {
	const notes = [];
	if (measured?.cold !== undefined) notes.push(`the first time ${inUnit(measured.cold, unit)}`);
	if (measured?.note !== undefined) notes.push(measured.note);
	return notes.length === 0 ? [] : [`  ${name}: ${notes.join("; ")}`];
}

function goalInWords(goal: Goal, unit: Unit): string {
	if (goal.kind === "none") return "";
	return goal.kind === "ratio" ? `<= ${goal.most}x` : `<= ${inUnit(goal.most, unit)}`;
}

/** Three digits, and units that suit the size. */
export function inUnit(value: number, unit: Unit): string {
	if (unit === "bytes") return `${digits(value)} B`;
	const scale = ["ns", "us", "ms", "s"];
	let at = scale.indexOf(unit);
	while (value >= 1000 && at < scale.length - 1) {
		value /= 1000;
		at++;
	}
	return `${digits(value)} ${scale[at]}`;
}

function digits(value: number): string {
	return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function pad(cell: string, width: number, column: number): string {
	return column === 0 || column === 5 ? cell.padEnd(width) : cell.padStart(width);
}
