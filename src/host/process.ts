// The processes and threads that make ioctls on our files, as far as we have to know them: whose memory, whose limits,
// whose capabilities, and which of their fds is which file. proc(5), credentials(7), capabilities(7)
//
// Numbers of processes and threads are used again, programs are replaced by execve(2), fds are closed and opened: all of that
// happens without us. What is remembered here is tied to what can't change hands instead:
//  - a thread, by an fd for its /proc/TID/fd, which fails as soon as that thread is gone;
//  - a process, by an fd for its /proc/PID, which does the same;
//  - a memory, by an fd for its /proc/PID/maps, which stays with the memory across execve(2).
// What an fd of the program refers to is never remembered: it is looked up at every call.

import type { Caller, CallerFile, Capability, MemoryOwner, OpenFile } from "../iommufd/caller.js";
import { Errno } from "../uapi/errno.js";
import type { HandedFiles } from "./files.js";
import {
	close,
	errno,
	errors,
	kcmp,
	NativeMemory,
	open,
	openat,
	pidfdGetfd,
	pidfdOpen,
	prlimit,
	read,
	statx,
} from "./libc.js";
import { ProcessMemory } from "./process-memory.js";
import type { Notification } from "./seccomp.js";
import { SharedFiles } from "./shared-files.js";
import { AT_STATX_DONT_SYNC, Stat } from "./stat.js";

const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const O_RDWR = 2;
const KCMP_VM = 1;
const RLIMIT_MEMLOCK = 8;
const STATX_INO = 0x100;
/** <linux/capability.h>; all of them are in the low half of the set. */
const capabilityBits: { readonly [name in Capability]: number } = {
	CAP_IPC_LOCK: 14,
	CAP_SYS_RAWIO: 17,
	CAP_SYS_RESOURCE: 24,
};
/** So many threads' fd directories are kept open; beyond, we start over. */
const MOST_THREADS = 1000;

const scratch = new NativeMemory(8192);
const fdName = new NativeMemory(16);
const stat = new Stat();

/** What /proc/TID/status says. */
interface Status {
	readonly process: number;
	readonly parent: number;
	readonly uid: number;
	/** The low 32 bits of the effective set. */
	readonly capabilities: number;
}

function readStatus(directory: number, name: string): Status | undefined {
	const fd = openat(directory, scratch.setString(name), O_CLOEXEC);
	if (fd === -1) return undefined;
	const length = read(fd, scratch.address, scratch.bytes.length);
	close(fd);
	if (length <= 0) return undefined;
	const text = Buffer.from(scratch.bytes.buffer, 0, length).toString("latin1");
	const field = (name: string) => text.match(new RegExp(`^${name}:\\s*(\\w+)`, "m"))?.[1] ?? "0";
	return {
		process: Number(field("Tgid")),
		parent: Number(field("PPid")),
		uid: Number(field("Uid")),
		capabilities: Number.parseInt(field("CapEff").slice(-8), 16),
	};
}
