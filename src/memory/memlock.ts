// Pinned memory counted against RLIMIT_MEMLOCK. getrlimit(2); IOMMU_OPTION_RLIMIT_MODE in include/uapi/linux/iommufd.h.

import { Errno } from "../uapi/errno.js";
import { type AddressSpace, PAGE_SIZE } from "./address-space.js";

/** The process as accounting sees it: whose limit, and which limit. One object as long as the process lives. */
export interface MemoryOwner {
	/** Real user id: pages are counted per user in the "user" mode. */
	readonly uid: number;
	/** RLIMIT_MEMLOCK now, in bytes, Infinity for none. */
	memlockLimit(): number;
}

/** An owner as it is now: what is counted for a user stays that user's, whoever the process becomes with setuid(2). */
export function asItIs(owner: MemoryOwner): MemoryOwner {
	const { uid } = owner;
	return { uid, memlockLimit: () => owner.memlockLimit() };
}

/** Whom pinned pages are counted for: nobody (CAP_IPC_LOCK), the user, or the process (as VFIO does). */
export type AccountMode = "none" | "user" | "mm";

/** Whose memory it is, and for whom it is counted. */
export interface Account {
	readonly mode: AccountMode;
	/** As it was when the memory was mapped. */
	readonly owner: MemoryOwner;
	readonly space: AddressSpace;
}

/** Pages of 4096 bytes that are counted, for one machine. */
export class Memlock {
	/** What account() made last, and of whom: the next mapping is likely to be of the same process. */
	#lastAccount: Account | undefined;
	#lastOwner: MemoryOwner | undefined;
	/** By user id, of the mode "user": user_struct's locked_vm. */
	readonly #users = new Map<number, number>();
	/** Of the mode "mm": what is counted here of mm_struct's locked_vm. VmLck in /proc/PID/status is that and what the process locked itself. */
	readonly #locked = new Map<AddressSpace, number>();
	/** Of all modes: mm_struct's pinned_vm, VmPin in /proc/PID/status. It is only shown, and has no limit. */
	readonly #pinned = new Map<AddressSpace, number>();

	/** The account of an owner as it is now. One object serves all mappings that are alike, because there may be a million. */
	account(mode: AccountMode, owner: MemoryOwner, space: AddressSpace): Account {
		const last = this.#lastAccount;
		if (last !== undefined && this.#lastOwner === owner && last.mode === mode && last.space === space)
			if (last.owner.uid === owner.uid) return last;
		this.#lastOwner = owner;
		this.#lastAccount = { mode, owner: asItIs(owner), space };
		return this.#lastAccount;
	}

	/**
	 * Counts `pages` more for the owner or the address space.
	 * @throws ENOMEM when that would exceed the owner's RLIMIT_MEMLOCK; nothing is counted then
	 */
	charge(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		if (mode !== "none") this.#checkLimit(mode, owner, space, pages);
		this.#add(mode, owner, space, pages);
	}

	/** Counts `pages` fewer, which were charged with the same arguments before. */
	uncharge(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		this.#add(mode, owner, space, -pages);
	}

	/**
	 * Counts `pages` more as locked by a process, and not as pinned, as VFIO's type 1 does: account_locked_vm().
	 * @param owner whose limit counts; undefined for one without
	 * @throws ENOMEM when that would exceed the owner's RLIMIT_MEMLOCK; nothing is counted then
	 */
	lock(space: AddressSpace, owner: MemoryOwner | undefined, pages: number): void {
		if (pages === 0) return;
		if (owner !== undefined) this.#checkLimit("mm", owner, space, pages);
		add(this.#locked, space, pages);
	}

	/** Undoes lock(). */
	unlock(space: AddressSpace, pages: number): void {
		if (pages > 0) add(this.#locked, space, -pages);
	}

	/** Pages that are counted here now. */
	counted(mode: AccountMode, owner: MemoryOwner, space: AddressSpace): number {
		if (mode === "none") return 0;
		return (mode === "user" ? this.#users.get(owner.uid) : this.#locked.get(space)) ?? 0;
	}

	/** What /proc/PID/status says of a process: VmPin and VmLck, in pages. */
	shown(space: AddressSpace): { readonly pinned: number; readonly locked: number } {
		return { pinned: this.#pinned.get(space) ?? 0, locked: this.#locked.get(space) ?? 0 };
	}

	#checkLimit(mode: "user" | "mm", owner: MemoryOwner, space: AddressSpace, pages: number): void {
		const limit = Math.floor(owner.memlockLimit() / PAGE_SIZE);
		if (limit === Number.POSITIVE_INFINITY) return;
		const here = this.counted(mode, owner, space);
		if (mode === "user") {
			if (here + pages <= limit) return;
			throw new Errno(
				"ENOMEM",
				`user ${owner.uid} has ${here} pages locked, and ${pages} more exceed RLIMIT_MEMLOCK, ${limitInWords(limit)}`,
				"memlock",
			);
		}
		// __account_locked_vm() in mm/util.c
		const own = space.selfLocked;
		if (here + own + pages <= limit) return;
		throw new Errno(
			"ENOMEM",
			`${space.name} has ${here} pages pinned and ${own} locked by mlock(2), and ${pages} more exceed its RLIMIT_MEMLOCK, ${limitInWords(limit)}`,
			"memlock",
		);
	}

	#add(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		add(this.#pinned, space, pages);
		if (mode === "user") add(this.#users, owner.uid, pages);
		else if (mode === "mm") add(this.#locked, space, pages);
	}
}

function add<Key>(counts: Map<Key, number>, key: Key, change: number): void {
	const count = (counts.get(key) ?? 0) + change;
	if (count === 0) counts.delete(key);
	else counts.set(key, count);
}

/** "16 pages (64 KiB)": `ulimit -l` says it in KiB. */
function limitInWords(pages: number): string {
	return `${pages} ${pages === 1 ? "page" : "pages"} (${(pages * PAGE_SIZE) / 1024} KiB)`;
}
