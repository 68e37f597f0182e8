// Pages of the file as we see them ourselves: plain memory, whoever else has them mapped.

import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../linux/flags.js";
import { errno, fallocate, mmap, munmap, SystemError, viewOf } from "../linux/libc.js";

// fallocate(2)
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;

/** Makes pages holes again, wherever they are mapped. */
export function makeHole(fd: number, { start, end }: { readonly start: number; readonly end: number }): void {
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start);
}

export class SharedPages {
	/** In the file, in bytes. */
	readonly start: number;
	readonly words: Int32Array<ArrayBuffer>;
	readonly #fd: number;
	readonly #address: number;

	/** @throws SystemError */
	constructor(fd: number, start: number, length: number) {
		this.#fd = fd;
		this.start = start;
		this.#address = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
		if (this.#address === -1) throw new SystemError("mmap", errno());
		this.words = new Int32Array(viewOf(this.#address, length));
	}

	/** Has what is in them forgotten, wherever they are mapped. */
	makeHole(): void {
		makeHole(this.#fd, { start: this.start, end: this.start + this.words.byteLength });
	}

	/** Nobody may use `words` any more. */
	close(): void {
		munmap(this.#address, this.words.byteLength);
	}
}
