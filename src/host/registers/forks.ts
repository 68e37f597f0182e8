// Which calls give a child memory of its own, a copy of its parent's. clone(2)

import { NativeMemory } from "../linux/libc.js";
import { syscalls } from "../linux/syscalls.js";
import { readRemote } from "../memory/remote.js";

const CLONE_VM = 0x100;

/** The first field of struct clone_args. */
const flags = new NativeMemory(8);

/** @param argument the first of the call that a thread is stopped at */
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
