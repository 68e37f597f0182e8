// The worker that the engine lives in: loads the machine, then answers calls until the last process is gone.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { Errno } from "../uapi/errno.js";
import { FaultInjection } from "./fault-injection.js";
import { Handshake } from "./handshake.js";
import { reportInternalError } from "./internal-error.js";
import { gettid } from "./libc.js";
import type { ServedFiles } from "./opens.js";
import { Supervisor, type Tracer } from "./supervisor.js";
import { answerQuestions, takeWakeUps } from "./wake-up.js";

/** What is served. The machine, as the host needs it. */
export interface Machine extends ServedFiles {
	/** What the program left allocated, one line for each thing. */
	leftovers(): string[];
}

export interface SupervisorData {
	readonly handshake: SharedArrayBuffer;
	/** The machine's name, or a file that describes it. */
	readonly machine: string;
	/** Where the machine's files, and those of debugfs, may be put; nothing is there yet. */
	readonly directories: { readonly files: string; readonly debugfs: string };
	/** The fd that the trace is written to; undefined for none. */
	readonly trace: number | undefined;
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
	/**
	 * Releases files that are closed but whose release hasn't been carried out yet.
	 * @param mappingsToo the same for mappings, which takes a look at every process
	 */
	settle(mappingsToo?: boolean): void;
}

/**
 * The whole of the worker.
 * @param load gives the machine, or throws an Errno or Error that says why not; what to do may be in its `advice`
 * @param answerTo answers a question of the main thread's, between two calls
 * @param makeFaults gives who decides which places fail, and may put debugfs's files into a directory
 */
export function supervise(
	load: (nameOrFile: string, host: Host) => Machine,
	makeTracer?: (fd: number) => Tracer,
	answerTo?: (question: unknown) => unknown,
	makeFaults = (directory: string) => new FaultInjection(false, undefined, directory),
): void {
	const data: SupervisorData = workerData;
	const handshake = new Handshake(data.handshake);
	let supervisor: Supervisor | undefined;
	let machine: Machine;
	try {
		machine = load(data.machine, { settle: (mappingsToo) => supervisor?.settle(mappingsToo) });
	} catch (error) {
		handshake.announceMachine(false);
		tell({ kind: "no machine", reason: reasonOf(error), advice: (error as { advice?: string }).advice });
		return;
	}
	const tracer = data.trace === undefined ? undefined : makeTracer?.(data.trace);
	handshake.announceMachine(true);
	const listener = handshake.waitForListener();
	if (listener === undefined) return;
	const { files, debugfs } = data.directories;
	const faults = makeFaults(debugfs);
	supervisor = new Supervisor(machine, listener, handshake.launcher, files, tracer, faults);
	if (answerTo !== undefined) {
		supervisor.whenWoken = () => answerQuestions(data.questions, answerTo);
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
