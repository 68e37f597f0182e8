// A call that is made, and written down with what came of it.

import type { Access, Failed, Mapped, Opened, Stored, Transfer } from "../../trace/record.js";
import { Errno } from "../../uapi/errno.js";
import { Later } from "../../uapi/later.js";
import type { Questions } from "./questions.js";

type Without<Entry> = Omit<Entry, "time" | "took" | "thread" | "asked" | "answer">;
/** Of an entry what is known before the call. */
type Said = Without<Transfer> | Without<Access> | Without<Mapped> | Without<Opened> | Without<Stored>;

/** Makes a call and writes it down, also when it is an error. @throws that error */
export function noting(questions: Questions, what: Said, call: () => number): number {
	questions.begin();
	const { time } = questions;
	const result = answerOf(questions, call);
	const asked = questions.end();
	const answer = typeof result === "number" ? result : failedOf(result);
	const thread = questions.thread();
	const head = { ...what, time, took: questions.time - time, ...(thread > 0 && { thread }) };
	questions.write({ ...head, ...(asked !== undefined && { asked }), answer });
	if (typeof result === "number") return result;
	throw result;
}

/**
 * What a call returns that questions.begin() was called for, or the Errno that it throws. Anything else is a bug, or says that the call
 * waits, and goes on; the call is over then.
 */
export function answerOf<T>(questions: Questions, call: () => T): T | Errno {
	try {
		return call();
	} catch (error) {
		if (error instanceof Errno) return error;
		questions.end();
		if (error instanceof Later)
			questions.write({ kind: "parked", time: questions.time, thread: questions.thread(), reason: error.reason });
		throw error;
	}
}

export function failedOf({ code, reason }: Errno): Failed {
	return { errno: code, reason };
}
