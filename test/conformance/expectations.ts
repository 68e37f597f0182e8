// Which tests must pass by now: expected.json, checked in. A test that is not in it may fail.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { TestResult } from "./harness.js";
import { Trouble } from "./trouble.js";

/** Program, and machine where it runs on several -> "FIXTURE" or "FIXTURE.VARIANT" -> names of tests. */
type ExpectationFile = Record<string, Record<string, string[]>>;

export class Expectations {
	private readonly passing = new Map<string, Set<string>>();

	static load(path: string): Expectations {
		if (!existsSync(path)) throw new Trouble(`there is no ${path}`, "write it with --update-expected");
		const expectations = new Expectations();
		let file: ExpectationFile;
		try {
			file = JSON.parse(readFileSync(path, "utf8"));
		} catch (error) {
			throw new Trouble(
				`${path} is no JSON: ${(error as Error).message}`,
				"mend it, or write it with --update-expected",
			);
		}
		for (const [program, groups] of Object.entries(file)) {
			const names = Object.entries(groups).flatMap(([group, tests]) => tests.map((test) => `${group}.${test}`));
			expectations.passing.set(program, new Set(names));
		}
		return expectations;
	}

	mustPass(program: string, name: string): boolean {
		return this.passing.get(program)?.has(name) ?? false;
	}

	/** Takes over what a run showed; the tests that it did not run stay as they are. */
	update(program: string, results: TestResult[]): void {
		const names = this.passing.get(program) ?? new Set();
		for (const result of results) {
			if (result.outcome === "passed") names.add(result.name);
			else names.delete(result.name);
		}
		this.passing.set(program, names);
	}

	save(path: string): void {
		const file: ExpectationFile = {};
		for (const [program, names] of this.passing) {
			const groups: Record<string, string[]> = {};
			for (const name of [...names].sort()) {
				const group = name.slice(0, name.lastIndexOf("."));
				groups[group] = [...(groups[group] ?? []), name.slice(group.length + 1)];
			}
			file[program] = groups;
		}
		writeFileSync(path, `${JSON.stringify(file, null, "\t")}\n`);
	}
}
