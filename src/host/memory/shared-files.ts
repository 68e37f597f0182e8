// Files whose pages several mappings share, as backings: memfds, tmpfs, hugetlbfs, and whatever else is mapped MAP_SHARED.
// One object per file, so that a page has one identity however it is reached: through an fd (IOMMU_IOAS_MAP_FILE) or through a
// mapping (IOMMU_IOAS_MAP), in whichever process.
//
// Linux pins the pages and needs the file no more. We need a way to the bytes later, so a backing has an fd of its own, which
// keeps the file alive as the pins do, as long as the engine holds the backing and a little longer: see closeUnused().
// Where the program gave a mapping and not an fd, ours comes from
// /proc/PID/map_files, which only root may follow, or is a duplicate of an fd of that process that shows the same file.
// Where neither is to be had (MAP_SHARED|MAP_ANONYMOUS without root), the bytes are reached through the process's own mapping
// for as long as it exists.

import { readdirSync } from "node:fs";
import type { Backing } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { MAP_SHARED, O_CLOEXEC, O_RDWR, PROT_READ, PROT_WRITE } from "../linux/flags.js";
import {
	addressOf,
	close,
	fstatfs,
	mmap,
	munmap,
	NativeMemory,
	openat,
	pread,
	pwrite,
	readlinkat,
	statx,
} from "../linux/libc.js";
import { AT_FDCWD, AT_STATX_DONT_SYNC, Stat, statOf } from "../linux/stat.js";
import type { ProcessMemory } from "./process-memory.js";
import { writeRemote } from "./remote.js";
import type { Vmas } from "./vma.js";

const MAP_NORESERVE = 0x4000;
const MAP_FAILED = -1;
// f_type, in the first word of a struct statfs. statfs(2)
const TMPFS_MAGIC = 0x01021994;
const HUGETLBFS_MAGIC = 0x958458f6;
const STATFS_BYTES = 256;

const path = new NativeMemory(128);
const target = new NativeMemory(4096);
const statfs = new NativeMemory(STATFS_BYTES);
const stat = new Stat();

/** A mapping of the file in a process, by which its bytes can be reached. */
interface Window {
	readonly memory: ProcessMemory;
	/** Its first byte's address there, and its place in the file. */
	readonly address: number;
	readonly offset: number;
	readonly length: number;
}

export class SharedFile implements Backing {
	readonly name: string;
	readonly key: string;
	/** Our fd for the file, or -1. */
	#fd: number;
	readonly #type: number | undefined;
	/** Those that nobody holds. */
	readonly #unused: Set<SharedFile>;
	#holders = 0;
	/** Where we have it mapped, if we do: hugetlbfs has no write(2). */
	#mapped: { readonly address: number; readonly length: number } | undefined;
	#windows: Window[] = [];

	/**
	 * @param type f_type of its file system, where it is known
	 * @param unused takes it in whenever nobody holds it
	 */
	constructor(name: string, key: string, fd: number, type: number | undefined, unused: Set<SharedFile>) {
		this.name = name;
		this.key = key;
		this.#fd = fd;
		this.#type = type;
		this.#unused = unused;
		unused.add(this);
	}

	hold(): void {
		if (this.#holders++ === 0) this.#unused.delete(this);
	}

	drop(): void {
		if (--this.#holders === 0) this.#unused.add(this);
	}

	/** In bytes, now. */
	get size(): number {
		return statOf(this.#fd)?.size ?? 0;
	}

	/** Whether it is memory, and not a file on a disk. */
	get isMemory(): boolean {
		return this.#type === undefined || isMemory(this.#type);
	}

	/** Whether it can be reached without the help of a process. */
	get isOpen(): boolean {
		return this.#fd !== -1;
	}

	read(at: number, into: Uint8Array): number {
		const fd = this.#fd;
		if (fd === -1)
			return this.#throughWindow(at, into.length, (memory, address, from, to) =>
				memory.read(address, into.subarray(from, to)),
			);
		return Math.max(0, pread(fd, addressOf(into), into.length, at));
	}

	write(at: number, from: Uint8Array): number {
		const fd = this.#fd;
		if (fd === -1)
			return this.#throughWindow(at, from.length, (memory, address, start, end) =>
				memory.write(address, from.subarray(start, end)),
			);
		if (this.#type === HUGETLBFS_MAGIC) return this.#writeMapped(at, from);
		const room = Math.min(from.length, this.size - at); // A device must not make the file longer.
		if (room <= 0) return 0;
		const done = pwrite(fd, addressOf(from), room, at);
		if (done >= 0) return done;
		// The program's fd may be one for reading only; a mapping of it may be writable all the same.
		this.open(openat(AT_FDCWD, path.setString(`/proc/self/fd/${fd}`), O_RDWR | O_CLOEXEC));
		return Math.max(0, pwrite(this.#fd, addressOf(from), room, at));
	}

	/** Gives it an fd of its own. */
	open(fd: number): void {
		if (fd === -1) return;
		if (this.#fd !== -1) close(this.#fd);
		this.#fd = fd;
	}

	/** Gives back what it takes to reach the bytes. */
	close(): void {
		this.#unmap();
		if (this.#fd !== -1) close(this.#fd);
		this.#fd = -1;
	}

	#unmap(): void {
		if (this.#mapped !== undefined) munmap(this.#mapped.address, this.#mapped.length);
		this.#mapped = undefined;
	}

	/** Remembers a mapping, for as long as there is no fd. */
	addWindow(window: Window): void {
		const known = this.#windows.some(
			({ memory, address, length }) =>
				memory === window.memory && address === window.address && length === window.length,
		);
		if (!known) this.#windows.push(window);
	}

	/** Copies through the mappings of processes that still have one. */
	#throughWindow(
		at: number,
		length: number,
		copy: (memory: ProcessMemory, address: number, from: number, to: number) => number,
	): number {
		let done = 0;
		while (done < length) {
			const place = at + done;
			const window = this.#windows.find(
				(window) => window.offset <= place && place < window.offset + window.length && this.#isCurrent(window),
			);
			if (window === undefined) break;
			const end = Math.min(length, done + window.offset + window.length - place);
			const copied = copy(window.memory, window.address + place - window.offset, done, end);
			if (copied === 0) break;
			done += copied;
		}
		return done;
	}

	/** Whether the process still has the file there. */
	#isCurrent({ memory, address, offset }: Window): boolean {
		const area = memory.areaAt(address);
		return area !== undefined && keyOf(area) === this.key && area.offset + address - area.start === offset;
	}

	/** To a mapping of our own, but not by touching it: the program may have cut the file short, and that would be SIGBUS. */
	#writeMapped(at: number, from: Uint8Array): number {
		const { size } = this;
		if (this.#mapped === undefined || this.#mapped.length < size) {
			this.#unmap();
			const address = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, this.#fd, 0);
			if (address === MAP_FAILED) return 0;
			this.#mapped = { address, length: size };
		}
		const room = Math.min(from.length, size - at);
		if (room <= 0) return 0;
		return Math.max(0, writeRemote(process.pid, this.#mapped.address + at, addressOf(from), room));
	}
}

export class SharedFiles {
	readonly #files = new Map<string, SharedFile>();
	/** Those that nobody holds: just found, or not needed any more. */
	readonly #unused = new Set<SharedFile>();

	/**
	 * The file that an fd of ours refers to, which we took from a program.
	 * @param fd is taken over: it is closed when it isn't needed
	 * @returns undefined when it isn't shared memory: neither tmpfs, which memfds are in, nor hugetlbfs
	 */
	opened(fd: number): SharedFile | undefined {
		const type = typeOf(fd);
		const found = statOf(fd);
		if (found === undefined || !isMemory(type)) {
			if (fd !== -1) close(fd);
			return undefined;
		}
		const key = keyOf(found);
		const known = this.#files.get(key);
		if (known === undefined) return this.#add(key, fd, nameOf(fd), type);
		if (known.isOpen) close(fd);
		else known.open(fd);
		return known;
	}

	/** One that the engine has met. */
	known(stat: Stat): SharedFile | undefined {
		return this.#files.size === 0 ? undefined : this.#files.get(keyOf(stat));
	}

	/**
	 * The file that a process has mapped in an area.
	 * @throws EFAULT when it is to be written by a device, but is one whose changes the kernel must see to write them to a disk
	 */
	mapped(memory: ProcessMemory, area: Vmas, writable: boolean): SharedFile {
		const key = keyOf(area);
		let file = this.#files.get(key);
		if (file === undefined) {
			const fd = openMapped(memory.stopped, area, key);
			file = this.#add(key, fd, fd === -1 ? `shared memory of process ${memory.process}` : nameOf(fd), typeOf(fd));
		}
		// writable_file_mapping_allowed() in mm/gup.c: memory of a file on a disk can't be pinned for long and for writing.
		if (writable && !file.isMemory)
			throw new Errno(
				"EFAULT",
				`${file.name} is mapped shared and writable, and isn't memory but a file on a disk`,
				"file-memory",
			);
		if (!file.isOpen)
			file.addWindow({ memory, address: area.start, offset: area.offset, length: area.end - area.start });
		return file;
	}

	/**
	 * Closes those that nobody holds. Not at once when they are dropped, because what was just unmapped is often mapped again;
	 * and never within a call, which uses what it finds before it holds it.
	 */
	closeUnused(): void {
		for (const file of this.#unused) {
			file.close();
			this.#files.delete(file.key);
		}
		this.#unused.clear();
	}

	#add(key: string, fd: number, name: string, type: number | undefined): SharedFile {
		const file = new SharedFile(name, key, fd, type, this.#unused);
		this.#files.set(key, file);
		return file;
	}
}

/** What a file is known by: the same in a Stat and in an area of memory. */
function keyOf({ deviceMajor, deviceMinor, inode }: Stat | Vmas): string {
	return `${deviceMajor}:${deviceMinor}:${inode}`;
}

function isMemory(type: number | undefined): boolean {
	return type === TMPFS_MAGIC || type === HUGETLBFS_MAGIC;
}

function typeOf(fd: number): number | undefined {
	return fstatfs(fd, statfs.address) === 0 ? statfs.words[0] : undefined;
}

/** "memfd:guest-ram" */
function nameOf(fd: number): string {
	const link = path.setString(`/proc/self/fd/${fd}`);
	const length = readlinkat(AT_FDCWD, link, target.address, target.bytes.length);
	const text = Buffer.from(target.bytes.buffer, 0, Math.max(0, length)).toString("utf8");
	return text.replace(/ \(deleted\)$/, "").replace(/^\/(?=memfd:)/, "");
}

/** An fd of ours for the file that a thread, which we have stopped, has mapped in an area; -1 if there is no way to it. */
function openMapped(thread: number, area: Vmas, key: string): number {
	const range = `${area.start.toString(16)}-${area.end.toString(16)}`;
	const fd = openIfSame(`/proc/${thread}/map_files/${range}`, key);
	if (fd !== -1) return fd;
	for (const number of fdsOf(thread)) {
		const link = `/proc/${thread}/fd/${number}`;
		const same = statx(AT_FDCWD, path.setString(link), AT_STATX_DONT_SYNC, Stat.MASK, stat.address) === 0;
		if (same && keyOf(stat) === key) return openIfSame(link, key);
	}
	return -1;
}

function openIfSame(link: string, key: string): number {
	const fd = openat(AT_FDCWD, path.setString(link), O_RDWR | O_CLOEXEC);
	if (fd === -1) return -1;
	const found = statOf(fd);
	if (found !== undefined && keyOf(found) === key) return fd;
	close(fd);
	return -1;
}

function fdsOf(thread: number): string[] {
	try {
		return readdirSync(`/proc/${thread}/fd`);
	} catch {
		return [];
	}
}
