// What was pinned of a process's private memory when the process went: in Linux the pages live on as long as somebody holds
// them, here a copy does.

import { type Extents, PAGE_SIZE } from "../../memory/address-space.js";
import { worked } from "../../uapi/slices.js";

/** In pages, 64 MiB: more isn't kept, because a process that ends waits for the copy. */
export const MOST_KEPT = 2 ** 14;

/** So many bytes are copied at a time. */
const PIECE = 2 ** 20;

interface Stretch {
	/** Address of the first byte, and one past the last. */
	readonly start: number;
	readonly end: number;
	readonly bytes: Uint8Array;
}

export class KeptMemory {
	/** In the order of their addresses. */
	readonly #stretches: Stretch[] = [];

	/**
	 * @param pinned stretches of pages, whose numbers are those of their addresses
	 * @param read copies from an address on; what it can't read isn't kept
	 */
	constructor(pinned: Extents, read: (address: number, into: Uint8Array) => number) {
		for (let i = 0; i < pinned.length; i++) {
			const bytes = new Uint8Array(pinned.count[i] * PAGE_SIZE);
			const first = pinned.page[i] * PAGE_SIZE;
			for (let at = 0; at < bytes.length; ) {
				const done = read(first + at, bytes.subarray(at, at + PIECE));
				worked(PIECE >> 4);
				const end = at + done;
				if (done > 0) this.#stretches.push({ start: first + at, end: first + end, bytes: bytes.subarray(at, end) });
				// A page that has been unmapped since is lost.
				at = done === PIECE ? end : (Math.floor(end / PAGE_SIZE) + 1) * PAGE_SIZE;
			}
		}
		this.#stretches.sort((one, other) => one.start - other.start);
	}

	/** Copies from an address on; returns how many bytes there were. */
	read(address: number, into: Uint8Array): number {
		return this.#each(address, into.length, (part, done) => into.set(part, done));
	}

	write(address: number, from: Uint8Array): number {
		return this.#each(address, from.length, (part, done) => part.set(from.subarray(done, done + part.length)));
	}

	#each(address: number, length: number, copy: (part: Uint8Array, done: number) => void): number {
		let done = 0;
		for (const { start, end, bytes } of this.#stretches) {
			const at = address + done;
			if (at >= end) continue;
			if (at < start || done === length) break;
			const part = bytes.subarray(at - start, Math.min(end - start, at - start + length - done));
			copy(part, done);
			done += part.length;
		}
		return done;
	}
}
