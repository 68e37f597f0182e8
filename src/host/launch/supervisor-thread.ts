// The worker that the engine lives in: loads the machine, then answers calls until the last process is gone.

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { MappingHistory } from "../../iommu/dma/mapping-history.js";
import { MachineDescriptionError } from "../../machine/description.js";
import { Errno } from "../../uapi/errno.js";
import type { DeviceThreadData } from "../devices/device-thread.js";
import { DeviceThreads } from "../devices/device-threads.js";
import { type Failure, failureOf } from "../failure.js";
import { FaultInjection } from "../fault-injection/fault-injection.js";
import { reportInternalError } from "../internal-error.js";
import { gettid } from "../linux/libc.js";
import type { CopyThreadData } from "../memory/copy-thread.js";
import type { ServedFiles } from "../paths/opens.js";
import { Supervisor, type Tracer } from "../supervisor.js";
import { Handshake } from "./handshake.js";
import { checkMemoryAccess } from "./system-calls.js";
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
	/** It can't start, or can't go on. */
	| { readonly kind: "failed"; readonly failure: Failure }
	/** There is nothing to listen to: the launcher knows why. */
	| { readonly kind: "no listener" }
	/** A device thread is to be started. This can come any time before the others. */
	| { readonly kind: "device"; readonly data: DeviceThreadData }
	/** So is one for copies that may wait. */
	| { readonly kind: "copier"; readonly data: CopyThreadData }
	| { readonly kind: "report"; readonly report: Report };

export interface Report {
	readonly calls: number;
	/** How often each errno was the answer, most frequent first. */
	readonly errors: readonly (readonly [code: string, count: number])[];
	readonly leftovers: readonly string[];
	/** What was to be opened and isn't there, with why not. */
	readonly missing: readonly (readonly [path: string, why: string])[];
	/** Paths of files that are still open: in processes that don't run under us, which got them over a socket. */
	readonly stillOpen: readonly string[];
	/** How often a DMA went wrong, by kind. */
	readonly dmaErrors: readonly (readonly [kind: string, count: number])[];
	/** Whether a device thread goes on, and can't be ended. */
	readonly hasStuckDevice?: boolean;
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
	/** Threads for the models of devices. */
	readonly devices: DeviceThreads;
	/** The thread whose call is being answered; 0 before the first. */
	thread(): number;
}

/** What the supervisor serves, and who looks on. */
export interface Engine {
	readonly machine: Machine;
	readonly tracer?: Tracer | undefined;
	/** Who decides which places fail. */
	readonly faults?: FaultInjection;
	/** Who remembers which call has mapped what. */
	readonly history?: MappingHistory | undefined;
	/** How often a DMA went wrong, by kind. */
	dmaErrors?(): readonly (readonly [kind: string, count: number])[];
	/** All is over: who looks on may say something at the end. */
	end?(): void;
	/** Answers a question of the main thread's, between two calls. */
	answer?(question: unknown): unknown;
}

/**
 * The whole of the worker. The program is started when all is there that it takes to serve it.
 * @param start makes the engine, or throws an Errno or MachineDescriptionError that says why not; what to do may be in its `advice`
 */
export async function supervise<Settings>(
	start: (settings: Settings, host: Host) => Engine | Promise<Engine>,
): Promise<void> {
	const data: SupervisorData = workerData;
	const handshake = new Handshake(data.handshake);
	const ready = await prepare(data, start);
	handshake.announceMachine(ready !== undefined);
	if (ready === undefined) return;
	try {
		const listener = handshake.waitForListener();
		if (listener === undefined) {
			tell({ kind: "no listener" });
			return;
		}
		handshake.announceSupervisor(gettid());
		ready.supervisor.run(listener, handshake.launcher);
		const report = finish(ready);
		ready.end();
		tell({ kind: "report", report });
	} catch (error) {
		tell({ kind: "failed", failure: failureOf(error) });
	}
}

/** What is there before the program. */
interface Ready {
	readonly supervisor: Supervisor;
	readonly machine: Machine;
	readonly faults: FaultInjection;
	dmaErrors(): Report["dmaErrors"];
	end(): void;
}

/** @returns undefined when it can't be had, which has been told then */
async function prepare<Settings>(
	{ settings, directories: { files, debugfs }, questions }: SupervisorData,
	start: (settings: Settings, host: Host) => Engine | Promise<Engine>,
): Promise<Ready | undefined> {
	let supervisor: Supervisor | undefined;
	const startCopyThread = (data: CopyThreadData) => tell({ kind: "copier", data });
	const devices = new DeviceThreads((data) => tell({ kind: "device", data }));
	try {
		checkMemoryAccess();
		const engine = await start(settings as Settings, {
			debugfs,
			settle: (mappingsToo) => supervisor?.settle(mappingsToo),
			devices,
			thread: () => supervisor?.caller ?? 0,
		});
		const { machine, tracer, faults = new FaultInjection(false, undefined, debugfs) } = engine;
		supervisor = new Supervisor(machine, devices, startCopyThread, files, tracer, faults);
		supervisor.history = engine.history;
		supervisor.whenWoken = () => {
			devices.lookAfterDead();
			answerQuestions(questions, (question) => engine.answer?.(question));
		};
		takeWakeUps();
		return { supervisor, machine, faults, dmaErrors: () => engine.dmaErrors?.() ?? [], end: () => engine.end?.() };
	} catch (error) {
		if (error instanceof Errno || error instanceof MachineDescriptionError) {
			const reason = error instanceof Errno ? error.reason : error.message;
			tell({ kind: "no machine", reason, advice: (error as { advice?: string }).advice });
		} else tell({ kind: "failed", failure: failureOf(error) });
		return undefined;
	}
}

function finish({ supervisor, machine, faults: { plan }, dmaErrors }: Ready): Report {
	const stillOpen = supervisor.finish();
	let leftovers: string[] = [];
	try {
		leftovers = machine.leftovers();
	} catch (error) {
		reportInternalError(error, "the summary");
	}
	const { calls, errors, missing } = supervisor.tally;
	const byCount = [...errors].sort(([, one], [, other]) => other - one);
	const stuck = supervisor.haveDevicesEnded ? {} : { hasStuckDevice: true };
	const places = plan && { places: plan.passed, failedPlace: plan.failed?.what };
	const summary = { calls, errors: byCount, missing: [...missing], leftovers, stillOpen, dmaErrors: dmaErrors() };
	return { ...summary, ...stuck, ...places };
}

function tell(message: SupervisorMessage): void {
	parentPort!.postMessage(message);
}
