// Runs Linux's own iommufd and vfio selftests, unmodified, in front of Ioasis, and tells which of them pass.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { execute } from "./execution.js";
import { Expectations } from "./expectations.js";
import {
	fixtureOf,
	KSFT_SKIP,
	needsHugePages,
	parseTap,
	parseTestList,
	selectTests,
	type TestResult,
	unfinishedTest,
} from "./harness.js";
import { type HugePages, reserveHugePages } from "./huge-pages.js";
import { type KernelSources, sourcesFromDebian, sourcesFromTree } from "./kernel-sources.js";
import { allRuns, type Run } from "./machines.js";
import { buildProgram, PROGRAMS, type Program } from "./programs.js";
import { countOutcomes, summaryTable, testLines } from "./report.js";
import { Trouble } from "./trouble.js";

/** What stands for the machine that a run is for, where that is to be told. */
const MACHINE = "MACHINE";
const RUNNER = `bin/ioasis run --quiet --machine ${MACHINE} --`;
/** Why a test was skipped that this machine can't run: it says nothing about Ioasis. */
const NO_HUGE_PAGES = "needs huge pages";
const EXPECTED = "test/conformance/expected.json";

interface Options {
	linux?: string;
	program?: Program;
	only?: string[];
	json?: string;
	expect: string;
	updateExpected?: true;
	runner: string;
	machine?: string;
	timeout: number;
	keep?: true;
	verbose?: true;
}

/** What one program's run showed. */
interface ProgramRun {
	/** The program, and the machine where it runs on several. */
	readonly program: string;
	readonly results: TestResult[];
	readonly seconds: number;
	/** Why the program didn't come to its end. */
	readonly trouble?: string;
}

/** Returns the exit code: 0 all is as expected, 1 it is not, 2 the tests could not be run. */
export async function main(checkout: string, parameters: string[]): Promise<number> {
	const options = parseOptions(parameters);
	try {
		return await new Conformance(checkout, options).run();
	} catch (error) {
		if (!(error instanceof Trouble)) throw error;
		console.error(`conformance: ${error.message}\n             ${error.remedy}`);
		return 2;
	}
}

function parseOptions(parameters: string[]): Options {
	const command = new Command("npm run conformance --")
		.description("Runs Linux's own iommufd and vfio selftests, unmodified, in front of Ioasis.")
		.addOption(new Option("--program <name>", "run one of the programs").choices(PROGRAMS))
		.option("--only <tests>", "run only these: FIXTURE, FIXTURE.VARIANT, FIXTURE.TEST, ..., with commas between", names)
		.option("--linux <directory>", "take the programs' sources from this kernel tree, not from Debian's package")
		.option("--expect <file>", "the tests that must pass", EXPECTED)
		.option("--update-expected", "write what passes now into that file")
		.option("--json <file>", "write every test's result there")
		.option("--runner <command>", "put this in front of the programs ('' runs them on this machine's kernel)", RUNNER)
		.option("--machine <name>", "run only what is for this machine: selftest, intel, amd, arm")
		.option("--timeout <seconds>", "for each program", seconds, 300)
		.option("--keep", "keep what the programs print, and say where")
		.option("-v, --verbose", "name each test that fails, and why")
		.addHelpText("after", "\nExample: npm run conformance -- -v --only iommufd_ioas,iommufd_mock_domain.all_aligns");
	return command.parse(parameters, { from: "user" }).opts();
}

function seconds(text: string): number {
	if (!(Number(text) > 0)) throw new InvalidArgumentError("It is no number of seconds.");
	return Number(text);
}

function names(list: string): string[] {
	return list.split(",").filter((name) => name !== "");
}

class Conformance {
	private readonly checkout: string;
	private readonly options: Options;
	private readonly cache: string;
	private readonly outputs: string;
	private readonly expectations: Expectations;

	constructor(checkout: string, options: Options) {
		this.checkout = checkout;
		this.options = options;
		this.cache = join(checkout, ".cache", "conformance");
		this.outputs = join(this.cache, "output", String(process.pid));
		const isFirst = options.updateExpected && !existsSync(this.expectedFile);
		this.expectations = isFirst ? new Expectations() : Expectations.load(this.expectedFile);
	}

	private get expectedFile(): string {
		return resolve(this.checkout, this.options.expect);
	}

	async run(): Promise<number> {
		const { json, keep, updateExpected } = this.options;
		const sources = this.sources();
		const paths = this.build(sources);
		mkdirSync(this.outputs, { recursive: true });
		let runs: ProgramRun[];
		try {
			runs = await this.runPrograms(paths);
		} finally {
			if (keep) console.log(`what the programs printed: ${relative(this.checkout, this.outputs)}/`);
			else rmSync(this.outputs, { recursive: true, force: true });
		}
		if (json) writeFileSync(json, `${JSON.stringify({ linux: sources.version, runs }, null, "\t")}\n`);
		return updateExpected ? this.recordExpectations(runs) : this.compare(runs);
	}

	private sources(): KernelSources {
		const { linux } = this.options;
		return linux ? sourcesFromTree(resolve(linux), this.cache) : sourcesFromDebian(this.cache, console.log);
	}

	private build(sources: KernelSources): Map<Program, string> {
		const wanted = PROGRAMS.filter((program) => (this.options.program ?? program) === program);
		return new Map(wanted.map((program) => [program, buildProgram(program, sources, this.cache, console.log)]));
	}

	private async runPrograms(paths: Map<Program, string>): Promise<ProgramRun[]> {
		const selected = await this.select(paths);
		const hugePages = this.hugePages([...selected.values()].flat());
		const runs: ProgramRun[] = [];
		try {
			for (const [run, tests] of selected)
				runs.push(await this.runProgram(run, paths.get(run.program)!, tests, hugePages));
		} finally {
			hugePages.release();
		}
		return runs;
	}

	private command(run: Run, path: string, ...parameters: string[]): string[] {
		const runner = this.options.runner.split(" ").flatMap((word) => (word === MACHINE ? run.machine.split(" ") : word));
		return [...runner.filter((word) => word !== ""), path, ...parameters, ...run.parameters];
	}

	/** Those that the options leave. */
	private runs(programs: Iterable<Program>): Run[] {
		const { machine } = this.options;
		const wanted = new Set(programs);
		return allRuns(this.checkout, join(this.cache, "machines")).filter(
			(run) =>
				wanted.has(run.program) &&
				(machine === undefined || run.name.endsWith(` on ${machine}`) || run.machine === machine),
		);
	}

	/** The tests to run of each program; asking for them shows too whether a program can be started at all. */
	private async select(paths: Map<Program, string>): Promise<Map<Run, string[]>> {
		const all = new Map<Run, string[]>();
		for (const run of this.runs(paths.keys())) {
			const list = await execute(this.command(run, paths.get(run.program)!, "-l"), {
				directory: this.checkout,
				outputFile: join(this.outputs, `${run.name}.list`),
				timeoutSeconds: 30,
			});
			if (list.exitCode !== KSFT_SKIP) {
				const ending = list.trouble ?? `exited with ${list.exitCode}`;
				throw new Trouble(
					`${this.command(run, run.program, "-l").join(" ")} ${ending}${list.output && `: ${list.output.trim()}`}`,
					"see that Ioasis can run any program: bin/ioasis run -- true; bin/ioasis doctor tells what is missing",
				);
			}
			all.set(run, parseTestList(list.output));
		}
		const { only } = this.options;
		if (!only) return all;

		const { unknown } = selectTests([...all.values()].flat(), only);
		if (unknown.length > 0) {
			const fixtures = [...new Set([...all.values()].flat().map(fixtureOf))];
			throw new Trouble(`no test is named ${unknown.join(" or ")}`, `the fixtures are ${fixtures.join(", ")}`);
		}
		const chosen = [...all].map(([run, tests]) => [run, selectTests(tests, only).selected] as const);
		return new Map(chosen.filter(([, tests]) => tests.length > 0));
	}

	/** Only where one of the tests needs them. */
	private hugePages(tests: string[]): HugePages {
		if (!tests.some(needsHugePages)) return { available: true, release() {} };
		const hugePages = reserveHugePages();
		if (!hugePages.available)
			console.log(`no huge pages, so the tests that need them are skipped (${hugePages.reason})`);
		return hugePages;
	}

	private async runProgram(run: Run, path: string, tests: string[], hugePages: HugePages): Promise<ProgramRun> {
		const program = run.name;
		const chosen = this.options.only ? tests.flatMap((test) => ["-r", test]) : [];
		const execution = await execute(this.command(run, path, ...chosen), {
			directory: this.checkout,
			outputFile: join(this.outputs, `${program}.log`),
			timeoutSeconds: this.options.timeout,
			progress: (output) => showProgress(`${program}: ${parseTap(output).length} of ${tests.length}`),
		});
		showProgress("");
		const results = completeResults(tests, execution.output, execution.trouble).map((result) =>
			result.outcome !== "passed" &&
			needsHugePages(result.name) &&
			!(hugePages.available && result.outcome === "failed")
				? { ...result, outcome: "skipped" as const, reason: NO_HUGE_PAGES }
				: result,
		);
		if (execution.trouble) console.log(`${program} ${execution.trouble}`);
		console.log(`${summaryTable(program, results)}\n  in ${execution.seconds.toFixed(1)} s\n`);
		return { program, results, seconds: execution.seconds, ...(execution.trouble && { trouble: execution.trouble }) };
	}

	/** Tells what differs from the expectations. */
	private compare(runs: ProgramRun[]): number {
		const failing: TestResult[] = [];
		const regressions: TestResult[] = [];
		const progress: TestResult[] = [];
		for (const { program, results } of runs) {
			for (const result of results) {
				const expected = this.expectations.mustPass(program, result.name);
				if (expected && result.outcome !== "passed" && result.reason !== NO_HUGE_PAGES) regressions.push(result);
				else if (result.outcome === "failed") failing.push(result);
				else if (!expected && result.outcome === "passed") progress.push(result);
			}
		}
		if (this.options.verbose && failing.length > 0)
			console.log(`fail, and are not expected to pass yet:\n${testLines(failing)}\n`);
		if (progress.length > 0) {
			console.log(`pass now, and were not expected to:\n${testLines(progress)}`);
			console.log("to expect them from now on: npm run conformance -- --update-expected\n");
		}
		if (regressions.length > 0) {
			console.log(`do not pass, and must:\n${testLines(regressions)}`);
			console.log(`to look at one: npm run conformance -- --keep --only ${regressions[0]!.name}\n`);
		}
		if (failing.length > 0) {
			const hint = this.options.verbose ? "" : "; -v names them";
			console.log(`${failing.length} more fail and are not expected to pass yet${hint}`);
		}
		const { passed } = countOutcomes(runs.flatMap((run) => run.results));
		// A program that was cut short is a failure of its own, whatever its tests were expected to do.
		const failed = regressions.length + runs.filter((run) => run.trouble).length;
		console.log(`${passed} passed, ${failed} failed`);
		return failed === 0 ? 0 : 1;
	}

	private recordExpectations(runs: ProgramRun[]): number {
		for (const run of runs) {
			const { program } = run;
			const results = run.results.filter((result) => result.reason !== NO_HUGE_PAGES);
			const lost = results.filter(
				(result) => result.outcome !== "passed" && this.expectations.mustPass(program, result.name),
			);
			if (lost.length > 0) console.log(`no longer expected to pass:\n${testLines(lost)}`);
			this.expectations.update(program, results);
		}
		this.expectations.save(this.expectedFile);
		execFileSync("node_modules/.bin/biome", ["format", "--write", this.expectedFile], {
			cwd: this.checkout,
			stdio: "ignore",
		});
		console.log(`wrote ${this.options.expect}`);
		return 0;
	}
}

/** A result for every test that was to run: one that never ended has failed. */
function completeResults(tests: string[], output: string, trouble: string | undefined): TestResult[] {
	const ended = new Map(parseTap(output).map((result) => [result.name, result]));
	const unfinished = unfinishedTest(output);
	return tests.map((name): TestResult => {
		const reason = name === unfinished ? `did not end: the program ${trouble ?? "stopped"}` : "did not run";
		return ended.get(name) ?? { name, outcome: "failed", reason };
	});
}

/** For somebody who watches a terminal: each line takes the place of the one before. */
function showProgress(line: string): void {
	if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}
