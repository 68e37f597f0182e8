// A thread of the program that we have stopped for a moment: its registers, and system calls in its name. ptrace(2)
//
// It is seized, interrupted, and let go of again. Seizing sends it no signal, and nobody else sees that it stopped. What traces is one
// thread of ours, and only that may go on with it.

import { addressOf, close, errno, errors, signals, tgkill } from "../linux/libc.js";
import { openDirectory, readStatus } from "../linux/proc.js";
import {
	detach,
	eventMessage,
	GENERAL_REGISTERS,
	getRegisters,
	getSignalMask,
	goOn,
	goOnToSyscall,
	interrupt,
	SYSCALL_STOP,
	seize,
	setFaultInfo,
	setRegisters,
	setSignalMask,
	TRACESYSGOOD,
} from "../linux/ptrace.js";
import { __WALL, __WNOTHREAD, WaitInfo, WEXITED, WNOHANG, WNOWAIT, WSTOPPED } from "../linux/wait.js";
import type { InstructionSet, Registers } from "./instruction.js";

/** Why a thread could not be stopped: it has ended; or somebody traces it, or we may not. */
export type Refusal = "gone" | "refused";

const OPTIONS = WSTOPPED | WEXITED | __WALL | __WNOTHREAD;

const info = new WaitInfo();
const SIGSET_BYTES = 8;

/** One is used again and again, for one thread at a time. */
export class Tracee {
	readonly #set: InstructionSet;
	readonly #general: Uint8Array;
	readonly #generalAddress: number;
	readonly #saved: Uint8Array;
	readonly #signalMask = new Uint8Array(SIGSET_BYTES);
	readonly #signalMaskAddress = addressOf(this.#signalMask);
	readonly #allSignals = new Uint8Array(SIGSET_BYTES).fill(0xff);
	readonly #allSignalsAddress = addressOf(this.#allSignals);
	/** As of the stop. Assign to what is in it, and commit(). */
	readonly registers: Registers;
	thread = 0;
	/** The event of the last stop, and the signal that it has stopped for. */
	#event = 0;
	#signal = 0;
	/** A SIGSTOP that came in between, and that it gets when it is let go of. */
	#isToStop = false;

	constructor(set: InstructionSet) {
		this.#set = set;
		this.#general = new Uint8Array(set.generalBytes);
		this.#saved = new Uint8Array(set.generalBytes);
		this.#generalAddress = addressOf(this.#general);
		this.registers = set.registersIn(this.#general, (note, into) =>
			getRegisters(this.thread, note, addressOf(into), into.length),
		);
	}

	/** Takes a thread without stopping it. @returns undefined when that worked */
	seize(thread: number, options = TRACESYSGOOD): Refusal | undefined {
		this.adopt(thread);
		if (seize(thread, options)) return undefined;
		return errno() === errors.ESRCH ? "gone" : "refused";
	}

	/** Is about a thread from now on that is seized already: a child of one that is. */
	adopt(thread: number): void {
		this.thread = thread;
		this.#event = 0;
		this.#signal = 0;
		this.#isToStop = false;
	}

	/** Has it stop before its next instruction, once it comes out of the kernel. */
	interrupt(): void {
		interrupt(this.thread);
	}

	/** Waits until it stands still. @returns whether it does; it has ended otherwise, and is no concern of ours any more */
	waitForStop(): boolean {
		for (;;) {
			if (!info.wait(this.thread, OPTIONS | WNOWAIT)) {
				if (errno() === errors.EINTR) continue;
				return false;
			}
			if (info.hasEnded) {
				this.#leaveToItsParent();
				return false;
			}
			this.#take(info.status);
			return true;
		}
	}

	/** The same for at most an instant. @returns undefined while it goes on */
	hasStopped(): boolean | undefined {
		if (!info.wait(this.thread, OPTIONS | WNOWAIT | WNOHANG)) return info.hasFailed ? false : undefined;
		return this.waitForStop();
	}

	/** One of EVENT_*, or 0. */
	get event(): number {
		return this.#event;
	}

	/** Whose creation the event is about. */
	get created(): number {
		return eventMessage(this.thread);
	}

	/** Reads the registers. @returns whether they could be read: not when it was just killed */
	fetch(): boolean {
		this.registers.extended.forget();
		return getRegisters(this.thread, GENERAL_REGISTERS, this.#generalAddress, this.#general.length) > 0;
	}

	/** Writes them back. */
	commit(): boolean {
		const { extended } = this.registers;
		const { bytes } = extended.hasChanged ? extended : { bytes: undefined };
		if (bytes !== undefined && !setRegisters(this.thread, extended.note, addressOf(bytes), bytes.length)) return false;
		return setRegisters(this.thread, GENERAL_REGISTERS, this.#generalAddress, this.#general.length);
	}

	/** Lets it go on. */
	release(): void {
		// For the stop of its process, which it takes part in, there is nothing to be delivered.
		const signal = this.#event === 0 ? this.#signal : 0;
		if (!detach(this.thread, signal)) this.#bury();
		else if (this.#isToStop) stop(this.thread);
	}

	/**
	 * Makes system calls in its name. It has just made one, and stands behind it; afterwards all is as it was.
	 * @param action is given what makes one: the result, or the negative errno. It throws undefined when the thread is gone
	 * @returns what that returned; undefined when the thread is gone
	 */
	inject<T>(action: (call: (number: number, ...parameters: readonly number[]) => number) => T): T | undefined {
		const { thread } = this;
		if (!this.fetch() || !getSignalMask(thread, this.#signalMaskAddress)) return undefined;
		const stop = [this.#event, this.#signal];
		// No handler is to run in between.
		setSignalMask(thread, this.#allSignalsAddress);
		this.#saved.set(this.#general);
		const call = (number: number, ...parameters: readonly number[]): number => {
			this.#general.set(this.#saved);
			this.#set.prepareCall(this.registers, number, parameters);
			const isDone = this.commit() && this.#goOnToSyscall() && this.#goOnToSyscall() && this.fetch();
			if (!isDone) throw gone;
			return Number(BigInt.asIntN(64, this.#set.callResult(this.registers)));
		};
		try {
			return action(call);
		} catch (error) {
			if (error !== gone) throw error;
			return undefined;
		} finally {
			this.#general.set(this.#saved);
			this.commit();
			setSignalMask(thread, this.#signalMaskAddress);
			[this.#event, this.#signal] = stop; // What it stands at now is no signal of its own.
		}
	}

	/**
	 * Has it get a signal for what it was about to do, as the kernel does it: also when it is blocked. It is let go of.
	 * @param code of <siginfo.h>, for the signal
	 */
	fail(process: number, signal: number, code: number, address: bigint): void {
		const { thread } = this;
		const bit = signal - 1;
		if (getSignalMask(thread, this.#signalMaskAddress)) {
			this.#signalMask[bit >> 3] &= ~(1 << (bit & 7));
			setSignalMask(thread, this.#signalMaskAddress);
		}
		tgkill(process, thread, signal);
		// It stops once more, to be told of the signal; others may come first.
		for (let stops = 0; stops < MOST_STOPS; stops++) {
			if (!goOn(thread, this.#event === 0 ? this.#signal : 0) || !this.waitForStop()) {
				this.#bury();
				return;
			}
			if (this.#event !== 0 || this.#signal !== signal) continue;
			setFaultInfo(thread, signal, code, address);
			break;
		}
		this.release();
	}

	#goOnToSyscall(): boolean {
		for (;;) {
			if (!goOnToSyscall(this.thread) || !this.waitForStop()) return false;
			if (this.#event === 0 && this.#signal === (signals.SIGTRAP | SYSCALL_STOP)) return true;
			if (this.#event === 0 && this.#signal === signals.SIGSTOP) this.#isToStop = true;
		}
	}

	#take(status: number): void {
		this.#event = status >>> 8;
		this.#signal = status & 0xff;
	}

	/** It was killed while it stood still. */
	#bury(): void {
		while (!info.wait(this.thread, WEXITED | __WALL | __WNOTHREAD | WNOWAIT)) if (errno() !== errors.EINTR) return;
		this.#leaveToItsParent();
	}

	/**
	 * It has ended, and only we can see that as yet. Its parent hears of it when we have; but what is a child of this very process is
	 * the launcher's to take, who wants to know how it ended.
	 */
	#leaveToItsParent(): void {
		const directory = openDirectory(`/proc/${this.thread}`);
		const status = directory === -1 ? undefined : readStatus(directory);
		if (directory !== -1) close(directory);
		const isOurChild = status?.process === this.thread && status.parent === process.pid;
		if (!isOurChild) info.wait(this.thread, WEXITED | __WALL | __WNOTHREAD | WNOHANG);
	}
}

function stop(thread: number): void {
	try {
		process.kill(thread, signals.SIGSTOP); // its whole process, as SIGSTOP always means
	} catch {
		// It is gone.
	}
}

/** How often a thread may stop for something else before it gets a signal of ours. */
const MOST_STOPS = 64;

/** Thrown when a thread ends while something is done in its name. */
const gone = Symbol("gone");
