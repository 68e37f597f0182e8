// waitid(2): whether a child has ended, or a thread that is traced has stopped.

import { NativeMemory, waitid } from "./libc.js";

export const P_ALL = 0;
const P_PID = 1;

// Options.
export const WNOHANG = 1;
export const WSTOPPED = 2;
export const WEXITED = 4;
/** Leaves it to be told again. */
export const WNOWAIT = 0x01000000;
/** Only what belongs to the calling thread itself. */
export const __WNOTHREAD = 0x20000000;
/** Threads, too, and not only processes. */
export const __WALL = 0x40000000;

// Values of si_code.
export const CLD_EXITED = 1;
export const CLD_KILLED = 2;
export const CLD_DUMPED = 3;

// siginfo_t, in words: si_signo, si_errno, si_code, padding, si_pid, si_uid, si_status.
const CODE = 2;
const PID = 4;
const STATUS = 6;
const SIGINFO_BYTES = 128;

/** What waitid() fills in. One is used again and again. */
export class WaitInfo {
	readonly #memory = new NativeMemory(SIGINFO_BYTES);
	readonly #words = this.#memory.words;
	/** Whether the last call was an error, as opposed to WNOHANG that has found nothing. */
	hasFailed = false;

	/** Asks of one process or thread. @returns whether there is something; errno() tells of an error */
	wait(id: number, options: number): boolean {
		return this.#wait(P_PID, id, options);
	}

	/** Asks of all of them. */
	waitForAny(options: number): boolean {
		return this.#wait(P_ALL, 0, options);
	}

	/** Whom it is about. */
	get id(): number {
		return this.#words[PID];
	}

	/** One of CLD_*. */
	get code(): number {
		return this.#words[CODE];
	}

	/** The exit code, or the signal; of a traced thread's stop the signal in the low byte, and an event above it. */
	get status(): number {
		return this.#words[STATUS];
	}

	get hasEnded(): boolean {
		return this.code === CLD_EXITED || this.code === CLD_KILLED || this.code === CLD_DUMPED;
	}

	/** The same as wait(2) has it. */
	get asWaitStatus(): number {
		if (this.code === CLD_EXITED) return (this.status & 0xff) << 8;
		return this.status | (this.code === CLD_DUMPED ? 0x80 : 0);
	}

	#wait(kind: number, id: number, options: number): boolean {
		this.#words[PID] = 0; // It stays so when WNOHANG finds nothing.
		this.hasFailed = waitid(kind, id, this.#memory.address, options) !== 0;
		return !this.hasFailed && this.#words[PID] !== 0;
	}
}
