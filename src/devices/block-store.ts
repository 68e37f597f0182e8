// What is behind a disk: bytes that can be read and written at any position.

/** Positions and lengths are in bytes, and within `size`: whoever calls has checked that. */
export interface BlockStore {
	readonly size: number;
	readonly isReadOnly: boolean;
	/** @throws Error when the medium fails */
	read(position: number, into: Uint8Array): void;
	/** @throws Error when the medium fails, or is full */
	write(position: number, from: Uint8Array): void;
	/** Makes a stretch read as zeroes, and gives its room back where that can be done. */
	discard(position: number, length: number): void;
	/** What was written until now survives a loss of power. */
	flush(): void;
	close(): void;
}

const CHUNK = 64 * 1024;

/** In memory, which it takes as it is written. What was never written reads as zeroes. */
export class MemoryStore implements BlockStore {
	readonly size: number;
	readonly isReadOnly = false;
	readonly #chunks = new Map<number, Uint8Array>();

	constructor(size: number) {
		this.size = size;
	}

	read(position: number, into: Uint8Array): void {
		for (let done = 0; done < into.length; ) {
			const index = Math.floor((position + done) / CHUNK);
			const from = position + done - index * CHUNK;
			const length = Math.min(CHUNK - from, into.length - done);
			const chunk = this.#chunks.get(index);
			if (chunk === undefined) into.fill(0, done, done + length);
			else into.set(chunk.subarray(from, from + length), done);
			done += length;
		}
	}

	write(position: number, from: Uint8Array): void {
		for (let done = 0; done < from.length; ) {
			const index = Math.floor((position + done) / CHUNK);
			const at = position + done - index * CHUNK;
			const length = Math.min(CHUNK - at, from.length - done);
			let chunk = this.#chunks.get(index);
			if (chunk === undefined) {
				chunk = new Uint8Array(CHUNK);
				this.#chunks.set(index, chunk);
			}
			chunk.set(length === from.length ? from : from.subarray(done, done + length), at);
			done += length;
		}
	}

	discard(position: number, length: number): void {
		const end = position + length;
		const first = Math.ceil(position / CHUNK);
		const afterLast = Math.floor(end / CHUNK);
		if (first > afterLast) {
			this.#clear(position, end);
			return;
		}
		this.#clear(position, first * CHUNK);
		this.#clear(afterLast * CHUNK, end);
		// A large store may have few chunks.
		if (afterLast - first > this.#chunks.size) {
			for (const index of this.#chunks.keys()) if (index >= first && index < afterLast) this.#chunks.delete(index);
		} else for (let index = first; index < afterLast; index++) this.#chunks.delete(index);
	}

	/** A part of one chunk. */
	#clear(from: number, to: number): void {
		const index = Math.floor(from / CHUNK);
		if (from < to) this.#chunks.get(index)?.fill(0, from - index * CHUNK, to - index * CHUNK);
	}

	flush(): void {}

	close(): void {
		this.#chunks.clear();
	}
}
