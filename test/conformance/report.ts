// The summary of a run: a table with a line for each fixture.

import { fixtureOf, type Outcome, type TestResult } from "./harness.js";

export type Counts = Record<Outcome, number>;

export function countOutcomes(results: TestResult[]): Counts {
	const counts = { passed: 0, failed: 0, skipped: 0 };
	for (const result of results) counts[result.outcome]++;
	return counts;
}

/** One line per fixture, in the order of the program, and a total. */
export function summaryTable(program: string, results: TestResult[]): string {
	const fixtures = [...new Set(results.map((result) => fixtureOf(result.name)))];
	const rows = fixtures.map((fixture) =>
		row(
			`  ${fixture}`,
			results.filter((result) => fixtureOf(result.name) === fixture),
		),
	);
	const titles = [program, "passed", "failed", "skipped", "total"];
	return layOut([titles, ...rows, row("  all", results)]);
}

function row(title: string, results: TestResult[]): string[] {
	const { passed, failed, skipped } = countOutcomes(results);
	return [title, ...[passed, failed, skipped, results.length].map(String)];
}

function layOut(rows: string[][]): string {
	const width = Math.max(...rows.map(([title]) => title!.length)) + 2;
	return rows
		.map(([title, ...cells]) => title!.padEnd(width) + cells.map((cell) => cell.padStart(9)).join(""))
		.join("\n");
}

/** One line per test, with the reason where there is one. */
export function testLines(results: TestResult[]): string {
	return results.map(({ name, reason }) => `  ${name}${reason ? `\n      ${reason}` : ""}`).join("\n");
}
