// ioasis run --fail-each: a program again and again, each time with the next place failing where memory may run out, until a run
// doesn't get to the place that is to fail. What counts is not whether the program succeeds, but that it comes to an end of
// its own, and leaves nothing that it doesn't leave otherwise.

import { availableParallelism, constants } from "node:os";
import { stripVTControlCharacters } from "node:util";
import { say, sayColoured, sayJson, sayOnStderr, showProgress } from "../host/say.js";
import { complain, refuse } from "./complain.js";
import { deviceOptions } from "./device-option.js";
import { KILLED_BY } from "./exit-codes.js";
import { failTable, troubleInWords } from "./fail-table.js";
import type { FailedRun } from "./failed-run.js";
import { leaksBeyond, leftoversOf } from "./leaks.js";
import { beginRuns, positive } from "./many-runs.js";
import { parseMemory, usualMemory } from "./memory-size.js";
import { killAll, NotStarted, type OneRun, runOnce } from "./one-run.js";
import { policyNamed } from "./policy-names.js";
import type { RunOptions } from "./run.js";
import { shellWords } from "./shell-words.js";
import { endingInWords } from "./verdict.js";

/** Seconds. */
const TIMEOUT = 30;
/** What a shell, or a script, says of a program of its own that crashed: 128 + SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV. */
const SHELLS_CRASHES: readonly number[] = ["SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV"].map(
	(name) => KILLED_BY + constants.signals[name as NodeJS.Signals],
);
/** 1 means that a run crashed, hung or leaked. */
const TROUBLE = 1;

/** Runs it to the end of all places; sets the exit code. */
export async function failEach(program: readonly string[], options: RunOptions): Promise<void> {
	checkOptions(options);
	const jobs = options.jobs === undefined ? availableParallelism() : positive("--jobs", options.jobs);
	const timeout = options.timeout === undefined ? TIMEOUT : positive("--timeout", options.timeout);
	const memory = options.memory === undefined ? usualMemory(jobs) : parseMemory(options.memory);
	const { machine, device } = options;
	const runs: FailedRun[] = [];
	const directory = beginRuns(() => show(runs, program, common, options));
	const common = ["--machine", machine, "--policy", policyNamed(options.policy).name, ...deviceOptions(device)];
	const run = (nth: number) => runOnce([...common, "--fail-nth", String(nth)], program, { directory, timeout, memory });
	try {
		const usual = await run(0);
		checkUsual(usual, program, common);
		await runEach(usual, jobs, run, runs);
	} catch (error) {
		if (!(error instanceof NotStarted)) throw error;
		killAll();
		showProgress("");
		sayOnStderr(...error.message.split("\n"));
		process.exit(error.code);
	}
	show(runs, program, common, options);
	if (runs.some(({ trouble }) => trouble !== undefined)) process.exitCode = TROUBLE;
}

function checkOptions(options: RunOptions): void {
	const { traceTo, traceFilter, traceTimes, traceTotals, dmaErrors, walk, record, recordOnFailure, report, failNth } =
		options;
	const given = {
		"--trace": traceTo,
		"--trace-filter": traceFilter,
		"--trace-times": traceTimes,
		"--trace-totals": traceTotals,
		"--dma-errors": dmaErrors,
		"--walk": walk,
		"--record": record,
		"--record-on-failure": recordOnFailure,
		"--report": report,
		"--fail-nth": failNth,
	};
	const other = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
	if (other !== undefined)
		refuse(`--fail-each makes many runs, and ${other} is about one`, "look at one of them with --fail-nth N");
}

/** Without a place to fail the program must work. */
function checkUsual({ ending, output }: OneRun, program: readonly string[], options: readonly string[]): void {
	if (ending.kind === "exited" && ending.code === 0) return;
	const said = stripVTControlCharacters(output).trimEnd();
	if (said !== "") sayOnStderr(...said.split("\n"));
	complain(
		`the program fails without anything being made to fail (${endingInWords(ending)})`,
		`see that it works first: ioasis run --trace ${shellWords(options)} -- ${shellWords(program)}`,
	);
	process.exit(TROUBLE);
}

/**
 * Several at a time, until a run has nothing to fail any more. A program may come by more places in one run than in another.
 * @param runs is filled as they end
 */
async function runEach(
	usual: OneRun,
	jobs: number,
	run: (nth: number) => Promise<OneRun>,
	runs: FailedRun[],
): Promise<void> {
	const leftovers = leftoversOf(usual.end) ?? [];
	const places = usual.end?.places ?? 0;
	let next = 1;
	let done = 0;
	let isOver = false;
	async function work(): Promise<void> {
		while (!isOver) {
			const nth = next++;
			showProgress(`${done} of about ${places} places`);
			const one = await run(nth);
			// A run that was cut short before anything failed may have been on its way there.
			if (one.fault === undefined && (one.end !== undefined || nth > places)) isOver = true;
			else runs.push(judge(nth, one, leftovers));
			done++;
		}
	}
	try {
		await Promise.all(Array.from({ length: jobs }, work));
	} finally {
		showProgress("");
	}
}

function judge(nth: number, run: OneRun, usual: readonly string[]): FailedRun {
	const { ending, seconds, output, fault, end } = run;
	const leaks = leaksBeyond(usual, leftoversOf(end) ?? []);
	return { nth, fault, ending, seconds, output, leaks, trouble: troubleOf(run, leaks) };
}

function troubleOf({ ending, wentOn }: OneRun, leaks: readonly string[]): FailedRun["trouble"] {
	if (ending.kind === "timed out") return "hung";
	if (ending.kind === "killed" || SHELLS_CRASHES.includes(ending.code)) return "crashed";
	const hasGoneOn = wentOn !== undefined || ending.code === 0;
	return leaks.length > 0 && hasGoneOn ? "leaked" : undefined;
}

/** Those that have ended, in order. */
function show(
	ended: readonly FailedRun[],
	program: readonly string[],
	common: readonly string[],
	{ json }: RunOptions,
): void {
	const runs = [...ended].sort((one, other) => one.nth - other.nth);
	if (json) sayJson(asJson(runs, program));
	else print(runs, program, common);
}

function print(runs: readonly FailedRun[], program: readonly string[], options: readonly string[]): void {
	if (runs.length > 0) sayColoured(`${failTable(runs, process.stdout.isTTY && process.env.NO_COLOR === undefined)}\n`);
	say(troubleInWords(runs));
	const first = runs.find(({ trouble }) => trouble !== undefined);
	if (first === undefined) return;
	complain(
		`the first with trouble is ${first.nth}; to see each of its calls:`,
		`ioasis run --trace ${shellWords(options)} --fail-nth ${first.nth} -- ${shellWords(program)}`,
	);
}

function asJson(runs: readonly FailedRun[], program: readonly string[]): object {
	return {
		program,
		runs: runs.map(({ nth, fault, ending, trouble, leaks, seconds, output }) => ({
			nth,
			failed: fault?.what,
			call: fault?.call,
			errno: fault?.errno,
			result: endingInWords(ending),
			trouble,
			leaks,
			seconds: Math.round(seconds * 1000) / 1000,
			output,
		})),
	};
}
