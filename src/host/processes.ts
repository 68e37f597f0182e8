// Who is who: the thread that a notification names, and the process that it belongs to.

import { EPOLLIN, type Events } from "./events.js";
import { close } from "./libc.js";
import { openDirectory, readStatus } from "./proc.js";
import { Process, shareMemory } from "./process.js";
import type { ProcessMemory } from "./process-memory.js";
import { type Services, Thread } from "./thread.js";

/** So many threads are remembered, with an fd for each; beyond that we start over. */
const MOST_THREADS = 1000;

export class Processes {
	readonly #services: Services;
	readonly #threads = new Map<number, Thread>();
	readonly #processes = new Map<number, Process>();
	/** Tells when a process has ended, as long as we have a pidfd for it. */
	readonly #events: Events;
	/** When there are so many processes, we look which of them are gone: for those without a pidfd. */
	#sweepAt = 64;

	constructor(services: Services, events: Events) {
		this.#services = services;
		this.#events = events;
	}

	/** A thread that has made a call before; it may be gone, and its number another's. */
	known(thread: number): Thread | undefined {
		return this.#threads.get(thread);
	}

	/**
	 * The thread that has this number now. It must be stopped.
	 * @returns undefined when it has just been killed
	 */
	identify(number: number): Thread | undefined {
		this.#threads.get(number)?.close();
		this.#threads.delete(number);
		const process = this.#processOf(number);
		if (process === undefined) return undefined;
		if (this.#threads.size >= MOST_THREADS) this.#forgetThreads();
		const thread = new Thread(number, process, this.#services);
		this.#threads.set(number, thread);
		return thread;
	}

	/** The memory of a process that has made a call before, by the number of the process or of one of its threads. */
	memoryOf(number: number): ProcessMemory | undefined {
		const process = this.#processes.get(number) ?? this.#threads.get(number)?.process;
		return process?.alive ? process.memory : undefined;
	}

	#processOf(thread: number): Process | undefined {
		const directory = openDirectory(`/proc/${thread}`);
		if (directory === -1) return undefined;
		const status = readStatus(directory);
		close(directory);
		if (status === undefined) return undefined;
		const known = this.#processes.get(status.process);
		if (known?.alive) return known;
		if (known !== undefined) this.#forget(known);
		if (this.#processes.size >= this.#sweepAt) this.#sweep();
		const process = new Process(
			status.process,
			thread,
			this.#memoryOf(thread, status.parent),
			this.#services.sharedFiles,
		);
		if (process.pidfd === -1 && !process.alive) {
			process.close(); // Killed since we looked.
			return undefined;
		}
		this.#processes.set(status.process, process);
		if (process.pidfd !== -1) this.#events.add(process.pidfd, EPOLLIN, () => this.#forget(process));
		return process;
	}

	/** The memory that a new process shares with its parent: after vfork(2) it does until it calls execve(2). */
	#memoryOf(thread: number, parent: number): ProcessMemory | undefined {
		const process = this.#processes.get(parent);
		return process !== undefined && shareMemory(thread, parent) ? process.memory : undefined;
	}

	/** Forgets the processes that are gone. */
	#sweep(): void {
		for (const process of this.#processes.values()) if (!process.alive) this.#forget(process);
		this.#sweepAt = Math.max(64, 2 * this.#processes.size);
	}

	#forget(process: Process): void {
		this.#processes.delete(process.id);
		this.#events.remove(process.pidfd);
		for (const thread of this.#threads.values()) {
			if (thread.process !== process) continue;
			thread.close();
			this.#threads.delete(thread.thread);
		}
		process.close();
	}

	#forgetThreads(): void {
		for (const thread of this.#threads.values()) thread.close();
		this.#threads.clear();
	}
}
