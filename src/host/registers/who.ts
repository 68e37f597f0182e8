// Which process a thread is of that touches registers, and whether it may be stopped.

import { close } from "../linux/libc.js";
import { openDirectory, readFileAt } from "../linux/proc.js";
import type { Tracee } from "./tracee.js";

/** So often a thread is seized that nobody traces, until we believe that we may not. */
const MOST_TRIES = 3;

export interface Who {
	readonly process: number;
	/** The process that traces it, or 0. */
	readonly tracer: number;
	/** How many seccomp filters it has. */
	readonly filters: number;
}

/** Who a thread is; undefined when it is gone, or going. proc_pid_status(5) */
export function identify(thread: number): Who | undefined {
	const directory = openDirectory(`/proc/${thread}`);
	if (directory === -1) return undefined;
	const text = readFileAt(directory, "status");
	close(directory);
	if (text === undefined) return undefined;
	const field = (name: string) => Number(text.match(new RegExp(`^${name}:\\s*(\\d+)`, "m"))?.[1] ?? 0);
	// On its way out it can't be traced, and has no memory any more, before it is a zombie.
	if (!/^VmSize:/m.test(text) || /^State:\s*[ZX]/m.test(text)) return undefined;
	return { process: field("Tgid"), tracer: field("TracerPid"), filters: field("Seccomp_filters") };
}

/** What forbids to make system calls in a thread's name. */
export function obstacleOf({ filters }: Who): string | undefined {
	// A filter of its own may kill it for a call that it doesn't know.
	ownFilters ??= identify(process.pid)?.filters ?? 0;
	const ours = ownFilters + 1;
	return filters > ours ? "it has a seccomp filter of its own" : undefined;
}

/** Those that we run under ourselves; the program has one more, which is ours. */
let ownFilters: number | undefined;

/** Seizes a thread. @returns why that can't be: "gone" when it has ended, or is about to */
export function takeThread(tracee: Tracee, thread: number, options?: number): string | undefined {
	for (let tries = 0; tries < MOST_TRIES; tries++) {
		const refusal = tracee.seize(thread, options);
		if (refusal !== "refused") return refusal;
		const who = identify(thread);
		if (who === undefined) return "gone";
		if (who.tracer !== 0) return `process ${who.tracer} traces it`;
		// Whoever had it has just let go of it, perhaps.
	}
	return "ptrace(2) of it is forbidden";
}
