// ptrace(2) of a thread that was seized: <linux/ptrace.h>. Only the thread of ours that seized it may ask for the rest.

import { NativeMemory, ptrace } from "./libc.js";

const PTRACE_CONT = 7;
const PTRACE_DETACH = 17;
const PTRACE_SYSCALL = 24;
const PTRACE_GETEVENTMSG = 0x4201;
const PTRACE_SETSIGINFO = 0x4203;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;
const PTRACE_SEIZE = 0x4206;
const PTRACE_INTERRUPT = 0x4207;
const PTRACE_GETSIGMASK = 0x420a;
const PTRACE_SETSIGMASK = 0x420b;

// Options of PTRACE_SEIZE.
export const TRACESYSGOOD = 1;
export const TRACEFORK = 2;
export const TRACEVFORK = 4;
export const TRACECLONE = 8;

/** NT_PRSTATUS: the general registers. */
export const GENERAL_REGISTERS = 1;

// Of a stop's status: the event above the signal.
export const EVENT_FORK = 1;
export const EVENT_VFORK = 2;
export const EVENT_CLONE = 3;
export const EVENT_STOP = 128;
/** The bit that TRACESYSGOOD sets in the signal of a stop at a system call. */
export const SYSCALL_STOP = 0x80;

const vector = new NativeMemory(16);
const word = new NativeMemory(8);
const SIGSET_BYTES = 8;
const SIGINFO_BYTES = 128;
const siginfo = new NativeMemory(SIGINFO_BYTES);

// Each returns whether it could be done. It can't when the thread is gone, or not stopped: errno() is ESRCH.

/** @returns whether it is ours now; errno() is EPERM for one that is traced already, or whom we may not trace */
export function seize(thread: number, options: number): boolean {
	return ptrace(PTRACE_SEIZE, thread, 0, options) === 0;
}

/** Has it stop as soon as it leaves the kernel. What it waits for there is given up, and begun again after. */
export function interrupt(thread: number): boolean {
	return ptrace(PTRACE_INTERRUPT, thread, 0, 0) === 0;
}

/** @param signal that it gets first, if it has stopped for one */
export function detach(thread: number, signal: number): boolean {
	return ptrace(PTRACE_DETACH, thread, 0, signal) === 0;
}

export function goOn(thread: number, signal: number): boolean {
	return ptrace(PTRACE_CONT, thread, 0, signal) === 0;
}

/** Goes on to the next system call's entry or exit. */
export function goOnToSyscall(thread: number): boolean {
	return ptrace(PTRACE_SYSCALL, thread, 0, 0) === 0;
}

/** @returns how many bytes there were; 0 where it can't be done */
export function getRegisters(thread: number, set: number, address: number, length: number): number {
	vector.setU64(0, address);
	vector.setU64(2, length);
	return ptrace(PTRACE_GETREGSET, thread, set, vector.address) === 0 ? vector.u64(2) : 0;
}

export function setRegisters(thread: number, set: number, address: number, length: number): boolean {
	vector.setU64(0, address);
	vector.setU64(2, length);
	return ptrace(PTRACE_SETREGSET, thread, set, vector.address) === 0;
}

/** The new process, after EVENT_FORK and the like. */
export function eventMessage(thread: number): number {
	return ptrace(PTRACE_GETEVENTMSG, thread, 0, word.address) === 0 ? word.words[0] : 0;
}

/** Writes the set of blocked signals to an address. */
export function getSignalMask(thread: number, address: number): boolean {
	return ptrace(PTRACE_GETSIGMASK, thread, SIGSET_BYTES, address) === 0;
}

export function setSignalMask(thread: number, address: number): boolean {
	return ptrace(PTRACE_SETSIGMASK, thread, SIGSET_BYTES, address) === 0;
}

/** What it is told of the signal that it has stopped for: one that comes from a bad access. */
export function setFaultInfo(thread: number, signal: number, code: number, address: bigint): boolean {
	siginfo.words.fill(0);
	// si_signo, si_errno, si_code, padding, si_addr
	siginfo.words[0] = signal;
	siginfo.words[2] = code;
	siginfo.words[4] = Number(address & 0xffff_ffffn);
	siginfo.words[5] = Number(address >> 32n);
	return ptrace(PTRACE_SETSIGINFO, thread, 0, siginfo.address) === 0;
}
