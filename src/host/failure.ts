// What went wrong with us, in words: what this system doesn't give us is one line, and what to do; a bug of ours is a stack, and where
// to report it. The main thread needs it, too, so there is no native call here.

import { getSystemErrorName } from "node:util";

export interface Failure {
	/** In a line. */
	readonly reason: string;
	/** What to do about it, where that is known. */
	readonly advice?: string | undefined;
	/** Where it happened: of a bug only. */
	readonly stack?: string | undefined;
}

/** What whoever meets a bug of ours is asked to do. */
const PLEASE_REPORT = "please report it, with the lines above, to the project's issue tracker";

/** This system doesn't have what ioasis takes. */
export class Refusal extends Error {
	/** By this it is known in another thread, and in another of the command's files, which have classes of their own. */
	override readonly name = "Refusal";
	readonly advice: string | undefined;

	constructor(reason: string, advice?: string) {
		super(reason);
		this.advice = advice;
	}
}

const ADVICE: { readonly [code: string]: string } = {
	EMFILE: "a process may have too few open files here: `ulimit -n 256` or more gives it enough",
	ENFILE: "this system has as many open files as it can have: sysctl fs.file-max",
	ENOMEM: "this system, or the container, has no memory left",
	EAGAIN: "this user may have no more threads: `ulimit -u`, or the container's limit of PIDs",
	ENOSPC: "the disk, or what the container has of it, is full",
	ENOSYS: "`ioasis doctor` says what is missing",
	EPERM: "`ioasis doctor` says what is missing",
};

/** What to do about an errno, whichever call it is of. */
export function adviceOn(code: string): string | undefined {
	return ADVICE[code];
}

/** What the parts of an error are that Node, or we, make of a system call; another thread's has only them. */
interface Described {
	readonly name?: string;
	readonly message?: string;
	readonly stack?: string;
	readonly code?: string;
	readonly errno?: number;
	readonly syscall?: string;
	readonly advice?: string;
}

/** @param error whatever was thrown, in this thread or another */
export function failureOf(error: unknown): Failure {
	const { name, message, code, errno, syscall, advice } = (error ?? {}) as Described;
	if (name === "Refusal") return { reason: String(message), advice };
	// An error that came from another thread is of no class of ours.
	const isOfSystemCall = errno !== undefined && (syscall !== undefined || name === "SystemError");
	if (isOfSystemCall) return { reason: String(message), advice: advice ?? ADVICE[code ?? nameOf(errno)] };
	switch (code) {
		case "ERR_WORKER_INIT_FAILED":
			return { reason: `a thread can't be started: ${reasonIn(message)}`, advice: ADVICE[reasonIn(message)] };
		case "ERR_WORKER_OUT_OF_MEMORY":
			return {
				reason: "a thread has no memory left: its heap is full",
				advice: `a smaller --memory helps; ${PLEASE_REPORT}`,
			};
		case "MODULE_NOT_FOUND":
		case "ERR_MODULE_NOT_FOUND":
		case "ERR_DLOPEN_FAILED":
			return { reason: firstLine(message), advice: "is it installed as a whole? `ioasis doctor` looks" };
	}
	return { reason: firstLine(message ?? String(error)), stack: stackOf(error), advice: PLEASE_REPORT };
}

function stackOf(error: unknown): string {
	return (error as Described)?.stack ?? String(error);
}

function nameOf(errno: number): string {
	try {
		return getSystemErrorName(-Math.abs(errno));
	} catch {
		return "";
	}
}

/** "EMFILE" of "Worker initialization failure: EMFILE" */
function reasonIn(message = ""): string {
	return message.slice(message.lastIndexOf(" ") + 1);
}

function firstLine(text = "an error without a message"): string {
	return text.split("\n", 1)[0];
}
