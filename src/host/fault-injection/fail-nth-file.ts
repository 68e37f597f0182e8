// /proc/PID/task/TID/fail-nth: which place on a thread's way fails. proc_fail_nth_operations in fs/proc/base.c;
// Documentation/fault-injection/fault-injection.rst

import type { FaultyTask } from "../../faults/fault-attr.js";
import type { PositionedFile, ReadableFile } from "../../files/open-file.js";
import { type AddressSpace, copyIn, copyOut } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { O_ACCMODE, O_RDONLY, O_WRONLY } from "../linux/flags.js";
import { parseNumber } from "../linux/kernel-numbers.js";

/** A longer text is no number, however many zeroes it begins with. */
const MOST_BYTES = 34;
const LAST_UINT = 2 ** 32 - 1;

/** A thread that may be gone. */
export interface NthTask extends FaultyTask {
	readonly alive: boolean;
}

export class FailNthFile implements ReadableFile, PositionedFile {
	readonly path: string;
	readonly readable = true;
	readonly writable = true;
	onReadableChange: (() => void) | undefined;
	/** Of open(2): O_RDONLY, O_WRONLY or O_RDWR. */
	readonly #mode: number;
	readonly #task: NthTask;
	readonly #closed: () => void;
	/** Where read(2) goes on. Writes leave it alone. */
	#position = 0;

	/**
	 * @param flags of open(2)
	 * @param closed called at the file's end
	 */
	constructor(path: string, flags: number, task: NthTask, closed: () => void) {
		this.path = path;
		this.#mode = flags & O_ACCMODE;
		this.#task = task;
		this.#closed = closed;
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
		if (this.#mode === O_WRONLY) throw new Errno("EBADF", "fail-nth is open for writing only", "access-mode");
		const text = Buffer.from(`${this.#alive().failNth}\n`, "latin1").subarray(position, position + length);
		copyOut(memory, address, text, "what is left of fail-nth");
		return text.length;
	}

	writeAt(memory: AddressSpace, address: number, length: number): number {
		if (this.#mode === O_RDONLY) throw new Errno("EBADF", "fail-nth is open for reading only", "access-mode");
		const text = Buffer.alloc(Math.min(length, MOST_BYTES));
		copyIn(memory, address, text, "a number for fail-nth");
		const number = parseNumber(text.toString("latin1"));
		if (number === undefined || number < 0) throw new Errno("EINVAL", "what is written to fail-nth is not a number");
		if (number > LAST_UINT) throw new Errno("ERANGE", `what is written to fail-nth is more than ${LAST_UINT}`);
		this.#alive().failNth = number;
		return length;
	}

	placeAt(): string {
		return "fail-nth";
	}

	/** @throws ESRCH */
	#alive(): NthTask {
		if (!this.#task.alive) throw new Errno("ESRCH", `the thread that ${this.path} was about is gone`);
		return this.#task;
	}

	ioctl(): number {
		throw new Errno("ENOTTY", "fail-nth has no ioctls: it is read and written");
	}

	release(): void {
		this.#closed();
	}
}
