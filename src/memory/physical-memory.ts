// Physical memory as what comes out of an IOMMU addresses it: the pages that are pinned.

import { PAGE_SIZE } from "./address-space.js";
import { type Frames, Location } from "./frames.js";

const found = new Location();
const entry = new Int32Array(2);
const entryBytes = new Uint8Array(entry.buffer);

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

	/**
	 * Reads two words of 32 bits.
	 * @param offset in the frame (of 4 KiB), a multiple of 4; both words are in it
	 * @returns false if there is no memory
	 */
	readEntry(frame: number, offset: number, into: Int32Array): boolean {
		if (!this.#frames.locateInto(frame, found)) return false;
		const { backing } = found;
		const at = found.page * PAGE_SIZE + offset;
		if (backing.readEntry !== undefined) return backing.readEntry(at, into);
		const read = backing.read(at, entryBytes);
		into[0] = entry[0]!;
		into[1] = entry[1]!;
		return read === entryBytes.length;
	}

	#copy(address: number, data: Uint8Array, write: boolean): number {
		let done = 0;
		while (done < data.length) {
			const frame = Math.floor((address + done) / PAGE_SIZE);
			if (!this.#frames.locateInto(frame, found)) return done;
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
