// ioasis run: a program in front of a machine.

import { fstatSync, openSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { adviceOn, failureOf } from "../host/failure.js";
import { cleanUp, launch, type NotStarted, removeFiles, type Status } from "../host/launch/launch.js";
import type { Report } from "../host/launch/supervisor-thread.js";
import { sayOnStderr } from "../host/say.js";
import { WriterThread } from "../host/writing/writer.js";
import { printable } from "../trace/printable.js";
import { complain, refuse } from "./complain.js";
import { parseDmaErrors } from "./dma-errors.js";
import type { EngineSettings } from "./engine-settings.js";
import { FAILED, KILLED_BY, NOT_EXECUTABLE, NOT_FOUND, USAGE_ERROR } from "./exit-codes.js";
import { complainOf, endBy } from "./fail.js";
import { isMeantForTrace, TO_STDERR } from "./given-words.js";
import { parseIova } from "./iova.js";
import { heapFor, parseMemory, usualMemory } from "./memory-size.js";
import { policyNamed } from "./policy-names.js";
import { ReportFile } from "./report-file.js";
import { serveQuestions } from "./run-socket.js";
import { Signals } from "./signals.js";
import { whyNotStarted } from "./start-problem.js";
import { checkTraceOptions, type TraceOptions, type TraceSettings } from "./trace-settings.js";
import type { WriterTask } from "./writer-worker.js";

/** What `run` can be told. */
export interface RunOptions extends TraceOptions {
	readonly machine: string;
	/** The rule by which page tables are allocated. */
	readonly policy: string;
	/** Functions that the machine has besides. */
	readonly device?: readonly string[];
	/** How much of our own memory clients may have us use: "4G". */
	readonly memory?: string;
	/** IOVAs whose translation is printed, separated by commas. */
	readonly walk?: string;
	/** The file of the recording. */
	readonly record?: string;
	/** The same, kept only if the program fails. */
	readonly recordOnFailure?: string;
	/** What is done about a DMA that goes wrong: "report". */
	readonly dmaErrors?: string;
	/** The file of the report. */
	readonly report?: string;
	/** Which place where memory may run out is to fail, counted from 1. */
	readonly failNth?: string;
	/** Has each place fail in turn: see fail-each.ts, and what is said of a run and how many are made at a time. */
	readonly failEach?: true;
	readonly timeout?: string;
	readonly jobs?: string;
	readonly json?: true;
	readonly quiet?: true;
}

const STDERR = 2;
/** Paths that the summary names. */
const MOST_MISSING = 5;

/** How long we wait in silence for what the program has left, in milliseconds. */
const PATIENCE = 1000;

/** The threads that write a trace and a recording. */
const writers: WriterThread[] = [];

/** Runs it to the end; sets the exit code. */
export async function run(program: readonly string[], options: RunOptions): Promise<void> {
	const policy = policyNamed(options.policy).name;
	const walk = options.walk?.split(",").map((iova) => parseIova(iova, "--walk ")) ?? [];
	const memory = options.memory === undefined ? usualMemory() : parseMemory(options.memory);
	refuseOptionsOfMany(options);
	const failNth = options.failNth === undefined ? undefined : checkPlace(options.failNth, options);
	const dmaErrors =
		options.dmaErrors === undefined ? undefined : parseDmaErrors(options.dmaErrors, options.json ?? false);
	const recordingFile = recordingOf(options);
	const trace = traceOf(options);
	const report = options.report === undefined ? undefined : startReport(options.report);
	const recording = recordingFile === undefined ? undefined : openRecording(recordingFile);
	const record = recording === undefined ? undefined : startWriter({ kind: "recording", fd: recording });
	endBy(stop);
	const signals = new Signals(stop);
	const result = await launch(
		{
			program,
			settings: {
				machine: options.machine,
				devices: options.device,
				policy,
				memory,
				trace,
				walk,
				dmaErrors,
				report: report?.fd,
				record,
				program,
				failNth,
			} satisfies EngineSettings,
			heap: heapFor(memory),
			withheld: [trace?.fd, report?.fd, recording].flatMap((fd) => (fd === undefined || fd === STDERR ? [] : fd)),
			workers: {
				launcher: new URL("./launcher-thread.js", import.meta.url),
				supervisor: new URL("./supervisor-worker.js", import.meta.url),
				device: new URL("./device-worker.js", import.meta.url),
				copier: new URL("./copy-thread.js", import.meta.url),
			},
		},
		{
			started(pid, ask) {
				signals.running(pid);
				serveQuestions(
					{ pid: process.pid, programPid: pid, program, machine: options.machine, since: Date.now() },
					ask,
				);
			},
			ended(status) {
				signals.over(() => leave(codeOf(status)));
				waitForTheRest(options.quiet ?? false);
			},
		},
	).catch((error): NotStarted => ({ kind: "broken", hadStarted: false, failure: failureOf(error) }));
	if (!Array.isArray(result)) return await giveUp(result, program);
	const [status, happened] = result;
	await Promise.all(writers.map((writer) => writer.end()));
	const { calls, errors, leftovers, stillOpen, places } = happened;
	const ofFaults = places === undefined ? {} : { places };
	report?.end({ ...numberOf(status), calls, errors: Object.fromEntries(errors), leftovers, stillOpen, ...ofFaults });
	if (!options.quiet) summarize(happened, failNth);
	const code = happened.dmaErrors.length > 0 ? (dmaErrors?.exitCode ?? codeOf(status)) : codeOf(status);
	if (options.recordOnFailure !== undefined) keepIfFailed(options.recordOnFailure, code, options.quiet);
	// To end as usual is to wait for all threads.
	if (happened.hasStuckDevice) await leave(code);
	process.exit(code);
}

/** What is to be told of calls; undefined for nothing. */
function traceOf(options: RunOptions): TraceSettings | undefined {
	checkTraceOptions(options);
	const { traceTo, traceFilter, traceFormat, traceTimes, traceTotals } = options;
	if (traceTo === undefined && traceTotals === undefined) return undefined;
	const fd = traceTo === undefined ? undefined : openTrace(traceTo);
	const form = {
		isJson: traceFormat === "json",
		hasTimes: traceTimes ?? false,
		hasColours: fd === STDERR && isatty(STDERR) && process.env.NO_COLOR === undefined,
	};
	// Somebody may watch what is no file, and wants to see each call as it happens.
	const isFile = fd !== undefined && fd !== STDERR && fstatSync(fd).isFile();
	const ring = isFile ? startWriter({ kind: "trace", fd, form }) : undefined;
	return { fd, ring, filter: traceFilter, hasTotals: traceTotals ?? false, ...form };
}

function openTrace(file: string): number {
	if (file === TO_STDERR) return STDERR;
	try {
		return openSync(file, "w");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		refuse(`the trace can't be written to ${file}: ${code}`, "give another file, or --trace alone for stderr");
	}
}

function refuseOptionsOfMany({ timeout, jobs, json, dmaErrors }: RunOptions): void {
	if (json !== undefined && dmaErrors === undefined)
		refuse("--json is for what --fail-each or --dma-errors prints", "leave it out, or add one of them");
	const other = Object.entries({ timeout, jobs }).find(([, value]) => value !== undefined)?.[0];
	if (other !== undefined)
		refuse(`--${other} is for --fail-each, which makes many runs`, "leave it out, or add --fail-each");
}

function checkPlace(text: string, { record, recordOnFailure }: RunOptions): number {
	if (!/^\d{1,9}$/.test(text))
		refuse(`--fail-nth ${text}: not a whole number from 0 on`, "give 1 for the first place, or 0 to count them");
	if (record !== undefined || recordOnFailure !== undefined)
		refuse("--fail-nth and --record: a replay wouldn't know what failed", "leave one of them out");
	return Number(text);
}

function recordingOf({ record, recordOnFailure }: RunOptions): string | undefined {
	if (record !== undefined && recordOnFailure !== undefined)
		refuse("--record and --record-on-failure both say where the recording goes", "leave one of them out");
	return record ?? recordOnFailure;
}

/** It has been made all along, as nobody knows before the end. */
function keepIfFailed(file: string, code: number, quiet = false): void {
	if (code === 0) rmSync(file, { force: true });
	else if (!quiet) sayOnStderr(`ioasis: PROGRAM failed: its calls are in ${file}, for \`ioasis replay\``);
}

function openRecording(file: string): number {
	try {
		return openSync(file, "w");
	} catch (error) {
		refuse(`the recording can't be written to ${file}: ${(error as NodeJS.ErrnoException).code}`, "give another file");
	}
}

/** @returns where what it writes comes from */
function startWriter(task: WriterTask): SharedArrayBuffer {
	const file = new URL("./writer-worker.js", import.meta.url);
	const writer = new WriterThread(file, task, (failure) => {
		complainOf(failure);
		complain(`the ${task.kind} ends here`);
	});
	writers.push(writer);
	return writer.ring;
}

function startReport(file: string): ReportFile {
	try {
		return ReportFile.start(file);
	} catch (error) {
		refuse(`the report can't be written to ${file}: ${(error as NodeJS.ErrnoException).code}`, "give another file");
	}
}

/** The program has ended, and what it started may go on. Who waits for a daemon to end may lose patience. */
function waitForTheRest(quiet: boolean): void {
	if (quiet) return;
	const explain = () =>
		complain(
			"the program has ended, but not all that it started: waiting for the rest",
			"Ctrl-C ends the wait; what still runs can then open no file any more",
		);
	setTimeout(explain, PATIENCE).unref();
}

/** Ends without waiting for anybody: process.exit() would wait for the supervisor's thread, and that for the next call. */
async function leave(code: number): Promise<void> {
	for (const writer of writers) writer.endNow();
	removeFiles();
	const { exitNow } = await import("../host/launch/exit-now.js").catch(() => ({ exitNow: process.exit }));
	exitNow(code);
}

/** The same, and nobody is left behind. */
async function stop(code: number): Promise<void> {
	cleanUp();
	await leave(code);
}

async function giveUp(problem: NotStarted, program: readonly string[]): Promise<void> {
	if (problem.kind === "broken") {
		const { failure, hadStarted } = problem;
		complainOf(failure);
		if (hadStarted) complain("so the program was killed, with all that it had started");
		await stop(hadStarted ? FAILED : NOT_EXECUTABLE);
	} else if (problem.kind === "no machine") {
		complain(problem.reason, problem.advice);
		process.exitCode = USAGE_ERROR;
	} else if (problem.call === "posix_spawn") {
		const { problem: what, advice } = whyNotStarted(program[0], errnoName(problem.errno), isMeantForTrace(program));
		complain(what, advice);
		process.exitCode = problem.errno === constants.errno.ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
	} else if (problem.errno === constants.errno.EBUSY) {
		// The kernel allows one listener for a process and all that comes from it.
		complain(
			"another program answers system calls here already",
			"`ioasis run` can't be started by what runs under it",
		);
		process.exitCode = NOT_EXECUTABLE;
	} else {
		const code = errnoName(problem.errno);
		complain(
			`this kernel refuses the seccomp filter: ${code}`,
			adviceOn(code) ?? "`ioasis doctor` says what is missing",
		);
		process.exitCode = NOT_EXECUTABLE;
	}
}

function errnoName(number: number): string {
	return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}

function summarize(
	{ calls, errors, missing, dmaErrors, leftovers, stillOpen, places, failedPlace }: Report,
	failNth: number | undefined,
): void {
	const failed = errors.reduce((sum, [, count]) => sum + count, 0);
	const kinds = errors.map(([code, count]) => `${count} ${code}`).join(", ");
	sayOnStderr(
		`ioasis: ${plural(calls, "call")}, ${failed === 0 ? "no errors" : `${plural(failed, "error")}: ${kinds}`}`,
		...(places === undefined ? [] : [`ioasis: ${faultInWords(places, failedPlace, failNth)}`]),
		...missing.slice(0, MOST_MISSING).map(([path, why]) => `ioasis: not there: ${printable(path)}: ${printable(why)}`),
		...(missing.length > MOST_MISSING
			? [`ioasis: not there: ${missing.length - MOST_MISSING} more: --trace names them`]
			: []),
		...(dmaErrors.length === 0 ? [] : [`ioasis: ${dmaErrorsInWords(dmaErrors)}`]),
		...leftovers.map((line) => `ioasis: left allocated: ${line}`),
		...stillOpen.map((path) => `ioasis: still open in a process that ioasis didn't start: ${path}`),
	);
}

function dmaErrorsInWords(kinds: Report["dmaErrors"]): string {
	const all = kinds.reduce((sum, [, count]) => sum + count, 0);
	const each = kinds.map(([kind, count]) => `${count} ${kind}`).join(", ");
	return `${plural(all, "DMA error")}: ${each} (--dma-errors=report tells of each)`;
}

function faultInWords(places: number, failed: string | undefined, failNth: number | undefined): string {
	const all = `${plural(places, "place")} where memory may run out`;
	if (failed !== undefined) return `${all}, and the ${ordinal(failNth!)} failed: ${failed}`;
	return failNth === 0 ? all : `${all}, so nothing failed: there is no ${ordinal(failNth!)}`;
}

/** "21st" */
function ordinal(number: number): string {
	const suffix = { one: "st", two: "nd", few: "rd" } as const;
	const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(number);
	return `${number}${rule in suffix ? suffix[rule as keyof typeof suffix] : "th"}`;
}

function plural(count: number, what: string): string {
	return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function numberOf(status: Status): { code: number } | { signal: number } {
	return status.kind === "exited" ? { code: status.code } : { signal: status.signal };
}

/** The program's own code; of a signal, as a shell says it: killing ourselves with the same would leave a core file of Node's. */
function codeOf(status: Status): number {
	return status.kind === "exited" ? status.code : KILLED_BY + status.signal;
}
