// Who is who: the thread that a notification names, and the process that it belongs to.

import { EPOLLIN, type Events } from "../linux/events.js";
import { RLIMIT_NOFILE } from "../linux/flags.js";
import { close, NativeMemory, prlimit } from "../linux/libc.js";
import { openDirectory, readStatus, type Status } from "../linux/proc.js";
import type { ProcessMemory } from "../memory/process-memory.js";
import { hasRoom, outOfFds } from "./descriptors.js";
import { Process, shareMemory } from "./process.js";
import { type Services, Thread } from "./thread.js";

/** So many threads are remembered, with an fd or some for each; beyond that we start over. */
const MOST_THREADS = 1000;
/** Where we can have few fds, one in so many may be for a thread itself. */
const FDS_PER_THREAD = 8;

export class Processes {
	readonly #services: Services;
	readonly #mostThreads = Math.min(MOST_THREADS, Math.ceil(mostFds() / FDS_PER_THREAD));
	readonly #threads = new Map<number, Thread>();
	readonly #processes = new Map<number, Process>();
	/** Tells when a process has ended, as long as we have a pidfd for it. */
	readonly #events: Events;
	/** The numbers of processes that have, or had, memory which is filled by userfaultfd(2). */
	readonly #filled = new Set<number>();
	/** When there are so many processes, we look which of them are gone: for those without a pidfd. */
	#sweepAt = 64;

	constructor(services: Services) {
		this.#services = services;
		this.#events = services.events;
	}

	/** A thread that has made a call before; it may be gone, and its number another's. */
	known(thread: number): Thread | undefined {
		return this.#threads.get(thread);
	}

	/**
	 * The thread that has this number now. It must be stopped.
	 * @returns undefined when it has just been killed
	 * @throws EMFILE when we have no fds to find out
	 */
	identify(number: number): Thread | undefined {
		this.#threads.get(number)?.close();
		this.#threads.delete(number);
		if (!this.makeRoom()) throw outOfFds;
		const process = this.#processOf(number);
		if (process === undefined) return undefined;
		if (this.#threads.size >= this.#mostThreads) this.#forgetThreads();
		const thread = new Thread(number, process, this.#services);
		this.#threads.set(number, thread);
		return thread;
	}

	/**
	 * Gives up the fds that we only have to be fast, if we have no others: don't use a thread that you got before.
	 * @returns whether there is room now for another thread
	 */
	makeRoom(): boolean {
		if (hasRoom()) return true;
		this.#forgetThreads();
		this.#sweep();
		return hasRoom();
	}

	/** A stopped thread is about to call execve(2): another memory for its process, other capabilities for all who are left. */
	programMayChange(number: number): void {
		for (const process of this.#changing(number)) {
			process.memoryMayChange(number);
			process.credentialsMayChange();
			// Whichever thread it is, its number will be the process's.
			for (const thread of this.#threads.values()) if (thread.process === process) thread.credentialsMayChange();
		}
	}

	/** A stopped thread is about to get a userfaultfd. */
	memoryMayBeFilled(thread: number): void {
		this.makeRoom();
		const status = statusOf(thread);
		if (status === undefined) return;
		this.#filled.add(status.process);
		const process = this.#processes.get(status.process);
		if (process !== undefined) process.memory.filled ??= this.#services.newFilled();
	}

	/** A stopped thread is about to become another user's, or to have other capabilities. */
	credentialsMayChange(number: number): void {
		this.#threads.get(number)?.credentialsMayChange();
		for (const process of this.#changing(number)) process.credentialsMayChange();
	}

	/** The memory of a process that has made a call before, by the number of the process or of one of its threads. */
	memoryOf(number: number): ProcessMemory | undefined {
		const process = this.#processes.get(number) ?? this.#threads.get(number)?.process;
		return process?.alive ? process.memory : undefined;
	}

	/** The memory that goes when the process of a stopped thread ends or becomes another program, if we know of it. */
	memoryToGo(thread: number): ProcessMemory | undefined {
		if (this.#processes.size === 0) return undefined;
		const status = statusOf(thread);
		const memory = status && this.#processes.get(status.process)?.memory;
		// After vfork(2) it is still the parent's.
		return memory?.users.size === 1 && memory.alive ? memory : undefined;
	}

	/** The process of a thread that may be unknown, if that is known; when we can't find out, all that it could be. */
	#changing(thread: number): Iterable<Process> {
		if (this.#processes.size === 0) return [];
		this.makeRoom();
		const status = statusOf(thread);
		if (status === undefined) return this.#processes.values();
		const process = this.#processes.get(status.process);
		return process === undefined ? [] : [process];
	}

	#processOf(thread: number): Process | undefined {
		const status = statusOf(thread);
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
		// What is registered in a parent may be in its child: UFFD_FEATURE_EVENT_FORK.
		if (this.#filled.has(status.parent)) this.#filled.add(status.process);
		if (this.#filled.has(status.process)) process.memory.filled ??= this.#services.newFilled();
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

function statusOf(thread: number): Status | undefined {
	const directory = openDirectory(`/proc/${thread}`);
	if (directory === -1) return undefined;
	const status = readStatus(directory);
	close(directory);
	return status;
}

/** The hard limit: Node has raised the soft one to it, but for the moment in which the program is started. */
function mostFds(): number {
	const limit = new NativeMemory(16);
	return prlimit(0, RLIMIT_NOFILE, 0, limit.address) === 0 ? limit.u64(2) : Number.POSITIVE_INFINITY;
}
