// The matrix as JUnit XML, which CI systems read and merge: a test case for each combination, its class the machine.
// github.com/testmoapp/junitxml describes the format as it is understood.

import { stripVTControlCharacters } from "node:util";
import { whyInWords } from "./matrix-table.js";
import { endingInWords, type Judged } from "./verdict.js";

/** @param program what was run, for the name of the suite */
export function junit(outcomes: readonly Judged[], program: readonly string[]): string {
	const counts = attributes({
		tests: outcomes.length,
		failures: outcomes.filter(({ verdict }) => verdict === "fails").length,
		skipped: outcomes.filter(({ verdict }) => verdict === "fails as expected").length,
		errors: 0,
		time: outcomes.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(3),
	});
	return [
		'<?xml version="1.0" encoding="UTF-8"?>',
		`<testsuites${counts}>`,
		`\t<testsuite${attributes({ name: `ioasis matrix: ${program.join(" ")}` })}${counts}>`,
		...outcomes.flatMap(testCase),
		"\t</testsuite>",
		"</testsuites>",
		"",
	].join("\n");
}

function testCase(outcome: Judged): string[] {
	const { machine, policy, seconds, output } = outcome;
	const head = attributes({ classname: machine, name: policy, time: seconds.toFixed(3) });
	return [
		`\t\t<testcase${head}>`,
		...problem(outcome),
		...(output === "" ? [] : [`\t\t\t<system-out>${escapeXml(stripVTControlCharacters(output))}</system-out>`]),
		"\t\t</testcase>",
	];
}

/** JUnit has no failure that is expected; what is skipped isn't counted as one and still has its reason shown. */
function problem(outcome: Judged): string[] {
	const { verdict, ending, because } = outcome;
	if (verdict === "passes") return [];
	const ended = endingInWords(ending);
	const why = whyInWords(outcome);
	if (verdict === "fails as expected") {
		const message = `${ended}, as expected: ${because ?? why}`;
		return [`\t\t\t<skipped${attributes({ message })}/>`];
	}
	return [`\t\t\t<failure${attributes({ type: ended, message: why })}>${escapeXml(`${ended}\n${why}`)}</failure>`];
}

function attributes(values: Record<string, string | number>): string {
	return Object.entries(values)
		.map(([name, value]) => ` ${name}="${escapeXml(String(value)).replaceAll("\n", "&#10;")}"`)
		.join("");
}

// XML 1.0 has no way at all to write these: control characters other than white space, and halves of surrogate pairs.
const NOT_IN_XML = /[^\P{Cc}\t\n\r]|\p{Cs}|[\ufffe\uffff]/gu;
const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escapeXml(text: string): string {
	return text.replace(NOT_IN_XML, "\ufffd").replace(/[&<>"]/g, (character) => ENTITIES[character]);
}
