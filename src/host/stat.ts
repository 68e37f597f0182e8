// struct statx: who a file is. statx(2), include/uapi/linux/stat.h

import { NativeMemory, statx } from "./libc.js";

export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_SYMLINK_NOFOLLOW = 0x100;
/** Ask nobody over a network; for the files here it makes no difference but to the time it takes. */
export const AT_STATX_DONT_SYNC = 0x4000;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

// In words.
const MODE = 7;
const INODE = 8;
const SIZE = 10;
const DEVICE_MAJOR = 34;
const DEVICE_MINOR = 35;

/** What statx() fills in. One is used again and again. */
export class Stat {
	/** STATX_BASIC_STATS */
	static readonly MASK = 0x7ff;
	readonly #memory = new NativeMemory(256);
	readonly address = this.#memory.address;

	get isRegular(): boolean {
		return (this.#memory.words[MODE] & S_IFMT) === S_IFREG;
	}

	/** Exact: the kernel's own file systems count inodes from 1. */
	get inode(): number {
		return this.#memory.u64(INODE);
	}

	get size(): number {
		return this.#memory.u64(SIZE);
	}

	get deviceMajor(): number {
		return this.#memory.words[DEVICE_MAJOR];
	}

	get deviceMinor(): number {
		return this.#memory.words[DEVICE_MINOR];
	}
}

const noPath = new NativeMemory(4);
const stat = new Stat();

/** Of an fd of ours. Good until the next question. */
export function statOf(fd: number): Stat | undefined {
	const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
	return statx(fd, noPath.address, flags, Stat.MASK, stat.address) === 0 ? stat : undefined;
}
