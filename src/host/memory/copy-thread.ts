// The thread that makes a copy which may wait for somebody: one at a time, which it is given in shared memory. copy-threads.ts is the
// other side.

import { workerData } from "node:worker_threads";
import { errno, NativeMemory, write } from "../linux/libc.js";
import { readRemote, writeRemote } from "./remote.js";

export interface CopyThreadData {
	/** A CopyJob's memory. */
	readonly job: SharedArrayBuffer;
	/** An eventfd that tells the supervisor. */
	readonly tells: number;
}

export const JobState = { NONE: 0, GIVEN: 1, DONE: 2, END: 3 } as const;

/** What the two sides share: the state as an i32, then numbers. */
export class CopyJob {
	static readonly BYTES = 64;
	readonly #state: Int32Array;
	readonly #numbers: Float64Array;

	constructor(memory: SharedArrayBuffer) {
		this.#state = new Int32Array(memory, 0, 1);
		this.#numbers = new Float64Array(memory, 8, 6);
	}

	get state(): number {
		return Atomics.load(this.#state, 0);
	}

	set state(state: number) {
		Atomics.store(this.#state, 0, state);
		Atomics.notify(this.#state, 0);
	}

	/** Waits until it isn't that any more. */
	waitWhile(state: number): void {
		Atomics.wait(this.#state, 0, state);
	}

	/** @param ours where our side of it is: its bytes stay where they are as long as this is under way */
	set(thread: number, isWrite: boolean, address: number, ours: number, length: number): void {
		this.#numbers.set([thread, Number(isWrite), address, ours, length, 0]);
	}

	/** Makes the copy. */
	make(): void {
		const [thread, isWrite, address, ours, length] = this.#numbers;
		const done = (isWrite ? writeRemote : readRemote)(thread, address, ours, length);
		this.#numbers[5] = done < 0 ? -errno() : done;
	}

	/** How many bytes were copied; 0 if none could be. */
	get copied(): number {
		return Math.max(0, this.#numbers[5]);
	}
}

/** The whole of the worker. */
export function runCopyThread(): void {
	const { job: memory, tells }: CopyThreadData = workerData;
	const job = new CopyJob(memory);
	const one = new NativeMemory(8);
	one.words[0] = 1;
	for (;;) {
		job.waitWhile(JobState.NONE);
		job.waitWhile(JobState.DONE);
		if (job.state === JobState.END) return;
		if (job.state !== JobState.GIVEN) continue;
		job.make();
		job.state = JobState.DONE;
		write(tells, one.address, 8);
	}
}
