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
		this.#each(position, into.length, (index, from, done, length) => {
			const chunk = this.#chunks.get(index);
			if (chunk === undefined) into.fill(0, done, done + length);
			else into.set(chunk.subarray(from, from + length), done);
		});
	}

	write(position: number, from: Uint8Array): void {
		this.#each(position, from.length, (index, at, done, length) => {
			let chunk = this.#chunks.get(index);
			if (chunk === undefined) {
				chunk = new Uint8Array(CHUNK);
				this.#chunks.set(index, chunk);
			}
			chunk.set(from.subarray(done, done + length), at);
		});
	}

	discard(position: number, length: number): void {
		this.#each(position, length, (index, at, _done, part) => {
			if (part === CHUNK) this.#chunks.delete(index);
			else this.#chunks.get(index)?.fill(0, at, at + part);
		});
	}

	flush(): void {}

	close(): void {
		this.#chunks.clear();
	}

	/** Chunk by chunk: which, from where in it, how many bytes are done, and how many come now. */
	#each(
		position: number,
		length: number,
		action: (index: number, from: number, done: number, length: number) => void,
	): void {
		for (let done = 0; done < length; ) {
			const at = position + done;
			const from = at % CHUNK;
			const part = Math.min(CHUNK - from, length - done);
			action(Math.floor(at / CHUNK), from, done, part);
			done += part;
		}
	}
}
