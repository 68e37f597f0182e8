// Who decides whether an allocation in a call of a program's thread fails: the program itself, by the files of a kernel with
// CONFIG_FAULT_INJECTION, or whoever has started it.

import { posix } from "node:path";
import type { FailNth } from "../../faults/fail-nth.js";
import type { FaultyTask } from "../../faults/fault-attr.js";
import { type FaultInjector, type FaultKind, withFaults } from "../../faults/faults.js";
import { Later } from "../../uapi/later.js";
import { close } from "../linux/libc.js";
import { exists, openDirectory } from "../linux/proc.js";
import { FailNthFile, type NthTask } from "./fail-nth-file.js";
import { FaultSettings } from "./fault-settings.js";

/** What fail-nth is called: of a process's first thread, or of one of them. */
export const FAIL_NTH_PATH = /^\/proc\/(\d+)(?:\/task\/(\d+))?\/fail-nth$/;

/** When so many threads are remembered we look which of them are gone, at the earliest. */
const LEAST_TO_SWEEP = 16;

export class FaultInjection implements FaultInjector {
	readonly settings: FaultSettings;
	readonly #kinds: readonly FaultKind[];
	readonly plan: FailNth | undefined;
	/** Threads whose fail-nth is open, or set, by number. */
	readonly #tasks = new Map<number, Task>();
	#sweepAt = LEAST_TO_SWEEP;
	/** Who makes the call that is under way. */
	#current: FaultyTask | undefined;
	/** How many places it has come by, and how many of these it had come by before it was put aside. */
	#passed = 0;
	#toPass = 0;
	/** By thread, how many places calls have come by that are to be made again. */
	readonly #ofParked = new Map<number, number>();

	/**
	 * @param hasTests whether the kernel has CONFIG_IOMMUFD_TEST, and so places of iommufd's own
	 * @param plan what whoever has started the program wants to fail
	 * @param directory where debugfs's files may be put, and nothing is yet
	 */
	constructor(hasTests: boolean, plan: FailNth | undefined, directory: string) {
		this.#kinds = hasTests ? ["failslab", "fail_page_alloc", "fail_iommufd"] : ["failslab", "fail_page_alloc"];
		this.settings = new FaultSettings(this.#kinds, directory);
		this.plan = plan;
	}

	/** Whether anything can fail. */
	get areAny(): boolean {
		return this.plan !== undefined || this.#tasks.size > 0 || this.settings.isMade;
	}

	/** Does something for a thread, in which places may fail. When it is made again it comes by the same places, which don't count twice. */
	during<T>(thread: number, action: () => T): T {
		if (!this.areAny) return action();
		this.settings.update();
		const outer = { current: this.#current, passed: this.#passed, toPass: this.#toPass };
		this.#current = this.#taskOf(thread);
		this.#passed = 0;
		this.#toPass = this.#ofParked.get(thread) ?? 0;
		this.#ofParked.delete(thread);
		try {
			return withFaults(this, action);
		} catch (thrown) {
			if (thrown instanceof Later) this.#ofParked.set(thread, Math.max(this.#passed, this.#toPass));
			throw thrown;
		} finally {
			({ current: this.#current, passed: this.#passed, toPass: this.#toPass } = outer);
		}
	}

	/** A call that a thread was to make again is given up. */
	forgetParked(thread: number): void {
		this.#ofParked.delete(thread);
	}

	shouldFail(kind: FaultKind, what: string): boolean {
		if (this.#passed++ < this.#toPass) return false;
		if (!this.#kinds.includes(kind)) return false;
		if (this.plan?.shouldFail(kind, what)) return true;
		const attr = this.settings.attrs.get(kind)!;
		const { times, space } = attr;
		const fails = attr.shouldFail(this.#current);
		if (attr.times !== times || attr.space !== space) this.settings.show();
		return fails;
	}

	/**
	 * @param path that FAIL_NTH_PATH matches
	 * @returns undefined when there is no such thread
	 */
	openFailNth(path: string, flags: number): FailNthFile | undefined {
		const number = numberIn(path);
		let task = this.#taskOf(number);
		if (task === undefined || path.includes("/task/")) {
			const directory = openDirectory(posix.dirname(path));
			if (directory === -1) return undefined;
			if (task !== undefined) close(directory);
			else {
				if (this.#tasks.size >= this.#sweepAt) this.#sweep();
				task = new Task(directory);
				this.#tasks.set(number, task);
			}
		}
		task.files++;
		const opened = task;
		return new FailNthFile(path, flags, opened, () => opened.files--);
	}

	/** The one that has this number now. */
	#taskOf(number: number): Task | undefined {
		const task = this.#tasks.get(number);
		if (task === undefined || (task.isNeeded && task.alive)) return task;
		this.#tasks.delete(number);
		task.forget();
		return undefined;
	}

	/** Nobody tells of threads that end with a number left. */
	#sweep(): void {
		for (const number of this.#tasks.keys()) this.#taskOf(number);
		this.#sweepAt = Math.max(LEAST_TO_SWEEP, 2 * this.#tasks.size);
	}
}

/** The thread that a path is about. @param path that FAIL_NTH_PATH matches */
export function numberIn(path: string): number {
	const [, process, thread] = path.match(FAIL_NTH_PATH)!;
	return Number(thread ?? process);
}

class Task implements NthTask {
	failNth = 0;
	/** How many files of it are open. */
	files = 0;
	/** Our fd for its directory in /proc, which stays its own; -1 when we have let go of it. */
	#directory: number;

	constructor(directory: number) {
		this.#directory = directory;
	}

	get alive(): boolean {
		return this.#directory !== -1 && exists(this.#directory, "status");
	}

	get isNeeded(): boolean {
		return this.files > 0 || this.failNth > 0;
	}

	forget(): void {
		if (this.#directory !== -1) close(this.#directory);
		this.#directory = -1;
	}
}
