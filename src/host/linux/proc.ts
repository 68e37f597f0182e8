// /proc as we read it: an fd for a process's or a thread's directory, and /proc/PID/status. proc(5)
//
// Numbers of processes and threads are used again. An fd for /proc/PID stays with the process that it was opened for: once
// that is gone, every look into it fails.

import { O_CLOEXEC, O_PATH } from "./flags.js";
import { close, NativeMemory, open, openat, read, statx } from "./libc.js";
import { AT_STATX_DONT_SYNC, Stat } from "./stat.js";

const scratch = new NativeMemory(16 * 1024);
const stat = new Stat();

/** @returns an fd, or -1 */
export function openDirectory(path: string): number {
	return open(scratch.setString(path), O_PATH | O_CLOEXEC);
}

/** Opens once more, with the rights that this thread has now, what an fd of ours refers to. @returns an fd, or -1 */
export function reopen(fd: number, flags: number): number {
	return open(scratch.setString(`/proc/self/fd/${fd}`), flags | O_CLOEXEC);
}

/** The whole of a small file; undefined where it can't be read. */
export function readFileAt(directory: number, name: string): string | undefined {
	const fd = openat(directory, scratch.setString(name), O_CLOEXEC);
	if (fd === -1) return undefined;
	const length = read(fd, scratch.address, scratch.bytes.length);
	close(fd);
	return length <= 0 ? undefined : Buffer.from(scratch.bytes.buffer, 0, length).toString("latin1");
}

/** Whether a file can be found; following links, as all of these do. */
export function exists(directory: number, name: string): boolean {
	return inodeOf(directory, name) !== undefined;
}

/** The inode number of a file, which for /proc/PID/ns/NAME is the namespace's. */
export function inodeOf(directory: number, name: string): number | undefined {
	const result = statx(directory, scratch.setString(name), AT_STATX_DONT_SYNC, Stat.MASK, stat.address);
	return result === 0 ? stat.inode : undefined;
}

/** What /proc/PID/status and /proc/TID/status say. */
export interface Status {
	readonly process: number;
	readonly parent: number;
	/** The real one. */
	readonly uid: number;
	/** The low 32 bits of the effective capabilities, and of those that it could ever have. */
	readonly capabilities: number;
	readonly bounding: number;
}

/** @param directory an fd for /proc/PID */
export function readStatus(directory: number): Status | undefined {
	const text = readFileAt(directory, "status");
	if (text === undefined) return undefined;
	const field = (name: string) => text.match(new RegExp(`^${name}:\\s*(\\w+)`, "m"))?.[1] ?? "0";
	return {
		process: Number(field("Tgid")),
		parent: Number(field("PPid")),
		uid: Number(field("Uid")),
		capabilities: Number.parseInt(field("CapEff").slice(-8), 16),
		bounding: Number.parseInt(field("CapBnd").slice(-8), 16),
	};
}
