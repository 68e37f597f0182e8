// Pages of the file as we see them ourselves: plain memory, whoever else has them mapped.

import { MAP_SHARED, PROT_READ, PROT_WRITE } from "../linux/flags.js";
import { errno, mmap, munmap, SystemError, viewOf } from "../linux/libc.js";

export class SharedPages {
	/** In the file, in bytes. */
	readonly start: number;
	readonly words: Int32Array<ArrayBuffer>;
	readonly #address: number;

	/** @throws SystemError */
	constructor(fd: number, start: number, length: number) {
		this.start = start;
		this.#address = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
		if (this.#address === -1) throw new SystemError("mmap", errno());
		this.words = new Int32Array(viewOf(this.#address, length));
	}

	/** Nobody may use `words` any more. */
	close(): void {
		munmap(this.#address, this.words.byteLength);
	}
}
