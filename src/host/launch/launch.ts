// Runs a program under the supervisor, from the main thread's side: starts the two workers and tells how it ended.

import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { type Failure, failureOf } from "../failure.js";
import { Asker } from "./asker.js";
import { childrenOf, killDescendants } from "./descendants.js";
import { startDevice } from "./device-worker.js";
import { Handshake } from "./handshake.js";
import type { LauncherData, LauncherMessage } from "./launcher-thread.js";
import { checkPrerequisites, temporaryDirectory } from "./prerequisites.js";
import type { Report, SupervisorData, SupervisorMessage } from "./supervisor-thread.js";

export interface Launch {
	/** The program's name and its arguments: the end of our own command line. */
	readonly program: readonly string[];
	/** For the function that the supervisor's worker calls supervise() with: what structuredClone() can copy. */
	readonly settings: unknown;
	/** How large the heap of the supervisor's thread may get, in MiB. */
	readonly heap?: number;
	/** Fds of our own that the program is not to inherit. */
	readonly withheld?: readonly number[];
	/** The workers' files: launcher-thread.ts, one that calls supervise(), one that calls runDeviceThread(), and copy-thread.ts. */
	readonly workers: { readonly launcher: URL; readonly supervisor: URL; readonly device: URL; readonly copier: URL };
}

/** How the program itself ended. */
export type Status =
	| { readonly kind: "exited"; readonly code: number }
	| { readonly kind: "killed"; readonly signal: number };

/** Why there is no status: the machine is not to be had, a call failed, or we did. */
export type NotStarted =
	| { readonly kind: "no machine"; readonly reason: string; readonly advice: string | undefined }
	| { readonly kind: "failed"; readonly call: "seccomp" | "posix_spawn"; readonly errno: number }
	/** All that was started has been killed. */
	| { readonly kind: "broken"; readonly hadStarted: boolean; readonly failure: Failure };

/** What happens, in this order. */
export interface Observer {
	/** There is a process now. @param ask has the supervisor answer a question; rejects if the program ends before */
	started?(pid: number, ask: (question: unknown) => Promise<unknown>): void;
	/** It has ended; others that it started may go on, and are waited for. */
	ended?(status: Status): void;
}

/** Where the supervisor puts the machine's files and those of debugfs, once somebody looks at them. */
let directories: SupervisorData["directories"] | undefined;
/** The program, once it has been started, and children that we had before it. */
let program: number | undefined;
let others: readonly number[] = [];

/** Ends all that was started and removes what we leave in the file system, for who ends without waiting for launch(). */
export function cleanUp(): void {
	killDescendants(program, new Set(others));
	removeFiles();
}

/** Only the latter: what runs goes on, as far as it can. */
export function removeFiles(): void {
	for (const path of Object.values(directories ?? {})) {
		try {
			rmSync(path, { recursive: true, force: true });
		} catch {
			// It is not there, or not ours: nothing could be put there.
		}
	}
}

/**
 * @returns when the program and all that it started is gone
 * @throws Refusal for what this system doesn't have; nothing has been started then
 */
export async function launch(what: Launch, observer: Observer = {}): Promise<[Status, Report] | NotStarted> {
	checkPrerequisites();
	const directory = join(temporaryDirectory(), `ioasis-${process.pid}-${Math.random().toString(36).slice(2)}`);
	directories = { files: directory, debugfs: `${directory}-debug` };
	others = childrenOf("self") ?? [];
	const handshake = new Handshake();
	const asker = new Asker(handshake);
	const launcherData: LauncherData = {
		handshake: handshake.memory,
		program: bytesOfArguments(what.program),
		fds: inheritedFds().filter((fd) => !what.withheld?.includes(fd)),
		fileLimit: fileLimitOfParent(),
		others,
	};
	const supervisorData: SupervisorData = {
		handshake: handshake.memory,
		settings: what.settings,
		directories,
		questions: asker.port,
	};
	process.on("SIGCHLD", () => handshake.announceChild()); // The launcher waits for it.
	process.on("exit", removeFiles); // The supervisor does it at its end, but it may not come to that.
	const supervisor = new Worker(what.workers.supervisor, {
		workerData: supervisorData,
		transferList: [asker.port],
		execArgv: [],
		...(what.heap === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: what.heap } }),
	});
	const launcher = new Worker(what.workers.launcher, { workerData: launcherData, execArgv: [] });

	return new Promise((resolve) => {
		let status: Status | undefined;
		let hasTold = false;
		launcher.on("message", (message: LauncherMessage) => {
			if (message.kind === "started") {
				program = message.pid;
				observer.started?.(message.pid, (question) => asker.ask(question));
			} else if (message.kind === "failed") resolve(message);
			else {
				status = statusOf(message.status);
				observer.ended?.(status);
			}
		});
		supervisor.on("message", (message: SupervisorMessage) => {
			if (message.kind === "device") {
				startDevice(what.workers.device, message.data, () => asker.wake());
				return;
			}
			if (message.kind === "copier") {
				new Worker(what.workers.copier, { workerData: message.data, execArgv: [] })
					.on("error", (error) => broken(failureOf(error)))
					.unref();
				return;
			}
			asker.end();
			hasTold = true;
			if (message.kind === "no listener") return;
			if (message.kind === "no machine") resolve(message);
			else if (message.kind === "failed") broken(message.failure);
			// Its farewell comes after the launcher's last message, but by another way.
			else if (status !== undefined) resolve([status, message.report]);
			else launcher.once("exit", () => status && resolve([status, message.report]));
		});
		supervisor.on("error", (error) => broken(failureOf(error)));
		supervisor.on("exit", () => hasTold || broken({ reason: "the thread that answers has ended" }));
		launcher.on("error", (error) => broken(failureOf(error)));

		/** Nobody answers any more, so nobody may wait. */
		function broken(failure: Failure): void {
			asker.end();
			const hadStarted = program !== undefined;
			cleanUp();
			resolve({ kind: "broken", hadStarted, failure });
		}
	});
}

/** From what wait(2) gives. */
function statusOf(status: number): Status {
	const signal = status & 0x7f;
	return signal === 0 ? { kind: "exited", code: (status >> 8) & 0xff } : { kind: "killed", signal };
}

/** Arguments as the bytes that they are: what isn't UTF-8 would not survive as a string. */
function bytesOfArguments(program: readonly string[]): Uint8Array[] {
	const all = readFileSync("/proc/self/cmdline");
	const words: Uint8Array[] = [];
	for (let at = 0; at < all.length; ) {
		const end = all.indexOf(0, at);
		words.push(all.subarray(at, end));
		at = end + 1;
	}
	return words.slice(-program.length);
}

/**
 * The fds that we got from whoever started us, and that the program is to get from us. The others are Node's own: it opened
 * them after, the first of them an epoll instance, and they are all of the following kinds.
 */
function inheritedFds(): number[] {
	const targets = new Map<number, string>();
	for (const name of readdirSync("/proc/self/fd")) {
		try {
			targets.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
		} catch {
			// The one that the directory was read through.
		}
	}
	const fds = [...targets.keys()].sort((one, other) => one - other);
	const nodesFirst = fds.find((fd) => targets.get(fd) === "anon_inode:[eventpoll]") ?? 0;
	const isNodes = (fd: number, target: string) =>
		target.startsWith("anon_inode:") ||
		(target.startsWith("pipe:") && [...targets].some(([other, same]) => other !== fd && same === target));
	return fds.filter((fd) => fd < Math.max(3, nodesFirst) || !isNodes(fd, targets.get(fd)!));
}

/** Node raises its soft limit of open files; the program is to have what it would have had without us. */
function fileLimitOfParent(): number | undefined {
	try {
		const limits = readFileSync(`/proc/${process.ppid}/limits`, "latin1");
		const soft = limits.match(/^Max open files\s+(\d+)/m)?.[1];
		return soft === undefined ? undefined : Number(soft);
	} catch {
		return undefined;
	}
}
