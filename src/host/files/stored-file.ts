// A file of /sys that does something when it is written: drivers/vfio-pci/bind. fs/kernfs/file.c
//
// It is opened at one of the numbers at which we are asked about writes (QUEUE_FDS in filter.ts), so that who writes to it hears what came of
// it. A shell takes it to another number, where the kernel answers: what is written there lies in a memfd, and we take it up as soon
// as anybody could see a difference.

import type { PositionedFile, ReadableFile } from "../../files/open-file.js";
import { type AddressSpace, copyIn, copyOut, PAGE_SIZE } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { O_ACCMODE, O_RDONLY, O_WRONLY } from "../linux/flags.js";

export class StoredFile implements ReadableFile, PositionedFile {
	readonly path: string;
	readonly readable = true;
	readonly writable = true;
	onReadableChange: (() => void) | undefined;
	/** What is in it for who reads it. */
	readonly content: Uint8Array;
	readonly #mode: number;
	readonly #store: (text: string) => void;
	/** Where read(2) goes on. */
	#position = 0;

	/**
	 * @param flags of open(2)
	 * @param store what a write does @throws Errno
	 */
	constructor(path: string, flags: number, content: Uint8Array, store: (text: string) => void) {
		this.path = path;
		this.content = content;
		this.#mode = flags & O_ACCMODE;
		this.#store = store;
	}

	/** Does what was written. @throws Errno */
	store(text: Uint8Array): void {
		this.#store(Buffer.from(text).toString("latin1"));
	}

	read(memory: AddressSpace, address: number, length: number): number {
		const done = this.readAt(memory, address, length, this.#position);
		this.#position += done;
		return done;
	}

	write(memory: AddressSpace, address: number, length: number): number {
		return this.writeAt(memory, address, length);
	}

	readAt(memory: AddressSpace, address: number, length: number, position: number): number {
		if (this.#mode === O_WRONLY) throw new Errno("EBADF", `${this.path} is open for writing only`);
		const piece = this.content.subarray(position, position + length);
		copyOut(memory, address, piece, `what is in ${this.path}`);
		return piece.length;
	}

	/** What is written is one text, wherever in the file it is written. */
	writeAt(memory: AddressSpace, address: number, length: number): number {
		if (this.#mode === O_RDONLY) throw new Errno("EBADF", `${this.path} is open for reading only`);
		const text = new Uint8Array(Math.min(length, PAGE_SIZE));
		if (text.length === 0) return 0;
		copyIn(memory, address, text, `what is written to ${this.path}`);
		this.store(text);
		return text.length;
	}

	placeAt(): string {
		return this.path;
	}

	ioctl(): number {
		throw new Errno("ENOTTY", `${this.path} has no ioctls: it is read and written`);
	}

	release(): void {}
}
