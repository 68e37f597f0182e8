// A process's virtual memory areas, asked for one at a time.
// PROCMAP_QUERY in include/uapi/linux/fs.h (Linux 6.11); before that, /proc/PID/maps as text: proc_pid_maps(5).

import { O_CLOEXEC } from "../linux/flags.js";
import { close, errno, errors, ioctl, NativeMemory, open, pread } from "../linux/libc.js";

// struct procmap_query, in words. The names and the build id are not asked for.
const PROCMAP_QUERY = 0xc0686611;
const SIZE = 0;
const QUERY_FLAGS = 2;
const QUERY_ADDR = 4;
const VMA_START = 6;
const VMA_END = 8;
const VMA_FLAGS = 10;
const VMA_PAGE_SIZE = 12;
const VMA_OFFSET = 14;
const INODE = 16;
const DEVICE_MAJOR = 18;
const DEVICE_MINOR = 19;
const QUERY_BYTES = 104;
const COVERING_OR_NEXT_VMA = 0x10;

const READABLE = 1;
const WRITABLE = 2;
const SHARED = 8;

const query = new NativeMemory(QUERY_BYTES);
const scratch = new NativeMemory(64 * 1024);

/** One line of /proc/PID/maps. */
interface Area {
	readonly start: number;
	readonly end: number;
	readonly flags: number;
	readonly offset: number;
	readonly device: readonly [major: number, minor: number];
	readonly inode: number;
}

let queryWorks = true;

/** For tests: as if this were a kernel before 6.11. */
export function readMapsAsText(text: boolean): void {
	queryWorks = !text;
}

/** Looks at the memory that a process has when this is made; after an execve(2) that is the old, which is gone. */
export class Vmas {
	#maps: number;
	/** Where there is no PROCMAP_QUERY: all areas, in order, as of the last refresh(). */
	#areas: Area[] = [];

	// The area that find() found.
	start = 0;
	end = 0;
	#flags = 0;
	/** Of the area's first byte in its file. */
	offset = 0;
	/** 0 where there is no file. Areas that are both shared and anonymous have one in the kernel's own tmpfs. */
	inode = 0;
	deviceMajor = 0;
	deviceMinor = 0;
	/** 4096 but for hugetlbfs, where it is known at all. */
	pageSize = 0;

	/** @param thread any thread of the process */
	constructor(thread: number) {
		this.#maps = open(scratch.setString(`/proc/${thread}/maps`), O_CLOEXEC);
	}

	get readable(): boolean {
		return (this.#flags & READABLE) !== 0;
	}

	get writable(): boolean {
		return (this.#flags & WRITABLE) !== 0;
	}

	/** MAP_SHARED, as opposed to MAP_PRIVATE. */
	get shared(): boolean {
		return (this.#flags & SHARED) !== 0;
	}

	/** Whether the memory still exists: mmget_not_zero() in the kernel's words. */
	get alive(): boolean {
		if (this.#maps === -1) return false;
		if (queryWorks) {
			if (this.#query(0, COVERING_OR_NEXT_VMA) === 0) return true;
			if (errno() !== errors.ENOTTY) return false;
			queryWorks = false;
		}
		return pread(this.#maps, scratch.address, 1, 0) === 1;
	}

	/** Call it before the first of several find(): the areas may have changed since the last time. */
	refresh(): void {
		if (!queryWorks) this.#areas = this.#readAreas();
	}

	/** Finds the area that an address is in, if there is one. */
	find(address: number): boolean {
		if (queryWorks) {
			if (this.#query(address, 0) === 0) return this.#takeAnswer();
			if (errno() !== errors.ENOTTY) return false;
			queryWorks = false;
			this.refresh();
		}
		const area = this.#areas.find(({ start, end }) => start <= address && address < end);
		if (area === undefined) return false;
		({ start: this.start, end: this.end, offset: this.offset, inode: this.inode } = area);
		this.#flags = area.flags;
		[this.deviceMajor, this.deviceMinor] = area.device;
		this.pageSize = 0;
		return true;
	}

	close(): void {
		if (this.#maps !== -1) close(this.#maps);
		this.#maps = -1;
	}

	#query(address: number, flags: number): number {
		query.words.fill(0);
		query.words[SIZE] = QUERY_BYTES;
		query.words[QUERY_FLAGS] = flags;
		query.setU64(QUERY_ADDR, address);
		return ioctl(this.#maps, PROCMAP_QUERY, query.address);
	}

	#takeAnswer(): true {
		this.start = query.u64(VMA_START);
		this.end = query.u64(VMA_END);
		this.#flags = query.words[VMA_FLAGS];
		this.offset = query.u64(VMA_OFFSET);
		this.inode = query.u64(INODE);
		this.deviceMajor = query.words[DEVICE_MAJOR];
		this.deviceMinor = query.words[DEVICE_MINOR];
		this.pageSize = query.u64(VMA_PAGE_SIZE);
		return true;
	}

	#readAreas(): Area[] {
		let text = "";
		for (;;) {
			const got = pread(this.#maps, scratch.address, scratch.bytes.length, text.length);
			if (got <= 0) break;
			text += Buffer.from(scratch.bytes.buffer, 0, got).toString("latin1");
		}
		return Array.from(text.matchAll(LINE), ([, start, end, permissions, offset, major, minor, inode]) => ({
			start: Number.parseInt(start, 16),
			end: Number.parseInt(end, 16),
			flags:
				(permissions[0] === "r" ? READABLE : 0) |
				(permissions[1] === "w" ? WRITABLE : 0) |
				(permissions[3] === "s" ? SHARED : 0),
			offset: Number.parseInt(offset, 16),
			device: [Number.parseInt(major, 16), Number.parseInt(minor, 16)] as const,
			inode: Number(inode),
		}));
	}
}

/** "7f3837544000-7f3837546000 rw-p 00033000 fe:00 338944   /usr/lib/ld.so" */
const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)/gm;
