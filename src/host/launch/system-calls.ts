// Whether we may make the system calls by which a program is served: a container's seccomp profile, or a security module, may forbid them.

import { Refusal } from "../failure.js";
import { errno, errorName, NativeMemory } from "../linux/libc.js";
import { readRemote, writeRemote } from "../memory/remote.js";

const WORD = 8;

/**
 * Tried on ourselves: who may not do it there may do it nowhere.
 * @throws Refusal
 */
export function checkMemoryAccess(): void {
	const [from, to] = [new NativeMemory(WORD), new NativeMemory(WORD)];
	if (readRemote(process.pid, from.address, to.address, WORD) !== WORD) throw forbidden("process_vm_readv(2)");
	if (writeRemote(process.pid, to.address, from.address, WORD) !== WORD) throw forbidden("process_vm_writev(2)");
}

function forbidden(call: string): Refusal {
	return new Refusal(
		`${call} is forbidden here, by which ioasis has what a program's pointers point to: ${errorName(errno())}`,
		"the seccomp profile of the container, or of the sandbox, must allow it",
	);
}
