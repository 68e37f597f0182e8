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

/** Whom pinned pages are counted for: nobody (CAP_IPC_LOCK), the user, or the process (as VFIO does). */
export type AccountMode = "none" | "user" | "mm";

/** Pages of 4096 bytes that are counted, for one machine. */
export class Memlock {
	readonly #users = new Map<number, number>();
	readonly #spaces = new Map<AddressSpace, number>();

	/**
	 * Counts `pages` more for the owner or the address space.
	 * @throws ENOMEM when that would exceed the owner's RLIMIT_MEMLOCK; nothing is counted then
	 */
	charge(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		if (mode === "none") return;
		const limit = Math.floor(owner.memlockLimit() / PAGE_SIZE);
		const now = this.counted(mode, owner, space);
		if (now + pages > limit)
			throw new Errno(
				"ENOMEM",
				`${mode === "user" ? `user ${owner.uid}` : space.name} has ${now} pages locked, and ${pages} more exceed RLIMIT_MEMLOCK (${limit} pages)`,
			);
		this.#set(mode, owner, space, now + pages);
	}

	/** Counts `pages` fewer, which were charged with the same arguments before. */
	uncharge(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		if (mode !== "none") this.#set(mode, owner, space, this.counted(mode, owner, space) - pages);
	}

	/** Pages that are counted now. */
	counted(mode: AccountMode, owner: MemoryOwner, space: AddressSpace): number {
		if (mode === "none") return 0;
		return (mode === "user" ? this.#users.get(owner.uid) : this.#spaces.get(space)) ?? 0;
	}

	#set(mode: AccountMode, owner: MemoryOwner, space: AddressSpace, pages: number): void {
		if (mode === "user") setOrDelete(this.#users, owner.uid, pages);
		else setOrDelete(this.#spaces, space, pages);
	}
}

function setOrDelete<Key>(map: Map<Key, number>, key: Key, value: number): void {
	if (value === 0) map.delete(key);
	else map.set(key, value);
}
