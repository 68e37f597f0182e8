// struct statx: who a file is. statx(2), include/uapi/linux/stat.h

import { NativeMemory, statx } from "./libc.js";

export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EACCESS = 0x200;
/** Ask nobody over a network; for the files here it makes no difference but to the time it takes. */
export const AT_STATX_DONT_SYNC = 0x4000;

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFCHR = 0o020000;

export const STATX_BYTES = 256;

// In words.
const BLOCK_SIZE = 1;
const LINKS = 4;
const UID = 5;
const GID = 6;
const MODE = 7;
const INODE = 8;
const SIZE = 10;
const BLOCKS = 12;
const ACCESSED = 16;
const CHANGED = 24;
const MODIFIED = 28;
const NUMBER_MAJOR = 32;
const NUMBER_MINOR = 33;
const DEVICE_MAJOR = 34;
const DEVICE_MINOR = 35;

/** What statx() fills in. One is used again and again. */
export class Stat {
	/** STATX_BASIC_STATS */
	static readonly MASK = 0x7ff;
	readonly #memory = new NativeMemory(STATX_BYTES);
	readonly #words = this.#memory.words;
	readonly address = this.#memory.address;

	get isRegular(): boolean {
		return (this.#words[MODE] & S_IFMT) === S_IFREG;
	}

	/** Kind and permissions: st_mode. */
	get mode(): number {
		return this.#words[MODE] & 0xffff;
	}

	/** Exact: the kernel's own file systems count inodes from 1. */
	get inode(): number {
		return this.#memory.u64(INODE);
	}

	get size(): number {
		return this.#memory.u64(SIZE);
	}

	get deviceMajor(): number {
		return this.#words[DEVICE_MAJOR];
	}

	get deviceMinor(): number {
		return this.#words[DEVICE_MINOR];
	}

	/** Makes it say that the file is a character device. */
	beDevice(major: number, minor: number, mode: number): void {
		this.#words[MODE] = S_IFCHR | mode;
		this.#words[NUMBER_MAJOR] = major;
		this.#words[NUMBER_MINOR] = minor;
		this.#memory.setU64(SIZE, 0);
		this.#memory.setU64(BLOCKS, 0);
	}

	/** The same as stat(2) has it, whose struct differs from machine to machine. <asm/stat.h> */
	asOldStruct(): NativeMemory {
		const words = this.#words;
		const old = oldStruct.words.fill(0);
		const copy = (to: number, from: number) => old.set(words.subarray(from, from + 2), to);
		old[0] = deviceNumber(words[DEVICE_MAJOR], words[DEVICE_MINOR]);
		copy(2, INODE);
		const { links, mode, uid, number, blockSize, blocks, times } = oldLayout;
		old[links] = words[LINKS];
		old[mode] = words[MODE] & 0xffff;
		old[uid] = words[UID];
		old[uid + 1] = words[GID];
		old[number] = deviceNumber(words[NUMBER_MAJOR], words[NUMBER_MINOR]);
		copy(12, SIZE);
		old[blockSize] = words[BLOCK_SIZE];
		copy(blocks, BLOCKS);
		[ACCESSED, MODIFIED, CHANGED].forEach((time, i) => {
			copy(times + 4 * i, time);
			old[times + 4 * i + 2] = words[time + 2]; // nanoseconds
		});
		return oldStruct;
	}
}

/** Where struct stat has what, in words. */
const oldLayouts = {
	x64: { bytes: 144, links: 4, mode: 6, uid: 7, number: 10, blockSize: 14, blocks: 16, times: 18 },
	arm64: { bytes: 128, links: 5, mode: 4, uid: 6, number: 8, blockSize: 14, blocks: 16, times: 18 },
} as const;
const oldLayout = process.arch === "arm64" ? oldLayouts.arm64 : oldLayouts.x64;
const oldStruct = new NativeMemory(oldLayout.bytes);

/** new_encode_dev() in include/linux/kdev_t.h */
function deviceNumber(major: number, minor: number): number {
	return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

const noPath = new NativeMemory(4);
const stat = new Stat();

/** Of an fd of ours. Good until the next question. */
export function statOf(fd: number): Stat | undefined {
	const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
	return statx(fd, noPath.address, flags, Stat.MASK, stat.address) === 0 ? stat : undefined;
}
