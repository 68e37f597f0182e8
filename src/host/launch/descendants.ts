// The processes that come from this one, by /proc: of the launcher's thread, and of all that it has started. proc_pid_task(5)

import { existsSync, readdirSync, readFileSync } from "node:fs";

/** How often we look for what was started meanwhile, and how long we wait in between, in milliseconds. */
const MOST_ROUNDS = 200;
const PAUSE = 5;

const neverNotified = new Int32Array(new SharedArrayBuffer(4));

/**
 * The children of a process, whichever of its threads they belong to; undefined where the kernel doesn't list them
 * (CONFIG_PROC_CHILDREN), or we have no fds left to look.
 */
export function childrenOf(process: number | "self"): number[] | undefined {
	if (!existsSync("/proc/thread-self/children")) return undefined;
	try {
		return readdirSync(`/proc/${process}/task`).flatMap((thread) => childrenOfThread(process, thread));
	} catch {
		return undefined;
	}
}

function childrenOfThread(process: number | "self", thread: string): number[] {
	try {
		const list = readFileSync(`/proc/${process}/task/${thread}/children`, "latin1");
		return Array.from(list.matchAll(/\d+/g), Number);
	} catch (error) {
		if (isOutOfFds(error)) throw error;
		return []; // The thread has just ended.
	}
}

function isOutOfFds(error: unknown): boolean {
	const { code } = error as NodeJS.ErrnoException;
	return code === "EMFILE" || code === "ENFILE";
}

/**
 * Kills everything that this process has started, and what that has. Who is stopped at a trapped call dies as well.
 * @param program is killed in any case, where it is known
 * @param others children that were there before, with all that comes from them
 */
export function killDescendants(program: number | undefined, others: ReadonlySet<number>): void {
	if (program !== undefined) kill(program);
	for (let round = 0; round < MOST_ROUNDS; round++) {
		// Those whose parent dies become our children, so none gets away.
		const living = descendantsOf("self", others).filter(isAlive);
		if (living.length === 0) return;
		for (const pid of living) kill(pid);
		Atomics.wait(neverNotified, 0, 0, PAUSE);
	}
}

function descendantsOf(process: number | "self", others: ReadonlySet<number>): number[] {
	const children = (childrenOf(process) ?? []).filter((child) => !others.has(child));
	return children.flatMap((child) => [child, ...descendantsOf(child, others)]);
}

/** Not dead already, and waiting for its parent to notice. */
export function isAlive(pid: number): boolean {
	try {
		return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
	} catch {
		return false;
	}
}

function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// It has just ended, or is another user's by now.
	}
}
