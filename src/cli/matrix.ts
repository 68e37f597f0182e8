// ioasis matrix: a program on every machine under every policy, and a table of what works where, and why not.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { addModel } from "../devices/models.js";
import { say, sayColoured, sayJson, sayOnStderr, showProgress } from "../host/say.js";
import { vfioUser } from "../host/vfio-user/model.js";
import { MachineDescriptionError } from "../machine/description.js";
import { type Combination, type Outcome, runCombination } from "./combination.js";
import { adviceOf, complain, refuse } from "./complain.js";
import { deviceOptions } from "./device-option.js";
import { allowanceFor, type Expectations, parseExpectations } from "./expectations.js";
import { junit } from "./junit.js";
import { findMachine, machinesWithIommus, makeMachine } from "./machine-files.js";
import { beginRuns, positive } from "./many-runs.js";
import { matrixTable } from "./matrix-table.js";
import { parseMemory, usualMemory } from "./memory-size.js";
import { killAll, NotStarted } from "./one-run.js";
import { policyNamed } from "./policy-names.js";
import type { Failure } from "./report-file.js";
import { shellWords } from "./shell-words.js";
import { countInWords, endingInWords, type Judged, passes } from "./verdict.js";

/** What `matrix` can be told, as the command line has it. */
export interface MatrixOptions {
	readonly machines?: string;
	readonly policies: string;
	readonly device?: readonly string[];
	readonly memory?: string;
	readonly jobs?: string;
	readonly timeout?: string;
	readonly expect?: string;
	readonly shard?: string;
	readonly junit?: string;
	/** A directory for the recordings of runs that fail. */
	readonly recordOnFailure?: string;
	readonly json?: true;
}

/** 1 means that something fails which --expect doesn't allow. */
const FAILURE = 1;

addModel(vfioUser);

/** Runs them all; sets the exit code. */
export async function matrix(program: readonly string[], options: MatrixOptions): Promise<void> {
	const expectations = options.expect === undefined ? { mayFail: [] } : readExpectations(options.expect);
	const combinations = shardOf(await allCombinations(options), options.shard);
	const jobs = options.jobs === undefined ? availableParallelism() : positive("--jobs", options.jobs);
	const timeout = options.timeout === undefined ? undefined : positive("--timeout", options.timeout);
	const memory = options.memory === undefined ? usualMemory(jobs) : parseMemory(options.memory);
	if (options.junit !== undefined) write(options.junit, junit([], program)); // Better to know now that it can't be written.

	if (options.recordOnFailure !== undefined) makeDirectory(options.recordOnFailure);

	const ended: Outcome[] = [];
	const show = () => tell(ended, combinations, expectations, program, options);
	const directory = beginRuns(() => void show());
	try {
		await runAll(combinations, jobs, ended, (one) =>
			runCombination(one, [...deviceOptions(options.device), ...recordingOptions(one, options)], program, {
				directory,
				timeout,
				memory,
			}),
		);
	} catch (error) {
		if (!(error instanceof NotStarted)) throw error;
		killAll();
		sayOnStderr(...error.message.split("\n"));
		process.exit(error.code);
	}

	if (show().some(({ verdict }) => verdict === "fails")) process.exitCode = FAILURE;
}

/** Writes down and prints those that have ended, in the order of the combinations. */
function tell(
	ended: readonly Outcome[],
	combinations: readonly Combination[],
	expectations: Expectations,
	program: readonly string[],
	options: MatrixOptions,
): Judged[] {
	const placeOf = ({ machine, policy }: Combination) =>
		combinations.findIndex((one) => one.machine === machine && one.policy === policy);
	const judged = [...ended]
		.sort((one, other) => placeOf(one) - placeOf(other))
		.map((outcome) => judge(outcome, expectations));
	if (options.junit !== undefined) write(options.junit, junit(judged, program));
	if (options.json) sayJson(asJson(judged, program));
	else print(judged, program, options.device);
	return judged;
}

function makeDirectory(path: string): void {
	try {
		mkdirSync(path, { recursive: true });
	} catch (error) {
		refuse(`the directory ${path} can't be made: ${(error as NodeJS.ErrnoException).code}`, "give another one");
	}
}

/** A recording by the name of its combination; of a machine's file the name without its directories. */
function recordingOptions({ machine, policy }: Combination, { recordOnFailure }: MatrixOptions): string[] {
	if (recordOnFailure === undefined) return [];
	return ["--record-on-failure", join(recordOnFailure, `${basename(machine, ".json")}-${policy}.rec`)];
}

async function allCombinations(options: MatrixOptions): Promise<Combination[]> {
	const machines = options.machines?.split(",") ?? machinesWithIommus();
	const policies = options.policies.split(",").map((name) => policyNamed(name).name);
	for (const machine of machines) await checkMachine(machine, options.device);
	return machines.flatMap((machine) => policies.map((policy) => ({ machine, policy })));
}

/** Better to know before anything runs. */
async function checkMachine(machine: string, devices: readonly string[] | undefined): Promise<void> {
	try {
		makeMachine(await findMachine({ machine, devices }));
	} catch (error) {
		if (!(error instanceof MachineDescriptionError)) throw error;
		refuse(error.message, adviceOf(error));
	}
}

/** Part I of N, counted from 1. Neighbours go to different parts, because what takes long on a machine does so under each policy. */
function shardOf(combinations: readonly Combination[], shard = "1/1"): Combination[] {
	const [, part, parts] = (shard.match(/^(\d+)\/(\d+)$/) ?? []).map(Number);
	if (!(part >= 1 && part <= parts)) refuse(`--shard ${shard} is not a part`, "give I/N, from 1/N to N/N: --shard 2/3");
	return combinations.filter((_, index) => index % parts === part - 1);
}

function readExpectations(file: string): Expectations {
	try {
		return parseExpectations(readFileSync(file, "utf8"), file);
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		refuse(code === undefined ? message : `${file} can't be read: ${code}`, "docs/matrix.md says what stands in it");
	}
}

function write(file: string, text: string): void {
	try {
		writeFileSync(file, text);
	} catch (error) {
		refuse(`${file} can't be written: ${(error as NodeJS.ErrnoException).code}`, "give another file");
	}
}

/** Does `run` for each, `jobs` at a time; on a terminal it shows how far it is. */
async function runAll(
	combinations: readonly Combination[],
	jobs: number,
	ended: Outcome[],
	run: (combination: Combination) => Promise<Outcome>,
): Promise<void> {
	let next = 0;
	async function work(): Promise<void> {
		while (next < combinations.length) {
			const combination = combinations[next++];
			showProgress(`${ended.length}/${combinations.length}  ${combination.machine}, ${combination.policy}`);
			ended.push(await run(combination));
		}
	}
	try {
		await Promise.all(Array.from({ length: jobs }, work));
	} finally {
		showProgress("");
	}
}

function judge(outcome: Outcome, expectations: Expectations): Judged {
	if (passes(outcome)) return { ...outcome, verdict: "passes", because: undefined };
	const allowance = allowanceFor(expectations, outcome);
	return { ...outcome, verdict: allowance === undefined ? "fails" : "fails as expected", because: allowance?.because };
}

function print(outcomes: readonly Judged[], program: readonly string[], devices: readonly string[] | undefined): void {
	sayColoured(matrixTable(outcomes, process.stdout.isTTY && process.env.NO_COLOR === undefined));
	say("", countInWords(outcomes));
	const failing = outcomes.find(({ verdict }) => verdict === "fails");
	if (failing === undefined) return;
	const { machine, policy } = failing;
	const options = shellWords(["--machine", machine, "--policy", policy, ...deviceOptions(devices)]);
	complain(
		`the first that fails is ${machine} under ${policy}; to see each of its calls:`,
		`ioasis run --trace ${options} -- ${shellWords(program)}`,
	);
}

function asJson(outcomes: readonly Judged[], program: readonly string[]): object {
	return {
		program,
		combinations: outcomes.map(({ machine, policy, verdict, because, ending, failures, seconds, output }) => ({
			machine,
			policy,
			verdict,
			because,
			result: endingInWords(ending),
			firstFailure: failures.map(failureAsJson).at(0),
			failures: failures.map(failureAsJson),
			seconds: Math.round(seconds * 1000) / 1000,
			output,
		})),
	};
}

function failureAsJson({ path, call, errno, reason }: Failure): object {
	return { path, call, errno, reason };
}
