// The trap: the kernel stops a thread at the system calls that filter.ts names, and hands each to us as a notification.
// seccomp(2), seccomp_unotify(2), include/uapi/linux/seccomp.h

import type { Errno } from "../../uapi/errno.js";
import { O_CLOEXEC } from "../linux/flags.js";
import {
	close,
	errno,
	errors,
	ioctl,
	NativeMemory,
	poll,
	prctl,
	pthreadSigmask,
	SystemError,
	seccomp,
} from "../linux/libc.js";
import { assembledFilter } from "./filter.js";

// --- The filter ---

const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3;
const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5;
const PR_SET_NO_NEW_PRIVS = 38;

/**
 * Puts the filter on the calling thread, and so on what it starts from then on.
 * @param hasEventFds whether eventfd(2) is trapped, too
 * @returns the listener, which notifications are received from
 * @throws SystemError EBUSY when somebody else's filter with a listener is in force already
 */
export function installFilter(hasEventFds: boolean): number {
	const program = assembledFilter(hasEventFds);
	// Without WAIT_KILLABLE_RECV (Linux 5.19) a signal interrupts a call that we are answering, and the kernel makes it
	// again afterwards: an object would be allocated twice. So there is no going on without it.
	const flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	let listener = seccomp(SECCOMP_SET_MODE_FILTER, flags, program.address);
	if (listener === -1 && errno() === errors.EACCES) {
		// Somebody without CAP_SYS_ADMIN must first promise that what is started gains no privileges: set-user-id programs
		// don't work then. Root isn't asked to, so sudo and su go on working for root.
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		listener = seccomp(SECCOMP_SET_MODE_FILTER, flags, program.address);
	}
	if (listener === -1) throw new SystemError("seccomp", errno());
	return listener;
}

// --- Notifications ---

// _IOWR('!', nr, size) and so on
const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102;
const SECCOMP_IOCTL_NOTIF_ADDFD = 0x40182103;
const SECCOMP_IOCTL_NOTIF_SET_FLAGS = 0x40082104;

const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;
const SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP = 1;
const SECCOMP_ADDFD_FLAG_SETFD = 1 << 0;
const SECCOMP_ADDFD_FLAG_SEND = 1 << 1;

// struct seccomp_notif, in words: id (u64), pid, flags, then seccomp_data: nr, arch, instruction pointer, six arguments.
export const NOTIF_WORDS = 20;
const NOTIF_PID = 2;
const NOTIF_NR = 4;
const NOTIF_ARGS = 8;
// struct seccomp_notif_resp: id, val (s64), error, flags.
const RESP = NOTIF_WORDS;
// struct seccomp_notif_addfd: id, flags, srcfd, newfd, newfd_flags.
const ADDFD = RESP + 6;
const POLLIN = 1;

/** The call that a thread is stopped at: one at a time, and its memory is used again for the next. */
export class Notification {
	#listener = -1;
	readonly #memory = new NativeMemory((ADDFD + 6) * 4);
	readonly #words = this.#memory.words;
	readonly #notif = this.#memory.address;
	readonly #resp = this.#notif + RESP * 4;
	readonly #addfd = this.#notif + ADDFD * 4;
	isOtherReadable = false;
	/** Two struct pollfd: fd, then events and revents in one word. */
	readonly #polled = new NativeMemory(16);

	/** Calls are received from here on, or answered that another thread has received. */
	listenTo(listener: number): void {
		this.#listener = listener;
		// The one who answers gives its processor to the one who asked (Linux 6.6): 5 us per call instead of 50.
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	}

	/** Waits for the next call, or for another fd to be readable. `isOtherReadable` says whether that is. @returns whether there is a call */
	isPendingBefore(other: number): boolean {
		const { words, address } = this.#polled;
		words[0] = this.#listener;
		words[1] = POLLIN;
		words[2] = other;
		words[3] = POLLIN;
		// A signal may end the wait: then there is nothing to be received, and who asked comes again.
		const isAny = poll(address, 2, -1) > 0;
		this.isOtherReadable = isAny && words[3] >>> 16 !== 0;
		return isAny && words[1] >>> 16 !== 0;
	}

	/** Whether another fd is readable now, or a call there to be received. */
	isAnythingPending(other: number): boolean {
		const { words, address } = this.#polled;
		words[0] = this.#listener;
		words[1] = POLLIN;
		words[2] = other;
		words[3] = POLLIN;
		return poll(address, 2, 0) > 0;
	}

	/** Whether a call is there to be received now. */
	get isPending(): boolean {
		const { words, address } = this.#polled;
		words[0] = this.#listener;
		words[1] = POLLIN;
		return poll(address, 1, 0) > 0 && words[1] >>> 16 !== 0;
	}

	/** Waits for the next call. @returns whether there is one; errno() tells otherwise */
	receive(): boolean {
		// The kernel insists on zeroes.
		const words = this.#words;
		for (let i = 0; i < NOTIF_WORDS; i++) words[i] = 0;
		return ioctl(this.#listener, SECCOMP_IOCTL_NOTIF_RECV, this.#notif) === 0;
	}

	// --- A call that is put aside ---

	/** What the call is, to be put aside, or to be gone on with after others. */
	copy(): Uint32Array {
		return this.#words.slice(0, NOTIF_WORDS);
	}

	/** Copies it elsewhere, for another thread of ours. */
	copyTo(words: Int32Array, at: number): void {
		for (let i = 0; i < NOTIF_WORDS; i++) words[at + i] = this.#words[i];
	}

	/** Makes it the one that is answered from now on. */
	resume(call: Uint32Array): void {
		this.#words.set(call);
	}

	/** The same for one that was copied elsewhere. */
	resumeFrom(words: Int32Array, at: number): void {
		for (let i = 0; i < NOTIF_WORDS; i++) this.#words[i] = words[at + i];
	}

	/** Whether the caller of the call still waits: it hasn't been killed, so that its number is nobody else's. */
	get isWaitedFor(): boolean {
		return this.isAlive(this.#words);
	}

	/** Whether the caller of a call that was put aside still waits for its answer: it hasn't been killed. */
	isAlive(call: Uint32Array): boolean {
		const words = this.#words.subarray(ADDFD);
		words[0] = call[0];
		words[1] = call[1];
		return ioctl(this.#listener, SECCOMP_IOCTL_NOTIF_ID_VALID, this.#addfd) === 0;
	}

	/** The thread of a call that was put aside. */
	threadOf(call: Uint32Array): number {
		return call[NOTIF_PID];
	}

	// --- The call itself ---

	/** The thread that is stopped. */
	get thread(): number {
		return this.#words[NOTIF_PID];
	}

	/** The number of the system call. */
	get syscall(): number {
		return this.#words[NOTIF_NR];
	}

	/** An argument as int: an fd. */
	int(index: number): number {
		return this.#words[NOTIF_ARGS + index * 2] | 0;
	}

	/** An argument as u32: flags, an ioctl's number. */
	u32(index: number): number {
		return this.#words[NOTIF_ARGS + index * 2];
	}

	/** An argument as u64: an address, inexact above 2^53. */
	u64(index: number): number {
		return this.#memory.u64(NOTIF_ARGS + index * 2);
	}

	/** Whether an argument is -1 as a 64-bit number. */
	isMinusOne(index: number): boolean {
		const at = NOTIF_ARGS + index * 2;
		return this.#words[at] === 0xffffffff && this.#words[at + 1] === 0xffffffff;
	}

	// Each of the answers may find that the caller has died in the meantime (ENOENT), which is nobody's concern.

	/** Makes the call return `value`. */
	succeed(value: number): void {
		this.#send(value, 0, 0);
	}

	/** Makes the call fail with an errno. */
	fail(number: number): void {
		this.#send(0, -number, 0);
	}

	/** One or the other. */
	answer(result: number | Errno): void {
		if (typeof result === "number") this.succeed(result);
		else this.fail(result.number);
	}

	/** Leaves the call to the kernel. */
	proceed(): void {
		this.#send(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	}

	/** Answers nothing any more, not this call either: whoever is stopped, or will be, gets ENOSYS. */
	close(): void {
		close(this.#listener);
	}

	#send(value: number, error: number, flags: number): void {
		const words = this.#words;
		words[RESP] = words[0];
		words[RESP + 1] = words[1];
		words[RESP + 2] = value;
		words[RESP + 3] = value < 0 ? 0xffffffff : value / 2 ** 32;
		words[RESP + 4] = error;
		words[RESP + 5] = flags;
		// A signal may interrupt it before it has done anything.
		while (ioctl(this.#listener, SECCOMP_IOCTL_NOTIF_SEND, this.#resp) === -1 && errno() === errors.EINTR);
	}

	/**
	 * Gives the caller a new fd for what our `fd` refers to.
	 * @returns its number, or -1: errno() is what the kernel would say if the caller had opened it
	 */
	addFd(fd: number, closeOnExec: boolean): number {
		return this.#addFd(fd, closeOnExec, 0);
	}

	/** The same, and makes the call return that number. */
	addFdAndSucceed(fd: number, closeOnExec: boolean): number {
		return this.#addFd(fd, closeOnExec, SECCOMP_ADDFD_FLAG_SEND);
	}

	/** Makes a number of the caller's refer to what our `fd` refers to, as dup2(2) does. @returns it, or -1 */
	setFd(fd: number, closeOnExec: boolean, number: number): number {
		return this.#addFd(fd, closeOnExec, SECCOMP_ADDFD_FLAG_SETFD, number);
	}

	#addFd(fd: number, closeOnExec: boolean, flags: number, number = 0): number {
		const words = this.#words;
		words[ADDFD] = words[0];
		words[ADDFD + 1] = words[1];
		words[ADDFD + 2] = flags;
		words[ADDFD + 3] = fd;
		words[ADDFD + 4] = number;
		words[ADDFD + 5] = closeOnExec ? O_CLOEXEC : 0;
		return withoutSignals(() => ioctl(this.#listener, SECCOMP_IOCTL_NOTIF_ADDFD, this.#addfd));
	}
}

// --- Signals ---

// <signal.h>
const SIG_SETMASK = 2;
const SIGNAL_SET_BYTES = 128;

const allSignals = new NativeMemory(SIGNAL_SET_BYTES);
allSignals.bytes.fill(0xff);
const usualSignals = new NativeMemory(SIGNAL_SET_BYTES);

/**
 * Does a system call that waits, and can't be made again where a signal has interrupted it: with SECCOMP_ADDFD_FLAG_SEND that would
 * be the end of it, and the caller would get 0, and no fd. Besides our own (wake-up.ts) a terminal sends signals, and whoever likes
 * to. errno() is the call's afterwards.
 */
function withoutSignals(call: () => number): number {
	pthreadSigmask(SIG_SETMASK, allSignals.address, usualSignals.address);
	const result = call();
	pthreadSigmask(SIG_SETMASK, usualSignals.address, 0);
	return result;
}
