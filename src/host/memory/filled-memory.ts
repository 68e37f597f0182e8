// Memory of a process in which pages are filled by userfaultfd(2): whoever reads or writes a page that is missing waits until that has been
// done. So the supervisor does neither.
//
// What a call reads is copied by another thread; the call is put aside meanwhile, and made again with what was read. What it writes is
// written when it has been made, by such a thread, too, and the call is answered after that. Whether it can be written is known before.

import { Later } from "../../uapi/later.js";
import type { ParkedCalls } from "../trap/parked-calls.js";
import { type CopyThreads, MOST_COPIED } from "./copy-threads.js";

/** A read of a call that is made again. */
interface Read {
	readonly address: number;
	readonly length: number;
	readonly bytes: Uint8Array;
}

interface Write {
	readonly address: number;
	readonly bytes: Uint8Array;
}

export class FilledMemory {
	readonly #parked: ParkedCalls;
	readonly #threads: CopyThreads;
	/** Of the call that is under way. */
	#writes: Write[] = [];

	constructor(parked: ParkedCalls, threads: CopyThreads) {
		this.#parked = parked;
		this.#threads = threads;
	}

	/**
	 * Reads what was read before the call was put aside.
	 * @param thread whose call it is
	 * @throws Later when that is to be done yet
	 */
	read(thread: number, address: number, into: Uint8Array): number {
		let done = 0;
		while (done < into.length) {
			const length = Math.min(MOST_COPIED, into.length - done);
			const bytes = this.#readPiece(thread, address + done, length);
			into.set(bytes, done);
			done += bytes.length;
			if (bytes.length < length) break;
		}
		for (const write of this.#writes) overlay(write, address, into.subarray(0, done));
		return done;
	}

	/** Notes that something is to be written before the call is answered. */
	write(address: number, from: Uint8Array): void {
		for (let at = 0; at < from.length; at += MOST_COPIED)
			this.#writes.push({ address: address + at, bytes: from.slice(at, at + MOST_COPIED) });
	}

	/** Undoes takeWrites(). */
	putBack(writes: readonly Write[]): void {
		this.#writes = [...writes];
	}

	/** What the call was to write, which has come to its end or is made again. */
	takeWrites(): readonly Write[] {
		const writes = this.#writes;
		this.#writes = [];
		return writes;
	}

	/** Writes it. @param thread whose call it is, stopped */
	carryOut(thread: number, writes: readonly Write[], done: () => void): void {
		const [first, ...others] = writes;
		if (first === undefined) {
			done();
			return;
		}
		const { address, bytes } = first;
		this.#threads.add({ thread, address, bytes, length: 0, done: () => this.carryOut(thread, others, done) });
	}

	#readPiece(thread: number, address: number, length: number): Uint8Array {
		for (const known of this.#parked.outcomesBy(this) as Iterable<Read>)
			if (known.address === address && known.length === length) return known.bytes;
		throw new Later("a page of the caller's memory may have to be filled first", (call) => {
			this.#threads.add({
				thread,
				address,
				bytes: undefined,
				length,
				done: (_copied, bytes) => {
					this.#parked.noteOutcome(call, this, { address, length, bytes: bytes.slice() } satisfies Read);
					call.makeAgain();
				},
			});
		});
	}
}

/** Puts what is to be written where it would be read. */
function overlay({ address, bytes }: Write, start: number, into: Uint8Array): void {
	const from = Math.max(address, start);
	const to = Math.min(address + bytes.length, start + into.length);
	if (from < to) into.set(bytes.subarray(from - address, to - address), from - start);
}
