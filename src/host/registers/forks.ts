// Children of processes that have registers mapped: they have the same mappings, but nobody would hear of their accesses. So a child
// stands still, before its first instruction, until its memory is registered, too. clone(2), ptrace(2)

import { kcmp, NativeMemory, usleep } from "../linux/libc.js";
import {
	EVENT_CLONE,
	EVENT_FORK,
	EVENT_VFORK,
	TRACECLONE,
	TRACEFORK,
	TRACESYSGOOD,
	TRACEVFORK,
} from "../linux/ptrace.js";
import { syscalls } from "../linux/syscalls.js";
import { readRemote } from "../memory/remote.js";
import type { MappedRegisters } from "./mapped-registers.js";
import { instructionSet } from "./processor.js";
import { Tracee } from "./tracee.js";
import { identify, takeThread, type Who } from "./who.js";

const CLONE_VM = 0x100;

/** The first field of struct clone_args. */
const flags = new NativeMemory(8);

/**
 * Whether a call gives a child memory of its own, a copy of its parent's.
 * @param argument the first of the call that a thread is stopped at
 */
export function isFork(thread: number, syscall: number, argument: number): boolean {
	switch (syscall) {
		case syscalls.fork:
			return true;
		case syscalls.clone:
			return (argument & CLONE_VM) === 0;
		case syscalls.clone3:
			// What can't be read the kernel will refuse, too.
			return readRemote(thread, argument, flags.address, 8) === 8 && (flags.words[0] & CLONE_VM) === 0;
		default:
			return false;
	}
}

/** A thread that stands at a fork(2), or a clone(2) of its memory. */
export interface ParkedFork {
	readonly thread: number;
	/** Has the kernel make the call. */
	proceed(): void;
}

// kcmp(2)
const KCMP_VM = 1;

const OPTIONS = TRACESYSGOOD | TRACEFORK | TRACEVFORK | TRACECLONE;
/** How often a fork is looked for, and how many microseconds lie between, until we look whether there was one. */
const PATIENCE = 200;
const STEP = 20;

export class Forks {
	readonly #parent = new Tracee(instructionSet);
	readonly #child = new Tracee(instructionSet);

	/**
	 * Has a thread make its fork(2).
	 * @param all the registers that its process may have mapped
	 * @returns false if it has none of them, with nothing done
	 */
	follow(fork: ParkedFork, all: readonly MappedRegisters[]): boolean {
		const who = identify(fork.thread);
		const concerned = who === undefined ? [] : all.filter((registers) => registers.isMappedBy(who.process));
		if (concerned.length > 0) this.#follow(fork, who, concerned);
		return concerned.length > 0;
	}

	#follow({ thread, proceed }: ParkedFork, who: Who | undefined, concerned: readonly MappedRegisters[]): void {
		const reason = concerned.length === 0 ? "gone" : takeThread(this.#parent, thread, OPTIONS);
		if (who === undefined || reason !== undefined) {
			// Before it has a child, which may be fast.
			if (who !== undefined && reason !== undefined && reason !== "gone")
				for (const registers of concerned) registers.watchChildOf(who.process, reason);
			proceed();
			return;
		}
		proceed();
		if (this.#waitForFork()) this.#created(this.#parent.created, who.process, concerned);
		this.#parent.release();
	}

	/** Waits for the seized thread to have forked. @returns whether it has, and stands behind that */
	#waitForFork(): boolean {
		const parent = this.#parent;
		const hasForked = () => [EVENT_FORK, EVENT_VFORK, EVENT_CLONE].includes(parent.event);
		for (let tries = 0; tries < PATIENCE; tries++) {
			const hasStopped = parent.hasStopped();
			if (hasStopped !== undefined) return hasStopped && hasForked();
			usleep(STEP);
		}
		// It failed, or takes long. Interrupted before it has begun it is made anew, and comes here again.
		parent.interrupt();
		return parent.waitForStop() && hasForked();
	}

	#created(thread: number, parent: number, concerned: readonly MappedRegisters[]): void {
		const child = this.#child;
		// The kernel has seized it for us.
		child.adopt(thread);
		if (!child.waitForStop()) return;
		const who = identify(thread);
		// One that shares its parent's memory has it registered.
		if (who !== undefined && kcmp(thread, parent, KCMP_VM, 0, 0) !== 0)
			for (const registers of concerned) registers.inherit(parent, child, who.process);
		child.release();
	}
}
