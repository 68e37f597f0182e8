// The memory of a process that runs under us: one mm, in the kernel's words.
// What it consists of is vma.ts's concern, how bytes come over remote.ts's.

import { readdirSync } from "node:fs";
import type { Share } from "../../faults/memory-budget.js";
import {
	type AddressSpace,
	type Backing,
	type Extents,
	type MemoryWatcher,
	PAGE_SIZE,
} from "../../memory/address-space.js";
import { Errno, hex } from "../../uapi/errno.js";
import { addressOf, errno, errors, NativeMemory } from "../linux/libc.js";
import { lockedPagesOf } from "../linux/process-status.js";
import type { FilledMemory } from "./filled-memory.js";
import { KeptMemory } from "./kept-memory.js";
import { readRemote, writeRemote } from "./remote.js";
import type { SharedFiles } from "./shared-files.js";
import { ShownFile } from "./shown-file.js";
import { Vmas } from "./vma.js";

/** Up to here bytes go through memory whose address is known; for more it pays to find out where the array is. */
const STAGED = 4096;

const stage = new NativeMemory(STAGED);

/**
 * Both the address space and the backing of what is private in it: there, a page's number is that of its address.
 */
export class ProcessMemory implements AddressSpace, Backing {
	readonly name: string;
	/** Its thread group. */
	readonly process: number;
	/**
	 * The thread whose call is being answered, 0 when there is none. It is how the kernel is told whose memory is meant:
	 * as long as we have it stopped, its number can't become anybody else's.
	 */
	stopped = 0;
	watcher: MemoryWatcher | undefined;
	/** Set when pages of it may be filled by userfaultfd(2): then what a call reads and writes goes that way. */
	filled: FilledMemory | undefined;
	/** The processes that have it now: more than one after vfork(2). */
	readonly users = new Set<{ readonly id: number }>();
	readonly #vmas: Vmas;
	readonly #sharedFiles: SharedFiles;
	/** What was pinned when the memory was about to go, which an execve(2) that fails prevents. */
	#kept: KeptMemory | undefined;
	/** What that is charged to, and how much, in bytes. */
	#keptBudget: Share | undefined;
	#keptBytes = 0;
	#isGone = false;
	/** How often somebody has pages of it pinned. */
	#holders = 0;

	/** The memory that a thread has now. */
	constructor(process: number, thread: number, sharedFiles: SharedFiles) {
		this.name = `memory of process ${process}`;
		this.process = process;
		this.#vmas = new Vmas(thread);
		this.#sharedFiles = sharedFiles;
	}

	get alive(): boolean {
		return this.#vmas.alive;
	}

	/** VmLck, of which the kernel knows. */
	get selfLocked(): number {
		if (this.stopped !== 0) return lockedPagesOf(this.stopped) ?? 0;
		if (!this.alive) return 0;
		// Of a first thread that has ended, while others go on, /proc doesn't say it.
		for (const thread of [this.process, ...threadsOf(this.process)]) {
			const pages = lockedPagesOf(thread);
			if (pages !== undefined) return pages;
		}
		return 0;
	}

	read(address: number, into: Uint8Array): number {
		const done = this.#read(address, into);
		if (this.watcher !== undefined) this.watcher.read(this, address, into, done);
		return done;
	}

	#read(address: number, into: Uint8Array): number {
		const { length } = into;
		const kept = this.#keptInstead();
		if (kept !== undefined) return kept.read(address, into);
		if (this.filled !== undefined && this.stopped !== 0) return this.filled.read(this.stopped, address, into);
		if (length > STAGED) return this.#transfer(readRemote, address, addressOf(into), length);
		const done = this.#transfer(readRemote, address, stage.address, length);
		for (let i = 0; i < done; i++) into[i] = stage.bytes[i];
		return done;
	}

	write(address: number, from: Uint8Array): number {
		const done = this.#write(address, from);
		if (this.watcher !== undefined) this.watcher.write(this, address, from, done);
		return done;
	}

	#write(address: number, from: Uint8Array): number {
		const { length } = from;
		const kept = this.#keptInstead();
		if (kept !== undefined) return kept.write(address, from);
		if (this.filled !== undefined && this.stopped !== 0) {
			const writable = this.#writableFrom(address, length);
			this.filled.write(address, from.subarray(0, writable));
			return writable;
		}
		if (length > STAGED) return this.#transfer(writeRemote, address, addressOf(from), length);
		for (let i = 0; i < length; i++) stage.bytes[i] = from[i];
		return this.#transfer(writeRemote, address, stage.address, length);
	}

	resolve(first: number, count: number, writable: boolean, into: Extents): void {
		const vmas = this.#vmas;
		const end = (first + count) * PAGE_SIZE;
		vmas.refresh();
		for (let at = first * PAGE_SIZE; at < end; at = vmas.end) {
			if (!vmas.find(at))
				throw new Errno("EFAULT", `nothing is mapped at ${hex(at)} in process ${this.process}`, "memory-hole");
			// check_vma_flags() in mm/gup.c: who asks to write isn't asked whether it may read.
			if (writable && !vmas.writable)
				throw new Errno(
					"EFAULT",
					`the memory at ${hex(at)} can't be written: it is mapped without PROT_WRITE`,
					"memory-protection",
				);
			if (!writable && !vmas.readable)
				throw new Errno(
					"EFAULT",
					`the memory at ${hex(at)} can't be read: it is mapped without PROT_READ`,
					"memory-protection",
				);
			const pages = (Math.min(vmas.end, end) - at) / PAGE_SIZE;
			if (vmas.shared && vmas.inode !== 0) {
				const file = this.#sharedFiles.mapped(this, vmas, writable);
				const page = (vmas.offset + at - vmas.start) / PAGE_SIZE;
				const place = file instanceof ShownFile ? file.placeOf(page) : { backing: file, page };
				into.add(place.backing, place.page, pages);
			} else into.add(this, at / PAGE_SIZE, pages);
		}
	}

	/** How many of `length` bytes can be written, from an address on. */
	#writableFrom(address: number, length: number): number {
		const vmas = this.#vmas;
		vmas.refresh();
		let at = address;
		while (at < address + length && vmas.find(at) && vmas.writable) at = vmas.end;
		return Math.max(0, Math.min(at - address, length));
	}

	/** The area that an address is in now, if there is one. Good until the next question. */
	areaAt(address: number): Vmas | undefined {
		this.#vmas.refresh();
		return this.#vmas.find(address) ? this.#vmas : undefined;
	}

	hold(): void {
		this.#holders++;
	}

	drop(): void {
		if (--this.#holders === 0 && (this.#isGone || !this.alive)) this.#discardKept();
	}

	/**
	 * The memory is about to go: copies what has to be there afterwards.
	 * @param thread one that has it, stopped
	 * @param isCertain whether nothing can prevent it any more
	 * @param budget what the copy is charged to
	 * @throws ENOMEM; nothing is kept then
	 */
	keep(pinned: Extents, thread: number, isCertain: boolean, budget: Share): void {
		this.#discardKept();
		let pages = 0;
		for (let i = 0; i < pinned.length; i++) pages += pinned.count[i];
		budget.charge(pages * PAGE_SIZE);
		this.#keptBudget = budget;
		this.#keptBytes = pages * PAGE_SIZE;
		this.stopped = thread;
		this.#kept = new KeptMemory(pinned, (address, into) => this.read(address, into));
		this.stopped = 0;
		this.#isGone = isCertain;
	}

	/** It didn't go. */
	forgetKept(): void {
		this.#discardKept();
		this.#isGone = false;
	}

	#discardKept(): void {
		this.#kept = undefined;
		this.#keptBudget?.uncharge(this.#keptBytes);
		this.#keptBudget = undefined;
	}

	/** The copy, if that is what counts by now. The process's own calls see its memory to the end. */
	#keptInstead(): KeptMemory | undefined {
		if (this.#kept === undefined || this.stopped !== 0) return undefined;
		return this.#isGone || !this.alive ? this.#kept : undefined;
	}

	/** Call it when the process is gone, or has another memory. */
	close(): void {
		this.#vmas.close();
	}

	#transfer(call: typeof readRemote, address: number, local: number, length: number): number {
		if (this.stopped === 0) return this.#transferLater(call, address, local, length);
		const done = call(this.stopped, address, local, length);
		return done < 0 ? 0 : done;
	}

	/** What a device does when no call is being answered: any thread will do, but it must be one of this memory's. */
	#transferLater(call: typeof readRemote, address: number, local: number, length: number): number {
		if (!this.alive) return 0;
		const done = call(this.process, address, local, length);
		if (done >= 0) return done;
		if (errno() !== errors.ESRCH) return 0;
		// The first thread has ended, but others go on.
		for (const thread of threadsOf(this.process)) {
			const done = call(thread, address, local, length);
			if (done >= 0) return done;
		}
		return 0;
	}
}

function threadsOf(process: number): number[] {
	try {
		return readdirSync(`/proc/${process}/task`).map(Number);
	} catch {
		return [];
	}
}
