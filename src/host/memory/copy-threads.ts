// Threads for copies that may wait: for who fills a page by userfaultfd(2). As many as there are copies under way, up to a limit; what
// comes beyond that waits for one of them.

import { EPOLLIN, type Events } from "../linux/events.js";
import { O_CLOEXEC, O_NONBLOCK } from "../linux/flags.js";
import { eventfd, NativeMemory, read, succeed } from "../linux/libc.js";
import { CopyJob, type CopyThreadData, JobState } from "./copy-thread.js";

/** As many copies can wait at a time. */
const MOST_THREADS = 32;
/** No more is copied at once, in bytes. */
export const MOST_COPIED = 64 * 1024;

/** A copy from or to a process's memory. */
export interface Copy {
	/** Any thread that has the memory: it is stopped. */
	readonly thread: number;
	readonly address: number;
	/** What is to be written, up to MOST_COPIED bytes; undefined for a read. */
	readonly bytes: Uint8Array | undefined;
	/** Of a read: how much, up to MOST_COPIED bytes. */
	readonly length: number;
	/** Is told how much was copied and, of a read, what: valid for this moment. */
	done(copied: number, bytes: Uint8Array): void;
}

class CopyThread {
	readonly memory = new SharedArrayBuffer(CopyJob.BYTES);
	readonly job = new CopyJob(this.memory);
	readonly bytes = new NativeMemory(MOST_COPIED);
	copy: Copy | undefined;

	give(copy: Copy): void {
		const { thread, address, bytes, length } = copy;
		this.copy = copy;
		if (bytes !== undefined) this.bytes.bytes.set(bytes);
		this.job.set(thread, bytes !== undefined, address, this.bytes.address, bytes?.length ?? length);
		this.job.state = JobState.GIVEN;
	}
}

export class CopyThreads {
	readonly #start: (data: CopyThreadData) => void;
	readonly #events: Events;
	readonly #threads: CopyThread[] = [];
	readonly #waiting: Copy[] = [];
	readonly #counter = new NativeMemory(8);
	#tells = -1;

	/** @param start has the main thread start one */
	constructor(events: Events, start: (data: CopyThreadData) => void) {
		this.#events = events;
		this.#start = start;
	}

	add(copy: Copy): void {
		const thread = this.#threads.find((thread) => thread.copy === undefined) ?? this.#newThread();
		if (thread === undefined) this.#waiting.push(copy);
		else thread.give(copy);
	}

	/** Lets go of all threads. One that waits ends with the process. */
	finish(): void {
		for (const { job } of this.#threads) job.state = JobState.END;
	}

	#newThread(): CopyThread | undefined {
		if (this.#threads.length === MOST_THREADS) return undefined;
		if (this.#tells === -1) {
			this.#tells = succeed(eventfd(0, O_CLOEXEC | O_NONBLOCK), "eventfd");
			this.#events.addUrgent(this.#tells, EPOLLIN, () => this.#look());
		}
		const thread = new CopyThread();
		this.#threads.push(thread);
		this.#start({ job: thread.memory, tells: this.#tells });
		return thread;
	}

	#look(): void {
		read(this.#tells, this.#counter.address, 8);
		for (const thread of this.#threads) {
			const { copy, job, bytes } = thread;
			if (copy === undefined || job.state !== JobState.DONE) continue;
			thread.copy = undefined;
			const { copied } = job;
			copy.done(copied, bytes.bytes.subarray(0, copied));
			const next = thread.copy === undefined ? this.#waiting.shift() : undefined;
			if (next !== undefined) thread.give(next);
		}
	}
}
