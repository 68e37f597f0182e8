// Waiting for the program and for what it leaves running: as "subreaper" this process becomes the parent of its orphans.
// PR_SET_CHILD_SUBREAPER(2const), waitid(2), proc_pid_task(5)
//
// Linux makes orphans the children of a process's first thread, which here is Node's and never waits. Any thread may wait for them;
// but a wait that takes whatever comes would also take the stops of threads that another of our threads is tracing (ptrace(2)),
// and that one would wait for ever. So nobody does that here. SIGCHLD says that a child has ended. Then each child is looked at, which
// takes nothing away (WNOWAIT), and only what has ended is taken.

import { errno, errors } from "../linux/libc.js";
import { WaitInfo, WEXITED, WNOHANG, WNOWAIT } from "../linux/wait.js";
import { childrenOf } from "./descendants.js";
import type { Handshake } from "./handshake.js";

const info = new WaitInfo();

/**
 * Waits for the program and all that comes from it.
 * @param others children that don't come from it
 * @param ended is told of the program's end, as wait(2) has it
 */
export function waitForAll(
	program: number,
	others: ReadonlySet<number>,
	handshake: Handshake,
	ended: (status: number) => void,
): void {
	let running = true;
	const take = (child: number): boolean => {
		const status = takeEnded(child);
		if (status === undefined) return false;
		if (child === program && running) {
			running = false;
			ended(status);
		}
		return true;
	};
	for (;;) {
		const before = handshake.childrenEnded;
		const left = childrenOf("self");
		const ours = left?.filter((child) => !others.has(child)) ?? [];
		// One who has ended may have left others, whom we don't know yet.
		let someEnded = false;
		for (const child of new Set([program, ...ours])) if (take(child)) someEnded = true;
		const unlisted = left === undefined ? anyEnded() : undefined;
		if (unlisted !== undefined && take(unlisted)) someEnded = true;
		if (someEnded) continue;
		if (!running && (left === undefined ? !hasChildren() : ours.length === 0)) return;
		handshake.waitForChild(before);
	}
}

/** Takes a child's end, if it has come. @returns it as wait(2) has it; undefined when it goes on, or isn't ours */
function takeEnded(child: number): number | undefined {
	if (!info.wait(child, WEXITED | WNOHANG | WNOWAIT) || !info.hasEnded) return undefined;
	return info.wait(child, WEXITED | WNOHANG) ? info.asWaitStatus : undefined;
}

/** Some child that has ended, where the kernel doesn't list them. */
function anyEnded(): number | undefined {
	return info.waitForAny(WEXITED | WNOHANG | WNOWAIT) && info.hasEnded ? info.id : undefined;
}

function hasChildren(): boolean {
	return info.waitForAny(WEXITED | WNOHANG | WNOWAIT) || errno() !== errors.ECHILD;
}
