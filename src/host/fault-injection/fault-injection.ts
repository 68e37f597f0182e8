// Who decides whether an allocation in a call of a program's thread fails: the program itself, by the files of a kernel with
// CONFIG_FAULT_INJECTION, or whoever has started it.

import { posix } from "node:path";
import type { FailNth } from "../../faults/fail-nth.js";
import type { FaultyTask } from "../../faults/fault-attr.js";
import { type FaultInjector, type FaultKind, withFaults } from "../../faults/faults.js";
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

	/** Makes a thread the one that the next places are come by of. @returns undefined when nothing can fail */
	injectorOf(thread: number): FaultInjector | undefined {
		if (this.plan === undefined && this.#tasks.size === 0 && !this.settings.isMade) return undefined;
		this.settings.update();
		this.#current = this.#taskOf(thread);
		return this;
	}

	/** Does something for a thread, in which places may fail. */
	during<T>(thread: number, action: () => T): T {
		const injector = this.injectorOf(thread);
		return injector === undefined ? action() : withFaults(injector, action);
	}

	shouldFail(kind: FaultKind, what: string): boolean {
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
		const [, process, thread] = path.match(FAIL_NTH_PATH)!;
		const number = Number(thread ?? process);
		let task = this.#taskOf(number);
		if (task === undefined || thread !== undefined) {
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
