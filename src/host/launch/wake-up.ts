// The supervisor's side of asker.ts: a signal that only interrupts it, and questions that it looks for then.
// sigaction(2), signal(7) "Interruption of system calls and library functions by signal handlers"

import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { reportInternalError } from "../internal-error.js";
import { signals } from "../linux/libc.js";
import { onlyInterruptAt } from "../linux/signals.js";
import type { Answered, AskedQuestion } from "./asker.js";
import { WAKE_UP } from "./wake-up-signal.js";

/** Has the signal interrupt the wait for the next call. */
export function takeWakeUps(): void {
	onlyInterruptAt(signals[WAKE_UP]);
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
