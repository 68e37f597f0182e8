// A disk image in a file: raw, block after block. pread(2), pwrite(2), fallocate(2), fdatasync(2)

import { closeSync, constants, openSync } from "node:fs";
import type { BlockStore } from "../../devices/block-store.js";
import { addressOf, errno, errorName, errors, fallocate, fdatasync, flock, pread, pwrite } from "../linux/libc.js";
import { statOf } from "../linux/stat.js";

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const ZEROES = 64 * 1024;

export class BlockFile implements BlockStore {
	readonly size: number;
	readonly isReadOnly: boolean;
	readonly #path: string;
	readonly #fd: number;

	/** @throws Error that says why it can't be had */
	constructor(path: string, isReadOnly: boolean) {
		this.#path = path;
		this.isReadOnly = isReadOnly;
		try {
			this.#fd = openSync(path, isReadOnly ? constants.O_RDONLY : constants.O_RDWR);
		} catch (error) {
			throw new Error(`${path} can't be opened: ${(error as NodeJS.ErrnoException).code}`);
		}
		try {
			this.size = this.#check();
		} catch (error) {
			closeSync(this.#fd);
			throw error;
		}
	}

	/** Two who write to one image would spoil it. @returns its size */
	#check(): number {
		const stat = statOf(this.#fd);
		if (!stat?.isRegular) throw new Error(`${this.#path} is no file: an image is expected here`);
		if (flock(this.#fd, (this.isReadOnly ? LOCK_SH : LOCK_EX) | LOCK_NB) === -1 && errno() === errors.EWOULDBLOCK)
			throw new Error(`${this.#path} is in use: another program has locked it`);
		return stat.size;
	}

	read(position: number, into: Uint8Array): void {
		const address = addressOf(into);
		for (let done = 0; done < into.length; ) {
			const length = pread(this.#fd, address + done, into.length - done, position + done);
			if (length <= 0) this.#failed("read", length);
			done += length;
		}
	}

	write(position: number, from: Uint8Array): void {
		const address = addressOf(from);
		for (let done = 0; done < from.length; ) {
			const length = pwrite(this.#fd, address + done, from.length - done, position + done);
			if (length <= 0) this.#failed("written", length);
			done += length;
		}
	}

	discard(position: number, length: number): void {
		if (length === 0) return;
		if (fallocate(this.#fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length) === 0) return;
		// Not every file system can have holes.
		const zeroes = new Uint8Array(Math.min(length, ZEROES));
		for (let done = 0; done < length; done += zeroes.length)
			this.write(position + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)));
	}

	flush(): void {
		if (fdatasync(this.#fd) === -1) this.#failed("flushed", -1);
	}

	close(): void {
		closeSync(this.#fd);
	}

	#failed(what: string, result: number): never {
		throw new Error(`${this.#path} can't be ${what}: ${result === 0 ? "it has become shorter" : errorName(errno())}`);
	}
}
