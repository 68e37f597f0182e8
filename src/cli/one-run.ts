// A program under an `ioasis run` of its own, for the commands that run it more than once.

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NOT_EXECUTABLE, NOT_FOUND, USAGE_ERROR } from "./exit-codes.js";
import { type Report, readReport } from "./report-file.js";

/** How the program ended. */
export type Ending =
	| { readonly kind: "exited"; readonly code: number }
	| { readonly kind: "killed"; readonly signal: number }
	| { readonly kind: "timed out" };

export interface OneRun extends Report {
	readonly ending: Ending;
	readonly seconds: number;
	/** The end of what the program wrote, stdout and stderr as they came. */
	readonly output: string;
}

/** Nothing ran: the program isn't there, or the kernel refuses. The same will be true of every other run. */
export class NotStarted extends Error {
	/** What `ioasis run` said, and its exit code. */
	readonly code: number;

	constructor(message: string, code: number) {
		super(message);
		this.code = code;
	}
}

export interface RunLimits {
	/** A directory for the reports. */
	readonly directory: string;
	/** In seconds; undefined for none. */
	readonly timeout: number | undefined;
	/** As --memory, in bytes. */
	readonly memory: number;
}

/** Beside us in dist/. Not bin/ioasis, which looks for changed sources: all runs are to be of the same build. */
const IOASIS = fileURLToPath(new URL("./main.js", import.meta.url));
/** Characters of output that are kept. */
const MOST_OUTPUT = 64 * 1024;

/** What `ioasis run` itself ends with when there was nothing to run. */
const NOTHING_RAN: readonly number[] = [USAGE_ERROR, NOT_EXECUTABLE, NOT_FOUND];

const running = new Set<ChildProcess>();
let reports = 0;

/**
 * Runs it to its end.
 * @param options of `ioasis run`
 * @throws NotStarted
 */
export async function runOnce(
	options: readonly string[],
	program: readonly string[],
	{ directory, timeout, memory }: RunLimits,
): Promise<OneRun> {
	const reportFile = join(directory, `${++reports}.jsonl`);
	const words = ["run", "--quiet", "--memory", String(memory), ...options, "--report", reportFile, "--", ...program];
	const started = performance.now();
	// A process group of its own, so that nothing of it is left when it has to be killed.
	const child = spawn(process.execPath, [IOASIS, ...words], { stdio: ["ignore", "pipe", "pipe"], detached: true });
	running.add(child);
	let timedOut = false;
	const timer =
		timeout === undefined
			? undefined
			: setTimeout(() => {
					timedOut = true;
					kill(child);
				}, timeout * 1000);
	let output = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8");
		stream.on("data", (text: string) => {
			output = (output + text).slice(-MOST_OUTPUT);
		});
	}
	const ending = await new Promise<Ending>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signal) => resolve(code === null ? killedBy(signal!) : { kind: "exited", code }));
	});
	running.delete(child);
	clearTimeout(timer);
	const seconds = (performance.now() - started) / 1000;
	const report = readReport(reportFile);
	const { end } = report;
	const common = { ...report, seconds, output };
	if (timedOut) return { ...common, ending: { kind: "timed out" } };
	if (end?.signal !== undefined) return { ...common, ending: { kind: "killed", signal: end.signal } };
	if (end === undefined && ending.kind === "exited" && NOTHING_RAN.includes(ending.code))
		throw new NotStarted(output.trimEnd(), ending.code);
	return { ...common, ending };
}

/** Ends what is running, with all that it started. */
export function killAll(): void {
	for (const child of running) kill(child);
}

function killedBy(name: NodeJS.Signals): Ending {
	return { kind: "killed", signal: constants.signals[name] };
}

function kill({ pid }: ChildProcess): void {
	try {
		if (pid !== undefined) process.kill(-pid, "SIGKILL");
	} catch {
		// It has ended by itself.
	}
}
