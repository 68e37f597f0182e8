// The struct of the call that is under way, as the engine reads it and writes it: what a trace and a recording tell of. Nothing is read
// for their sake where the engine reads all of it itself.

import type { AddressSpace, MemoryWatcher } from "./address-space.js";

/** How long one can be, in bytes: an ioctl's number has 14 bits for it. */
export const LONGEST_STRUCT = 2 ** 14 - 1;

export class WatchedStruct implements MemoryWatcher {
	#space: AddressSpace | undefined;
	#address = 0;
	/** How long it is, as far as that is known, in bytes. */
	#size = 0;
	readonly #before = new Uint8Array(LONGEST_STRUCT);
	readonly #now = new Uint8Array(LONGEST_STRUCT);
	/** How much of it has been read. */
	#length = 0;
	#isWritten = false;

	/**
	 * A call begins.
	 * @param space where its struct is, at an address in bytes
	 * @param size what is known of its length; 0 for nothing
	 */
	begin(space: AddressSpace, address: number, size: number): void {
		this.#space = space;
		this.#address = address;
		this.#size = Math.min(size, LONGEST_STRUCT);
		this.#length = 0;
		this.#isWritten = false;
	}

	/** The call is over. */
	end(): void {
		this.#space = undefined;
	}

	/** As much of it as was read; undefined for nothing. Good until the next call begins. */
	get before(): Uint8Array | undefined {
		return this.#length === 0 ? undefined : this.#before.subarray(0, this.#length);
	}

	/** The same as the engine has left it; undefined if it wrote nothing. */
	get after(): Uint8Array | undefined {
		return this.#isWritten ? this.#now.subarray(0, this.#length) : undefined;
	}

	isIn(space: AddressSpace): boolean {
		return this.#space === space;
	}

	/**
	 * The engine has read something of the same memory.
	 * @param real where more can be read
	 * @param done how much could be read
	 * @returns whether it is a part of the struct, and as it was before
	 */
	read(real: AddressSpace, address: number, into: Uint8Array, done: number): boolean {
		const from = address - this.#address;
		if (this.#space === undefined || from < 0 || from > this.#length || from + done > LONGEST_STRUCT) return false;
		const known = Math.min(done, this.#length - from);
		for (let i = 0; i < known; i++) if (into[i] !== this.#now[from + i]) return false;
		if (done > known) {
			if (this.#isWritten) return false;
			this.#add(into, known, done);
			if (this.#length < this.#size) this.#readRest(real);
		}
		return done === into.length;
	}

	#add(bytes: Uint8Array, from: number, to: number): void {
		for (let i = from; i < to; i++)
			this.#before[this.#length + i - from] = this.#now[this.#length + i - from] = bytes[i];
		this.#length += to - from;
	}

	/** What another engine may read of it. */
	#readRest(real: AddressSpace): void {
		const rest = new Uint8Array(this.#size - this.#length);
		const space = this.#space;
		// It may be us who is told of it.
		this.#space = undefined;
		const done = real.read(this.#address + this.#length, rest);
		this.#space = space;
		this.#add(rest, 0, done);
	}

	/** The engine has written something to the same memory. @returns whether it is a part of the struct */
	write(_: AddressSpace, address: number, from: Uint8Array, done: number): boolean {
		const at = address - this.#address;
		if (this.#space === undefined || at < 0 || at + from.length > this.#length || done < from.length) return false;
		for (let i = 0; i < done; i++) this.#now[at + i] = from[i];
		this.#isWritten = true;
		return true;
	}
}
