// A thread that writes what comes through a ring, as the main thread sees it.

import { Worker } from "node:worker_threads";
import { type Failure, failureOf } from "../failure.js";
import { closeRing, endRing, newRing, waitForEnd } from "./ring.js";

/** How long who is in a hurry waits for what is still to be written, in milliseconds. */
const PATIENCE = 2000;

export class WriterThread {
	readonly ring = newRing();
	readonly #worker: Worker;
	readonly #isOver: Promise<void>;

	/**
	 * @param file of the thread, which calls drain()
	 * @param task what it is told besides the ring
	 * @param broken is told when it ends before its time: what comes after is lost
	 */
	constructor(file: URL, task: object, broken: (failure: Failure) => void) {
		this.#worker = new Worker(file, { workerData: { ...task, ring: this.ring }, execArgv: [] });
		this.#worker.unref();
		this.#worker.on("error", (error) => broken(failureOf(error)));
		this.#isOver = new Promise((resolve) => {
			this.#worker.on("exit", () => {
				// Nobody may wait for it.
				endRing(this.ring);
				resolve();
			});
		});
	}

	/** Nothing more comes. @returns when all has been written, however long its reader takes */
	async end(): Promise<void> {
		closeRing(this.ring);
		this.#worker.ref();
		await this.#isOver;
	}

	/** The same for one who can't wait that long. */
	endNow(): void {
		closeRing(this.ring);
		waitForEnd(this.ring, PATIENCE);
	}
}
