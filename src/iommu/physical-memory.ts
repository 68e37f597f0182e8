// Physical memory as what comes out of an IOMMU addresses it: the pages that are pinned.

import { PAGE_SIZE } from "../memory/address-space.js";
import type { Frames } from "../memory/frames.js";

export class PhysicalMemory {
	readonly #frames: Frames;

	constructor(frames: Frames) {
		this.#frames = frames;
	}

	/** Copies from `address` (bytes) on; returns how many bytes could be read before the first that can't. */
	read(address: number, into: Uint8Array): number {
		return this.#copy(address, into, false);
	}

	/** The same, writing. */
	write(address: number, from: Uint8Array): number {
		return this.#copy(address, from, true);
	}

	#copy(address: number, data: Uint8Array, write: boolean): number {
		let done = 0;
		while (done < data.length) {
			const frame = Math.floor((address + done) / PAGE_SIZE);
			const found = this.#frames.locate(frame);
			if (found === undefined) return done;
			const offset = address + done - frame * PAGE_SIZE;
			const length = Math.min(data.length - done, found.count * PAGE_SIZE - offset);
			const piece = length === data.length ? data : data.subarray(done, done + length);
			const at = found.page * PAGE_SIZE + offset;
			const copied = write ? found.backing.write(at, piece) : found.backing.read(at, piece);
			done += copied;
			if (copied < piece.length) return done;
		}
		return done;
	}
}
