// Asking the supervisor's thread something while it serves. It never looks at an event loop then, so a message alone would lie there
// until the program has ended: a signal interrupts its wait for the next call, and it looks for messages. wake-up.ts is its side.

import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Handshake } from "./handshake.js";
import { WAKE_UP } from "./wake-up-signal.js";

/** How soon the signal is sent again, in milliseconds: it counts only while the supervisor waits. */
const AGAIN = 20;

/** What goes to the supervisor, and what comes back. */
export interface AskedQuestion {
	readonly id: number;
	readonly question: unknown;
}
export type Answered = { readonly id: number } & ({ readonly answer: unknown } | { readonly problem: string });

interface Waiting {
	resolve(answer: unknown): void;
	reject(error: Error): void;
}

export class Asker {
	/** The supervisor's end. */
	readonly port: MessagePort;
	readonly #port: MessagePort;
	readonly #handshake: Handshake;
	readonly #waiting = new Map<number, Waiting>();
	#lastId = 0;
	#timer: NodeJS.Timeout | undefined;
	#hasEnded = false;

	constructor(handshake: Handshake) {
		const { port1, port2 } = new MessageChannel();
		this.#port = port1;
		this.port = port2;
		this.#handshake = handshake;
	}

	/** Has the supervisor answer a question between two calls. Rejects when the program ends before, or for a bug of ours. */
	ask(question: unknown): Promise<unknown> {
		if (this.#hasEnded) return Promise.reject(new Error("it has ended"));
		if (this.#lastId === 0) this.#port.on("message", (message: Answered) => this.#answered(message)).unref();
		const id = ++this.#lastId;
		this.#port.postMessage({ id, question } satisfies AskedQuestion);
		this.wake();
		this.#timer ??= setInterval(() => this.wake(), AGAIN);
		return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
	}

	/** The supervisor is about to end: its thread's number may be anybody's soon. */
	end(): void {
		this.#hasEnded = true;
		for (const { reject } of this.#waiting.values()) reject(new Error("it has ended"));
		this.#waiting.clear();
		clearInterval(this.#timer);
	}

	#answered(message: Answered): void {
		const waiting = this.#waiting.get(message.id);
		this.#waiting.delete(message.id);
		if ("answer" in message) waiting?.resolve(message.answer);
		else waiting?.reject(new Error(message.problem));
		if (this.#waiting.size > 0) return;
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	/**
	 * kill(2) with a thread's number signals the process, but prefers that thread, as tgkill(2) insists on it. The latter would take
	 * native code in the main thread, which needs none otherwise; and if another thread gets it, that does nothing, and it is sent again.
	 */
	wake(): void {
		const thread = this.#handshake.supervisor;
		if (thread === 0) return;
		try {
			process.kill(thread, WAKE_UP);
		} catch {
			// It has just ended.
		}
	}
}
