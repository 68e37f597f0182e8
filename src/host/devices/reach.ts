// How a device thread reaches the bytes of a backing: by pread(2) and pwrite(2) of an fd, at an offset.
//
// A program's memory is /proc/PID/mem, opened once: it stays that memory whatever becomes of the process's number. A shared file is mapped
// here, and reached by /proc/self/mem: so it can't be made longer by a write beyond its end, hugetlbfs, which has no write(2), is like
// any other, and one that the program has made shorter meanwhile is an error instead of a SIGBUS. proc_pid_mem(5)
//
// What a thread goes by must not be taken away while it may be about to use it: its number, or its address, could be another's then. So what
// isn't good any more is closed when the thread is seen not to copy.

import type { Backing } from "../../memory/address-space.js";
import { MAP_SHARED, O_CLOEXEC, O_RDWR, PROT_READ, PROT_WRITE } from "../linux/flags.js";
import { close, mmap, munmap, NativeMemory, open } from "../linux/libc.js";
import { ProcessMemory } from "../memory/process-memory.js";
import { SharedFile } from "../memory/shared-files.js";

const MAP_NORESERVE = 0x4000;
const MAP_FAILED = -1;
/** So many backings are reached by one thread at a time. */
const MOST = 256;

const path = new NativeMemory(64);

/** The way to a backing. */
interface Way {
	readonly fd: number;
	/** Whose memory that is; 0 for our own. */
	readonly process: number;
	/** In that file: where the backing's first byte is. */
	readonly start: number;
	/** How many bytes there are. */
	readonly length: number;
	/** Whether the backing can still be reached by it. */
	isGood(): boolean;
	close(): void;
}

/** Our own memory, of which there is one. */
let ownMemory = -1;

export class Reach {
	readonly #ways = new Map<Backing, Way>();
	/** To be closed. */
	readonly #old: { close(): void }[] = [];
	// What find() found.
	fd = -1;
	process = 0;
	/** In bytes. */
	at = 0;

	/**
	 * Finds the way to some bytes.
	 * @param at the first one's place in the backing
	 * @returns false where there is none but through the supervisor
	 */
	find(backing: Backing, at: number, length: number): boolean {
		const known = this.#ways.get(backing);
		let way = known;
		if (way === undefined || !way.isGood() || at + length > way.length) {
			if (known !== undefined) this.#drop(backing, known);
			if (this.#ways.size >= MOST) return false;
			way = wayTo(backing);
			if (way === undefined || at + length > way.length) {
				if (way !== undefined) this.#old.push(way);
				return false;
			}
			this.#ways.set(backing, way);
		}
		this.fd = way.fd;
		this.process = way.process;
		this.at = way.start + at;
		return true;
	}

	/** Forgets the ways to what is gone. */
	prune(): void {
		for (const [backing, way] of this.#ways) if (!way.isGood()) this.#drop(backing, way);
	}

	/** Closes something with them that the thread may be about to use. */
	add(old: { close(): void }): void {
		this.#old.push(old);
	}

	/** Nobody is about to use what was forgotten. */
	closeOld(): void {
		for (const old of this.#old.splice(0)) old.close();
	}

	close(): void {
		for (const [backing, way] of this.#ways) this.#drop(backing, way);
		this.closeOld();
	}

	#drop(backing: Backing, way: Way): void {
		this.#ways.delete(backing);
		this.#old.push(way);
	}
}

function wayTo(backing: Backing): Way | undefined {
	if (backing instanceof ProcessMemory) return wayToMemory(backing);
	return backing instanceof SharedFile ? wayToFile(backing) : undefined;
}

function wayToMemory(memory: ProcessMemory): Way | undefined {
	if (!memory.alive) return undefined;
	const fd = open(path.setString(`/proc/${memory.process}/mem`), O_RDWR | O_CLOEXEC);
	// The number could have become another's before it was opened, but not if the memory is still there.
	if (fd !== -1 && !memory.alive) close(fd);
	if (fd === -1 || !memory.alive) return undefined;
	return {
		fd,
		process: memory.process,
		start: 0,
		length: Number.POSITIVE_INFINITY,
		isGood: () => memory.alive,
		close: () => close(fd),
	};
}

function wayToFile(file: SharedFile): Way | undefined {
	const { fd, size } = file;
	if (fd === -1 || size === 0) return undefined;
	if (ownMemory === -1) ownMemory = open(path.setString("/proc/self/mem"), O_RDWR | O_CLOEXEC);
	let start = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (start === MAP_FAILED) start = mmap(0, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (ownMemory === -1 || start === MAP_FAILED) return undefined;
	return {
		fd: ownMemory,
		process: 0,
		start,
		length: size,
		isGood: () => file.fd === fd && file.isHeld,
		close: () => munmap(start, size),
	};
}
