// The memory of a thread that waits for the answer to its call, as far as a device thread copies from it and to it.

import type { Readable, Writable } from "../../memory/address-space.js";
import { NativeMemory } from "../linux/libc.js";
import { readRemote, writeRemote } from "../memory/remote.js";

/** More is never copied at once: a piece of what BarWindow splits an access into. */
const PIECE = 4096;

export class RemoteMemory implements Readable, Writable {
	/** Whose it is: set before it is used. */
	thread = 0;
	readonly #stage = new NativeMemory(PIECE);

	read(address: number, into: Uint8Array): number {
		const { bytes, address: stage } = this.#stage;
		const done = Math.max(0, readRemote(this.thread, address, stage, into.length));
		for (let i = 0; i < done; i++) into[i] = bytes[i];
		return done;
	}

	write(address: number, from: Uint8Array): number {
		const { bytes, address: stage } = this.#stage;
		for (let i = 0; i < from.length; i++) bytes[i] = from[i];
		return Math.max(0, writeRemote(this.thread, address, stage, from.length));
	}
}
