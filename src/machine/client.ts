// A program without a process, for those who use the engine as a library: its memory is arrays, and its fds are a table.

import type { Caller, CallerFile } from "../files/caller.js";
import { isPositioned, type OpenFile, type PositionedFile } from "../files/open-file.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { ArraySpace } from "../memory/array-space.js";
import type { MemoryOwner } from "../memory/memlock.js";
import { Errno } from "../uapi/errno.js";
import type { FieldTable } from "../uapi/field.js";
import { type Command, encode } from "../uapi/struct.js";
import type { Values, WritableView } from "../uapi/view.js";
import type { Machine } from "./machine.js";

/** Where the client keeps what it hands to a call: a struct, or the bytes of a register. */
const ARGUMENT = 0x1000_0000;
/** In bytes: as much as the longest struct, and more than the longest access. */
const ARGUMENT_LENGTH = 0x1_0000;
/** Where its own memory begins. */
const FIRST_MAPPING = 0x7f00_0000_0000;

/** Memory of its own, as mmap(2) gives it: private, anonymous. */
export interface ClientMemory {
	/** In the client's address space, in bytes: a `user_va`. */
	readonly address: bigint;
	readonly bytes: Uint8Array;
}

export class Client implements Caller {
	readonly thread = 1;
	readonly memory = new ArraySpace("client");
	readonly owner: MemoryOwner = { uid: 0, memlockLimit: () => Number.POSITIVE_INFINITY };
	readonly #machine: Machine;
	readonly #files = new Map<number, OpenFile>();
	#nextFd = 3;
	#nextAddress = FIRST_MAPPING;

	/** One who may do everything. */
	constructor(machine: Machine) {
		this.#machine = machine;
		this.memory.map(ARGUMENT, ARGUMENT_LENGTH);
	}

	capable(): boolean {
		return true;
	}

	file(fd: number): CallerFile | undefined {
		const file = this.#files.get(fd);
		return file && { kind: "ours", file };
	}

	install(file: OpenFile): number {
		this.#files.set(this.#nextFd, file);
		return this.#nextFd++;
	}

	/**
	 * open(2) of a file of the machine.
	 * @returns the fd
	 * @throws ENOENT where the machine serves no such path, EBUSY, EPERM
	 */
	open(path: string): number {
		const file = this.#machine.open(path, this);
		if (file === undefined) throw new Errno("ENOENT", this.#machine.whyMissing(path) ?? `${path} isn't served`);
		return this.install(file);
	}

	/** mmap(2) of new memory. @param length in bytes, rounded up to whole pages */
	mmap(length: number): ClientMemory {
		const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
		const address = this.#nextAddress;
		this.#nextAddress += size + PAGE_SIZE;
		return { address: BigInt(address), bytes: this.memory.map(address, size) };
	}

	/**
	 * ioctl(2) with a struct.
	 * @returns the struct as it is afterwards
	 * @throws Errno whatever the call answers; EBADF for an fd that isn't open
	 */
	ioctl<F extends FieldTable>(fd: number, command: Command<F>, values: Partial<Values<F>> = {}): WritableView<F> {
		const file = this.#open(fd);
		const view = command.newView();
		view.bytes.set(encode(command, values));
		this.memory.write(ARGUMENT, view.bytes);
		file.ioctl(this, command.number, ARGUMENT);
		this.memory.read(ARGUMENT, view.bytes);
		return view;
	}

	/** pread(2) of 1 to 8 bytes: a register, little endian. @throws Errno; ESPIPE for what isn't read at positions */
	read(fd: number, position: number, size: number): bigint {
		this.#positioned(fd).readAt(this.memory, ARGUMENT, size, position);
		const bytes = new Uint8Array(8);
		this.memory.read(ARGUMENT, bytes.subarray(0, size));
		return new DataView(bytes.buffer).getBigUint64(0, true);
	}

	/** pwrite(2) of 1 to 8 bytes. @throws Errno; ESPIPE for what isn't written at positions */
	write(fd: number, position: number, size: number, value: bigint): void {
		const bytes = new Uint8Array(8);
		new DataView(bytes.buffer).setBigUint64(0, value, true);
		this.memory.write(ARGUMENT, bytes.subarray(0, size));
		this.#positioned(fd).writeAt(this.memory, ARGUMENT, size, position);
	}

	/** close(2). @throws EBADF */
	close(fd: number): void {
		const file = this.#open(fd);
		this.#files.delete(fd);
		file.release();
	}

	#open(fd: number): OpenFile {
		const file = this.#files.get(fd);
		if (file === undefined) throw new Errno("EBADF", `fd ${fd} isn't open`);
		return file;
	}

	#positioned(fd: number): PositionedFile {
		const file = this.#open(fd);
		if (!isPositioned(file)) throw new Errno("ESPIPE", `${file.path} has no positions`);
		return file;
	}
}
