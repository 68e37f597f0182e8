// What the programs print: the list of tests and the TAP output of the kernel's kselftest_harness.h.

export type Outcome = "passed" | "failed" | "skipped";

export interface TestResult {
	/** FIXTURE.VARIANT.TEST, or FIXTURE.TEST where the fixture has no variants. */
	readonly name: string;
	readonly outcome: Outcome;
	/** Why it failed or was skipped, where the program said so. */
	readonly reason?: string;
}

/** Who skips a test exits with this code, and so does a program that was asked only to list its tests. */
export const KSFT_SKIP = 4;

/** What else a program says before it gets to that is no part of it. */
const LIST_LINE = /^(?:-+|\w* *\w* *\w* *)$/;

/**
 * The full names of all tests, from what `-l` prints: a block for each fixture, in which the columns VARIANT and TEST
 * are two lists that have nothing to do with each other; every variant runs every test.
 */
export function parseTestList(text: string): string[] {
	const blocks = text
		.split("\n")
		.filter((line) => LIST_LINE.test(line))
		.join("\n")
		.split(/^-{20,}$/m);
	return blocks.flatMap((block) => {
		const lines = block.split("\n").filter((line) => line !== "");
		const fixture = /^\S*/.exec(lines[0] ?? "")![0];
		const rows = lines.map((line, index) => twoColumns(line.slice(Math.max(20, index === 0 ? fixture.length : 0) + 1)));
		const variants = rows.map(([variant]) => variant).filter((variant) => variant !== "");
		const tests = rows.map(([, test]) => test).filter((test) => test !== "");
		const prefixes = variants.length === 0 ? [fixture] : variants.map((variant) => `${fixture}.${variant}`);
		return prefixes.flatMap((prefix) => tests.map((test) => `${prefix}.${test}`));
	});
}

/** VARIANT in 25 characters (more if it is longer), a blank, TEST; either may be blank. */
function twoColumns(text: string): [string, string] {
	const variant = /^\S*/.exec(text)![0];
	return [variant, text.slice(Math.max(25, variant.length) + 1).trim()];
}

const RUN_LINE = /^# +RUN +(\S+) \.\.\.$/;
const RESULT_LINE = /^(ok|not ok) \d+ (\S+)(?: # +(?:(SKIP|XFAIL|XPASS) ?)?(.*))?$/;
const VERDICT_LINE = /^# +(OK|FAIL|SKIP|XFAIL|XPASS)\b/;

/** The tests that have ended, in their order. */
export function parseTap(output: string): TestResult[] {
	const results: TestResult[] = [];
	let said: string[] = [];
	for (const line of output.split("\n")) {
		const result = RESULT_LINE.exec(line);
		if (RUN_LINE.test(line)) {
			said = [];
		} else if (!result) {
			if (line !== "" && !VERDICT_LINE.test(line)) said.push(line.replace(/^# /, ""));
		} else {
			const [, verdict, name, directive, explanation] = result;
			const outcome = verdict === "not ok" ? "failed" : directive === "SKIP" ? "skipped" : "passed";
			const reason = explanation || (outcome === "failed" ? said[0] : undefined);
			results.push({ name: name!, outcome, ...(reason ? { reason } : {}) });
		}
	}
	return results;
}

/** The test that had begun but not ended where the output stops. */
export function unfinishedTest(output: string): string | undefined {
	const begun = output.split("\n").flatMap((line) => RUN_LINE.exec(line)?.[1] ?? []);
	return begun.length > parseTap(output).length ? begun.at(-1) : undefined;
}

/** The tests that a selection means; each item is FIXTURE, FIXTURE.VARIANT, FIXTURE.TEST or a full name. */
export function selectTests(tests: string[], selection: string[]): { selected: string[]; unknown: string[] } {
	const means = (item: string, name: string) =>
		name === item || name.startsWith(`${item}.`) || item === `${fixtureOf(name)}.${name.split(".").at(-1)}`;
	return {
		selected: tests.filter((name) => selection.some((item) => means(item, name))),
		unknown: selection.filter((item) => !tests.some((name) => means(item, name))),
	};
}

export function fixtureOf(name: string): string {
	return name.slice(0, name.indexOf("."));
}

/** Tests that map huge pages, and can't do anything where the machine has none. */
export function needsHugePages(name: string): boolean {
	return /_huge(page)?\.|_hugetlb_[12][gm]b\.|\.huge_map$|\.access_domain_destory$/.test(name);
}
