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
//
// The fd is for no more than the program has shown that it may do: what its own fd is for, or its mapping. More is opened with the
// program's rights only. (Linux pins the pages of an fd for reading, and has a device write to them.)

import { readdirSync } from "node:fs";
import type { Backing } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { type Credentials, credentialsOf, mayDiffer, withCredentials } from "../linux/credentials.js";
import { F_GETFL, MAP_SHARED, O_ACCMODE, O_CLOEXEC, O_RDONLY, O_RDWR, PROT_READ, PROT_WRITE } from "../linux/flags.js";
import {
	addressOf,
	close,
	fcntl,
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
import { reopen } from "../linux/proc.js";
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
	/** Of whom that comes from, who may do more, perhaps, than what it is for. */
	#rights: Credentials | undefined;
	readonly #type: number | undefined;
	/** Those that nobody holds. */
	readonly #unused: Set<SharedFile>;
	#holders = 0;
	/** Where we have it mapped, if we do: hugetlbfs has no write(2). */
	#mapped: { readonly address: number; readonly length: number } | undefined;
	#windows: Window[] = [];

	/**
	 * @param rights of the program that the fd is from; undefined where they are ours, or it is for reading and writing
	 * @param type f_type of its file system, where it is known
	 * @param unused takes it in whenever nobody holds it
	 */
	constructor(
		name: string,
		key: string,
		fd: number,
		rights: Credentials | undefined,
		type: number | undefined,
		unused: Set<SharedFile>,
	) {
		this.name = name;
		this.key = key;
		this.#fd = fd;
		this.#rights = rights;
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

	/** Whether the engine will come back for its bytes. */
	get isHeld(): boolean {
		return this.#holders > 0;
	}

	/** Ours, or -1: as long as the file isn't closed, or opened in another way. */
	get fd(): number {
		return this.#fd;
	}

	/** Another fd for it, for reading and perhaps for writing, which is the caller's. @returns -1 where the program itself may not do that */
	openAgain(isWritten: boolean): number {
		const isEnough = () => [isWritten ? O_RDWR : O_RDONLY, O_RDWR].includes(modeOf(this.#fd));
		if (!isEnough()) this.#openForAll();
		return isEnough() ? reopen(this.#fd, isWritten ? O_RDWR : O_RDONLY) : -1;
	}

	read(at: number, into: Uint8Array): number {
		const fd = this.#fd;
		if (fd === -1)
			return this.#throughWindow(at, into.length, (memory, address, from, to) =>
				memory.read(address, into.subarray(from, to)),
			);
		const done = pread(fd, addressOf(into), into.length, at);
		if (done >= 0) return done;
		this.#openForAll();
		return Math.max(0, pread(this.#fd, addressOf(into), into.length, at));
	}

	write(at: number, from: Uint8Array): number {
		const fd = this.#fd;
		if (fd === -1)
			return this.#throughWindow(at, from.length, (memory, address, start, end) =>
				memory.write(address, from.subarray(start, end)),
			);
		if (this.#type === HUGETLBFS_MAGIC) {
			if (!this.isWritable) this.#openForAll();
			return this.#writeMapped(at, from);
		}
		const room = Math.min(from.length, this.size - at); // A device must not make the file longer.
		if (room <= 0) return 0;
		const done = pwrite(fd, addressOf(from), room, at);
		if (done >= 0) return done;
		this.#openForAll();
		return Math.max(0, pwrite(this.#fd, addressOf(from), room, at));
	}

	/** Gives it an fd, if that is one for more than the one it has. @param rights see the constructor */
	open(fd: number, rights: Credentials | undefined): void {
		if (fd === -1) return;
		if (this.#fd !== -1 && !isForMore(fd, this.#fd)) {
			close(fd);
			return;
		}
		if (this.#fd !== -1) close(this.#fd);
		this.#fd = fd;
		this.#rights = rights;
	}

	/** Whether it can be written by what was opened. */
	get isWritable(): boolean {
		return this.#fd !== -1 && modeOf(this.#fd) !== O_RDONLY;
	}

	/** The program's fd may be one for reading only, though the program may do more. */
	#openForAll(): void {
		const rights = this.#rights;
		const open = () => reopen(this.#fd, O_RDWR);
		this.open((rights === undefined ? open() : withCredentials(rights, open)) ?? -1, rights);
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
	readonly #shownIn: (area: Vmas) => Backing | undefined;

	/** @param shownIn gives what a file of ours shows that is mapped in an area */
	constructor(shownIn: (area: Vmas) => Backing | undefined = () => undefined) {
		this.#shownIn = shownIn;
	}

	/**
	 * The file that an fd of ours refers to, which we took from a program.
	 * @param fd is taken over: it is closed when it isn't needed
	 * @param thread whose it is
	 * @returns undefined when it isn't shared memory: neither tmpfs, which memfds are in, nor hugetlbfs
	 */
	opened(fd: number, thread: number): SharedFile | undefined {
		const type = typeOf(fd);
		const found = statOf(fd);
		if (found === undefined || !isMemory(type)) {
			if (fd !== -1) close(fd);
			return undefined;
		}
		const key = keyOf(found);
		const known = this.#files.get(key);
		if (known === undefined) return this.#add(key, fd, rightsFor(fd, thread), nameOf(fd), type);
		known.open(fd, rightsFor(fd, thread));
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
	mapped(memory: ProcessMemory, area: Vmas, writable: boolean): Backing {
		const shown = this.#shownIn(area);
		if (shown !== undefined) return shown;
		const key = keyOf(area);
		let file = this.#files.get(key);
		if (file === undefined) {
			const fd = openMapped(memory.stopped, area, key);
			const name = fd === -1 ? `shared memory of process ${memory.process}` : nameOf(fd);
			file = this.#add(key, fd, rightsFor(fd, memory.stopped), name, typeOf(fd));
		} else if (writable && file.isOpen && !file.isWritable) {
			const fd = openMapped(memory.stopped, area, key);
			file.open(fd, rightsFor(fd, memory.stopped));
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

	#add(key: string, fd: number, rights: Credentials | undefined, name: string, type: number | undefined): SharedFile {
		const file = new SharedFile(name, key, fd, rights, type, this.#unused);
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

/** Those of a thread that we have stopped, where what it has given us isn't for everything. */
function rightsFor(fd: number, thread: number): Credentials | undefined {
	return mayDiffer() && modeOf(fd) !== O_RDWR ? credentialsOf(thread) : undefined;
}

/** O_RDONLY, O_WRONLY or O_RDWR. */
function modeOf(fd: number): number {
	return fcntl(fd, F_GETFL, 0) & O_ACCMODE;
}

/** Whether one fd is for reading and writing, and another for one of them. */
function isForMore(fd: number, than: number): boolean {
	return modeOf(fd) === O_RDWR && modeOf(than) !== O_RDWR;
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

/**
 * An fd of ours for the file that a thread, which we have stopped, has mapped in an area, to do with it what the mapping is for; -1 if
 * there is no way to it.
 */
function openMapped(thread: number, area: Vmas, key: string): number {
	const range = `${area.start.toString(16)}-${area.end.toString(16)}`;
	const mode = area.writable ? O_RDWR : O_RDONLY;
	const fd = openIfSame(`/proc/${thread}/map_files/${range}`, mode, key);
	if (fd !== -1) return fd;
	for (const number of fdsOf(thread)) {
		const ofNumber = openIfSame(`/proc/${thread}/fd/${number}`, mode, key);
		if (ofNumber !== -1) return ofNumber;
	}
	return -1;
}

/** Nothing but a file with memory of its own: to open a device does something. */
function openIfSame(link: string, mode: number, key: string): number {
	if (statx(AT_FDCWD, path.setString(link), AT_STATX_DONT_SYNC, Stat.MASK, stat.address) !== 0) return -1;
	if (!stat.isRegular || keyOf(stat) !== key) return -1;
	const fd = openat(AT_FDCWD, path.setString(link), mode | O_CLOEXEC);
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
