// What is done at a signal. sigaction(2)

import { addressOfFunction, NativeMemory, sigaction, succeed } from "./libc.js";

const SA_NOCLDSTOP = 1;

/** struct sigaction of the C library: the handler, 128 bytes of mask, flags, restorer. */
const SIGACTION_BYTES = 152;
/** In words. */
const FLAGS = 34;

/**
 * Has a signal interrupt what waits: without SA_RESTART, which Node's own handlers have. A handler is needed for that, and one in
 * JavaScript could not run in a signal's context; so it is a function of the C library's that looks at nothing but its argument.
 */
export function onlyInterruptAt(signal: number): void {
	const action = new NativeMemory(SIGACTION_BYTES);
	action.setU64(0, addressOfFunction("abs"));
	succeed(sigaction(signal, action.address, 0), "sigaction");
}

/** Has SIGCHLD sent when a child ends, but not when it stops. Whatever handles it stays. */
export function sendAtDeathsOnly(signal: number): void {
	const action = new NativeMemory(SIGACTION_BYTES);
	succeed(sigaction(signal, 0, action.address), "sigaction");
	action.words[FLAGS] |= SA_NOCLDSTOP;
	succeed(sigaction(signal, action.address, 0), "sigaction");
}
