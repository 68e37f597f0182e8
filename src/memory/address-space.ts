// What an ioctl's pointers point into, and what gives a page its identity.
// Everything here is in bytes or pages of 4096 bytes; both are doubles, exact because user addresses are below 2^53.

import { Errno, hex } from "../uapi/errno.js";
import type { HintName } from "../uapi/hints.js";
import { worked } from "../uapi/slices.js";

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** Where there is no Node, as in a browser, it is as on x86-64. */
const isArm = globalThis.process?.arch === "arm64";

/** Where addresses end that a program can have, in bytes: 48 bits on arm64, 47 on x86-64 with four levels. */
export const USER_ADDRESSES_END = isArm ? 2 ** 48 : 2 ** 47;

/** TASK_SIZE_MAX, in bytes: nothing can be pinned from here on. x86-64 keeps its last page free. */
export const PINNABLE_END = isArm ? USER_ADDRESSES_END : USER_ADDRESSES_END - PAGE_SIZE;

/**
 * Where the bytes of some pages live: the private memory of one process, a file, an array.
 * A page is the pair of a backing and a page number in it, so two mappings of one file have one backing object
 * and share their frames. Compared by identity.
 */
export interface Backing {
	/** For people: "memory of process 4711", "memfd:guest-ram". */
	readonly name: string;
	/** Copies from byte `at` on; returns how many bytes there were, fewer than asked for where memory ends. */
	read(at: number, into: Uint8Array): number;
	write(at: number, from: Uint8Array): number;
	/**
	 * Reads two words of 32 bits at a multiple of 4 into the first two of `into`: what read() does, sooner. False if they aren't there.
	 * Absent where that takes a system call anyway.
	 */
	readEntry?(at: number, into: Int32Array): boolean;
	/**
	 * They are registers or memory of a device, of which the kernel has no struct page: iommufd can't map them, VFIO's type 1 can,
	 * and doesn't count them.
	 */
	readonly isDeviceMemory?: true;
	/**
	 * Somebody will come back for the bytes, so what it takes to reach them must be kept. Each is undone by one drop(). A backing
	 * that was found and that nobody holds is good until the end of the call.
	 */
	hold?(): void;
	drop?(): void;
}

/** Stretches of pages, in the order in which they follow one another, as parallel arrays of which `length` items count. */
export class Extents {
	readonly backing: Backing[] = [];
	/** First page of the stretch in its backing. */
	readonly page: number[] = [];
	/** Length in pages. */
	readonly count: number[] = [];
	length = 0;

	/** Appends a stretch; one that continues the last stretch makes it longer instead. */
	add(backing: Backing, page: number, count: number): void {
		const last = this.length - 1;
		if (last >= 0 && this.backing[last] === backing && this.page[last] + this.count[last] === page) {
			this.count[last] += count;
			return;
		}
		this.backing[this.length] = backing;
		this.page[this.length] = page;
		this.count[this.length] = count;
		this.length++;
	}

	/** For the next use. The arrays stay, because to make one again takes longer than to fill it. */
	clear(): void {
		this.length = 0;
	}
}

/** Somebody who looks on while a call is answered. */
export interface MemoryWatcher {
	/** `done` bytes could be read from an address on. */
	read(space: AddressSpace, address: number, into: Uint8Array, done: number): void;
	/** The same, written. */
	write(space: AddressSpace, address: number, from: Uint8Array, done: number): void;
}

/** The memory of one caller: one mm, in Linux's words. Compared by identity: one object as long as the mm lives. */
export interface AddressSpace {
	readonly name: string;
	/**
	 * Copies from `address` (bytes) on; returns how many bytes could be read before the first that can't.
	 * Any number is allowed as the address; what is not mapped reads as 0 bytes.
	 */
	read(address: number, into: Uint8Array): number;
	/** The same, writing. Memory that is mapped read-only is not written. */
	write(address: number, from: Uint8Array): number;
	/**
	 * Finds what is behind `count` pages from page number `first` on, and appends it to `into`: also what comes before a page that isn't there.
	 * @throws EFAULT when a page is not mapped, or not readable, or not writable where `writable` is asked for, and when the
	 * space is no longer alive
	 */
	resolve(first: number, count: number, writable: boolean, into: Extents): void;
	/** Whether the process is still there (mmget_not_zero). */
	readonly alive: boolean;
	/** Pages that the process has locked itself, by mlock(2) and the like. With those that are counted here: mm_struct's locked_vm. */
	readonly selfLocked: number;
	/** Is told of what is read and written. Absent where nobody can look on. */
	watcher?: MemoryWatcher | undefined;
}

/** Memory as far as bytes are copied from it, and to it. */
export type Readable = Pick<AddressSpace, "read">;
export type Writable = Pick<AddressSpace, "write">;

/** Fills `into` from the caller's memory or throws EFAULT, naming what was read. */
export function copyIn(
	space: Readable,
	address: number,
	into: Uint8Array,
	what: string,
	hint: HintName = "data-pointer",
): void {
	if (into.length > 0 && space.read(address, into) !== into.length)
		throw new Errno("EFAULT", `${what} at ${hex(address)} (${into.length} bytes) can't be read`, hint);
}

/** Writes `from` to the caller's memory or throws EFAULT, naming what was written. */
export function copyOut(space: Writable, address: number, from: Uint8Array, what: string): void {
	if (from.length > 0 && space.write(address, from) !== from.length)
		throw new Errno("EFAULT", `${what} at ${hex(address)} (${from.length} bytes) can't be written`, "data-pointer");
}

const zeroes = new Uint8Array(64 * 1024);

/** Writes `length` zeroes to the caller's memory or throws EFAULT, naming what was cleared. */
export function clearOut(space: AddressSpace, address: number, length: number, what: string): void {
	for (let done = 0; done < length; done += zeroes.length) {
		copyOut(space, address + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)), what);
		worked(zeroes.length >> 4);
	}
}
