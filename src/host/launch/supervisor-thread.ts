// The worker that the engine lives in: loads the machine, then answers calls until the last process is gone.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Errno } from "../../uapi/errno.js";
import { FaultInjection } from "../fault-injection/fault-injection.js";
import { reportInternalError } from "../internal-error.js";
import { gettid } from "../linux/libc.js";
import type { ServedFiles } from "../paths/opens.js";
import { Supervisor, type Tracer } from "../supervisor.js";
import { Handshake } from "./handshake.js";
import { answerQuestions, takeWakeUps } from "./wake-up.js";

/** What is served. The machine, as the host needs it. */
export interface Machine extends ServedFiles {
	/** What the program left allocated, one line for each thing. */
	leftovers(): string[];
}

export interface SupervisorData {
	readonly handshake: SharedArrayBuffer;
	/** Of the engine: what supervise() was given a function for. */
	readonly settings: unknown;
	/** Where the machine's files, and those of debugfs, may be put; nothing is there yet. */
	readonly directories: { readonly files: string; readonly debugfs: string };
	/** Where questions come from: see asker.ts. */
	readonly questions: MessagePort;
}

/** What it tells the main thread, once. */
export type SupervisorMessage =
	| { readonly kind: "no machine"; readonly reason: string; readonly advice: string | undefined }
	| { readonly kind: "report"; readonly report: Report };

export interface Report {
	readonly calls: number;
	/** How often each errno was the answer, most frequent first. */
	readonly errors: readonly (readonly [code: string, count: number])[];
	readonly leftovers: readonly string[];
	/** Paths of files that are still open: in processes that don't run under us, which got them over a socket. */
	readonly stillOpen: readonly string[];
	/** Where one place was to fail: how many were come by, and what the one was that did. */
	readonly places?: number;
	readonly failedPlace?: string | undefined;
}

/** What the engine can ask of the host. */
export interface Host {
	/** Where debugfs's files may be put. */
	readonly debugfs: string;
	/**
	 * Releases files that are closed but whose release hasn't been carried out yet.
	 * @param mappingsToo the same for mappings, which takes a look at every process
	 */
	settle(mappingsToo?: boolean): void;
}

/** What the supervisor serves, and who looks on. */
export interface Engine {
	readonly machine: Machine;
	readonly tracer?: Tracer | undefined;
	/** Who decides which places fail. */
	readonly faults?: FaultInjection;
	/** Answers a question of the main thread's, between two calls. */
	answer?(question: unknown): unknown;
}

/**
 * The whole of the worker.
 * @param start makes the engine, or throws an Errno or Error that says why not; what to do may be in its `advice`
 */
export function supervise<Settings>(start: (settings: Settings, host: Host) => Engine): void {
	const data: SupervisorData = workerData;
	const handshake = new Handshake(data.handshake);
	let supervisor: Supervisor | undefined;
	let engine: Engine;
	try {
		engine = start(data.settings as Settings, {
			debugfs: data.directories.debugfs,
			settle: (mappingsToo) => supervisor?.settle(mappingsToo),
		});
	} catch (error) {
		handshake.announceMachine(false);
		tell({ kind: "no machine", reason: reasonOf(error), advice: (error as { advice?: string }).advice });
		return;
	}
	handshake.announceMachine(true);
	const listener = handshake.waitForListener();
	if (listener === undefined) return;
	const { files, debugfs } = data.directories;
	const { machine, tracer, faults = new FaultInjection(false, undefined, debugfs) } = engine;
	supervisor = new Supervisor(machine, listener, handshake.launcher, files, tracer, faults);
	if (engine.answer !== undefined) {
		supervisor.whenWoken = () => answerQuestions(data.questions, (question) => engine.answer?.(question));
		takeWakeUps();
		handshake.announceSupervisor(gettid());
	}
	supervisor.run();
	const { plan } = faults;
	const report = finish(supervisor, machine);
	tell({ kind: "report", report: plan ? { ...report, places: plan.passed, failedPlace: plan.failed?.what } : report });
}

function finish(supervisor: Supervisor, machine: Machine): Report {
	const stillOpen = supervisor.finish();
	let leftovers: string[] = [];
	try {
		leftovers = machine.leftovers();
	} catch (error) {
		reportInternalError(error, "the summary");
	}
	const { calls, errors } = supervisor.tally;
	return { calls, errors: [...errors].sort(([, one], [, other]) => other - one), leftovers, stillOpen };
}

function reasonOf(error: unknown): string {
	if (error instanceof Errno) return error.reason;
	return error instanceof Error ? error.message : String(error);
}

function tell(message: SupervisorMessage): void {
	parentPort!.postMessage(message);
}
