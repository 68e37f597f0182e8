// What a file of ours shows to those who map it: one memfd, in which each region lies at the offset that mmap(2) is given.
// The device's model reads and writes it through our fd, the program through its mapping. memfd_create(2)
//
// Nobody can call mmap(2) for another process. So the program's own call goes on, after the number of its fd was made to refer
// to this memfd; and there it stays, because for us both are the same file. Each open of it that we hand out carries a
// lock, which ends with the last fd, copy and mapping: so we see whether anybody has it still, though we have it ourselves.
// "Open file description locks" in F_OFD_SETLK(2const)
//
// While the fd is open nobody tells us of a munmap(2). Who has to know looks for the mappings themselves: dropUnmapped().

import { readdirSync, readFileSync } from "node:fs";
import type { Mapping, OpenFile } from "../../files/open-file.js";
import type { Backing } from "../../memory/address-space.js";
import type { MovableMemory } from "../../memory/movable-memory.js";
import { O_CLOEXEC } from "../linux/flags.js";
import { addressOf, close, fcntl, ftruncate, memfdCreate, NativeMemory, openat, pread, pwrite } from "../linux/libc.js";
import { AT_FDCWD, statOf } from "../linux/stat.js";

const MFD_CLOEXEC = 1;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

const path = new NativeMemory(256);
/** struct flock: l_type and l_whence (s16), then, in words, from 2 on l_start (s64), l_len (s64; 0 is all) and l_pid. */
const lock = new NativeMemory(32);

/** A call of mmap(2) that had something to map. */
interface Mapped {
	readonly offset: number;
	readonly mapping: Mapping;
}

export class ShownMemory {
	readonly fd: number;
	readonly #name: string;
	/** By offset. */
	readonly #regions = new Map<number, MovableMemory>();
	#mapped: Mapped[] = [];

	static create(file: OpenFile): ShownMemory | undefined {
		const name = `ioasis:${file.path}`;
		const fd = memfdCreate(path.setString(name), MFD_CLOEXEC);
		return fd === -1 ? undefined : new ShownMemory(fd, name);
	}

	constructor(fd: number, name: string) {
		this.fd = fd;
		this.#name = name;
	}

	/** Shows what is being mapped at an offset, which counts as mapped from now on. */
	add(mapping: Mapping, offset: number): void {
		const { backing: memory } = mapping;
		this.#mapped.push({ offset, mapping });
		if (this.#regions.get(offset) === memory) return;
		const end = offset + memory.length;
		if ((statOf(this.fd)?.size ?? 0) < end) ftruncate(this.fd, end);
		memory.moveTo(new Part(memory.name, this.fd, offset, memory.length));
		this.#regions.set(offset, memory);
	}

	/**
	 * Opens it for a client.
	 * @param flags of open(2)
	 * @returns an fd, which has to be closed here as soon as the client has it; or -1
	 */
	open(flags: number): number {
		const fd = openat(AT_FDCWD, path.setString(`/proc/self/fd/${this.fd}`), flags | O_CLOEXEC);
		if (fd === -1) return -1;
		lock.bytes.fill(0);
		lock.words[0] = F_RDLCK;
		fcntl(fd, F_OFD_SETLK, lock.address);
		return fd;
	}

	/** Whether a client has it, open or mapped. */
	get isInUse(): boolean {
		lock.bytes.fill(0);
		lock.words[0] = F_WRLCK;
		return fcntl(this.fd, F_OFD_GETLK, lock.address) === 0 && (lock.words[0] & 0xffff) !== F_UNLCK;
	}

	/** Looks into all processes, and releases what none of them has mapped any more. */
	dropUnmapped(): void {
		if (this.#mapped.length === 0) return;
		const ranges = this.#rangesInUse();
		this.#mapped = this.#mapped.filter(({ offset, mapping }) => {
			const isInUse = ranges.some(([first, end]) => first < offset + mapping.backing.length && offset < end);
			if (!isInUse) mapping.release();
			return isInUse;
		});
	}

	close(): void {
		for (const { mapping } of this.#mapped) mapping.release();
		for (const memory of this.#regions.values()) memory.moveHome();
		close(this.fd);
	}

	/** Which parts of it are mapped anywhere, first byte and end. */
	#rangesInUse(): [first: number, end: number][] {
		const line = new RegExp(
			`^([0-9a-f]+)-([0-9a-f]+) \\S+ ([0-9a-f]+) \\S+ ${statOf(this.fd)?.inode}\\s+/memfd:${this.#name} `,
			"gm",
		);
		return processes().flatMap((id) =>
			Array.from(mapsOf(id).matchAll(line), ([, start, end, offset]): [number, number] => {
				const first = Number.parseInt(offset, 16);
				return [first, first + Number.parseInt(end, 16) - Number.parseInt(start, 16)];
			}),
		);
	}
}

/** A stretch of a file, by an fd that somebody else closes. */
class Part implements Backing {
	readonly name: string;
	readonly #fd: number;
	readonly #start: number;
	readonly #length: number;

	constructor(name: string, fd: number, start: number, length: number) {
		this.name = name;
		this.#fd = fd;
		this.#start = start;
		this.#length = length;
	}

	read(at: number, into: Uint8Array): number {
		const length = this.#within(at, into.length);
		return length === 0 ? 0 : Math.max(0, pread(this.#fd, addressOf(into), length, this.#start + at));
	}

	write(at: number, from: Uint8Array): number {
		const length = this.#within(at, from.length);
		return length === 0 ? 0 : Math.max(0, pwrite(this.#fd, addressOf(from), length, this.#start + at));
	}

	#within(at: number, length: number): number {
		return Math.max(0, Math.min(length, this.#length - at));
	}
}

function processes(): string[] {
	return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

/** Empty for one that has just ended, or that we may not look into: it isn't one of those that run under us. */
function mapsOf(process: string): string {
	try {
		return readFileSync(`/proc/${process}/maps`, "latin1");
	} catch {
		return "";
	}
}
