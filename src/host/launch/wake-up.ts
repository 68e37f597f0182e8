// The supervisor's side of asker.ts: a signal that only interrupts it, and questions that it looks for then.
// sigaction(2), signal(7) "Interruption of system calls and library functions by signal handlers"

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { reportInternalError } from "../internal-error.js";
import { addressOfFunction, NativeMemory, sigaction, signals, succeed } from "../linux/libc.js";
import type { Answered, AskedQuestion } from "./asker.js";
import { WAKE_UP } from "./wake-up-signal.js";

/** struct sigaction of the C library: the handler, 128 bytes of mask, flags, restorer. All the rest is zero. */
const SIGACTION_BYTES = 152;

const number = signals[WAKE_UP];

/**
 * Has the signal interrupt what waits: without SA_RESTART, which Node's own handlers have. A handler is needed for that, and one in
 * JavaScript could not run in a signal's context; so it is a function of the C library's that looks at nothing but its argument.
 */
export function takeWakeUps(): void {
	const action = new NativeMemory(SIGACTION_BYTES);
	action.setU64(0, addressOfFunction("abs"));
	succeed(sigaction(number, action.address, 0), "sigaction");
}

/** Answers what the main thread has asked by now. Nothing is being answered otherwise. */
export function answerQuestions(port: MessagePort, answerTo: (question: unknown) => unknown): void {
	for (let received = receiveMessageOnPort(port); received !== undefined; received = receiveMessageOnPort(port)) {
		const { id, question }: AskedQuestion = received.message;
		port.postMessage(answered(id, question, answerTo));
	}
}

function answered(id: number, question: unknown, answerTo: (question: unknown) => unknown): Answered {
	try {
		return { id, answer: answerTo(question) };
	} catch (error) {
		reportInternalError(error, "a question");
		return { id, problem: "a bug in ioasis, reported on the stderr of `ioasis run`" };
	}
}
