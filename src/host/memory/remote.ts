// Copying from and to another process's memory: process_vm_readv(2). It goes by the permissions of the pages as the program
// itself would, which /proc/PID/mem doesn't; and a bad address is an error, not a signal.

import { NativeMemory, processVmReadv, processVmWritev } from "../linux/libc.js";

// Two struct iovec { void *base; size_t length }: ours and theirs.
const vectors = new NativeMemory(32);
const ours = vectors.address;
const theirs = vectors.address + 16;

/**
 * @param thread any thread that has the memory
 * @returns how many bytes came before the first that can't be read; -1 with errno when that is none
 */
export function readRemote(thread: number, address: number, into: number, length: number): number {
	setVectors(into, address, length);
	return processVmReadv(thread, ours, 1, theirs, 1, 0);
}

/** The same, writing. */
export function writeRemote(thread: number, address: number, from: number, length: number): number {
	setVectors(from, address, length);
	return processVmWritev(thread, ours, 1, theirs, 1, 0);
}

function setVectors(our: number, their: number, length: number): void {
	vectors.setU64(0, our);
	vectors.setU64(2, length);
	vectors.setU64(4, their);
	vectors.setU64(6, length);
}
