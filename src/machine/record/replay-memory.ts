// Memory out of a recording: it has what the engine read when it was recorded, and keeps what is written to it.

import { type AddressSpace, type Backing, type Extents, PAGE_SIZE } from "../../memory/address-space.js";
import type { MemoryOwner } from "../../memory/memlock.js";
import type { Name } from "../../trace/record.js";
import { Errno, hex } from "../../uapi/errno.js";
import type { Knowledge } from "./knowledge.js";
import { type ReplayQuestions, sameBytes } from "./replay-questions.js";

/** A page of which some bytes are known. */
interface KnownPage {
	readonly bytes: Uint8Array;
	/** A bit for each byte: whether it is known. */
	readonly known: Uint8Array;
}

/** Bytes by address, as far as any are known. */
class KnownBytes {
	readonly #pages = new Map<number, KnownPage>();

	learn(address: number, bytes: Uint8Array): void {
		for (let done = 0; done < bytes.length; ) {
			const number = Math.floor((address + done) / PAGE_SIZE);
			const offset = address + done - number * PAGE_SIZE;
			const length = Math.min(PAGE_SIZE - offset, bytes.length - done);
			let page = this.#pages.get(number);
			if (page === undefined) {
				page = { bytes: new Uint8Array(PAGE_SIZE), known: new Uint8Array(PAGE_SIZE / 8) };
				this.#pages.set(number, page);
			}
			page.bytes.set(bytes.subarray(done, done + length), offset);
			for (let at = offset; at < offset + length; at++) page.known[at >> 3]! |= 1 << (at & 7);
			done += length;
		}
	}

	/** Up to the first byte that isn't known. */
	read(address: number, into: Uint8Array): number {
		for (let done = 0; done < into.length; done++) {
			const number = Math.floor((address + done) / PAGE_SIZE);
			const page = this.#pages.get(number);
			const at = address + done - number * PAGE_SIZE;
			if (page === undefined || !(page.known[at >> 3]! & (1 << (at & 7)))) return done;
			into[done] = page.bytes[at]!;
		}
		return into.length;
	}
}

/** What the ioctl's entry says of the struct that it points to. */
export interface ReplayedStruct {
	readonly space: ReplaySpace;
	readonly address: number;
	readonly bytes: Uint8Array;
	written: boolean;
}

export class ReplaySpace implements AddressSpace {
	readonly id: Name;
	readonly name: string;
	/** The struct of the call that is under way, where it is in this memory. */
	struct: ReplayedStruct | undefined;
	readonly #questions: ReplayQuestions;
	readonly #backingOf: (name: Name) => Backing;
	/** What lies behind pages at any time. */
	readonly #knowledge: () => Knowledge;
	readonly #bytes = new KnownBytes();
	#alive = true;
	#selfLocked = 0;

	constructor(
		id: Name,
		name: string,
		questions: ReplayQuestions,
		backingOf: (name: Name) => Backing,
		knowledge: () => Knowledge,
	) {
		this.id = id;
		this.name = name;
		this.#questions = questions;
		this.#backingOf = backingOf;
		this.#knowledge = knowledge;
	}

	get alive(): boolean {
		const asked = this.#questions.take("alive", ({ memory }) => memory === this.id);
		if (asked !== undefined) this.#alive = asked.is;
		return this.#alive;
	}

	get selfLocked(): number {
		const asked = this.#questions.take("locked", ({ memory }) => memory === this.id);
		if (asked !== undefined) this.#selfLocked = asked.is;
		return this.#selfLocked;
	}

	read(address: number, into: Uint8Array): number {
		const asked = this.#questions.take(
			"read",
			(question) => question.memory === this.id && question.at === address && question.length === into.length,
		);
		if (asked !== undefined) {
			into.set(asked.bytes);
			this.#bytes.learn(address, asked.bytes);
			return asked.bytes.length;
		}
		const from = this.#inStruct(address, into.length);
		if (from >= 0) {
			const { bytes } = this.struct!;
			for (let i = 0; i < into.length; i++) into[i] = bytes[from + i];
			return into.length;
		}
		this.#questions.stray(`${into.length} bytes at ${hex(address)} of the ${this.name}`);
		return this.#bytes.read(address, into);
	}

	write(address: number, from: Uint8Array): number {
		const asked = this.#questions.take("write", (question) => question.memory === this.id && question.at === address);
		if (asked === undefined) {
			const at = this.#inStruct(address, from.length);
			if (at >= 0) {
				this.struct!.bytes.set(from, at);
				this.struct!.written = true;
				return from.length;
			}
		}
		this.#bytes.learn(address, from);
		if (asked === undefined || !sameBytes(asked.bytes, from))
			this.#questions.deviates(`the bytes at ${hex(address)}`, asked?.bytes, from);
		return asked?.done ?? from.length;
	}

	resolve(first: number, count: number, writable: boolean, into: Extents): void {
		const asked = this.#questions.take(
			"pages",
			({ memory, page, count: pages, writable: forWriting }) =>
				memory === this.id && page === first && pages === count && forWriting === writable,
		);
		if (asked === undefined) this.#resolveKnown(first, count, into);
		else if ("errno" in asked.is) throw new Errno(asked.is.errno, asked.is.reason);
		else for (const [backing, page, pages] of asked.is) into.add(this.#backingOf(backing), page, pages);
	}

	#resolveKnown(first: number, count: number, into: Extents): void {
		this.#questions.stray(`the ${count} pages at ${hex(first * PAGE_SIZE)} of the ${this.name}`);
		for (let at = first; at < first + count; ) {
			const known = this.#knowledge().behind(this.id, at);
			if (known === undefined) throw new Errno("EFAULT", `the recording has nothing at ${hex(at * PAGE_SIZE)}`);
			const [backing, page, pages] = known.extent;
			const length = Math.min(known.first + pages, first + count) - at;
			into.add(this.#backingOf(backing), page + at - known.first, length);
			at += length;
		}
	}

	/** Where in the call's struct something is; -1 for nowhere. */
	#inStruct(address: number, length: number): number {
		if (this.struct === undefined) return -1;
		const from = address - this.struct.address;
		return from >= 0 && from + length <= this.struct.bytes.length ? from : -1;
	}
}

export class ReplayBacking implements Backing {
	readonly id: Name;
	readonly name: string;
	readonly #questions: ReplayQuestions;
	readonly #bytes = new KnownBytes();

	constructor(id: Name, name: string, questions: ReplayQuestions) {
		this.id = id;
		this.name = name;
		this.#questions = questions;
	}

	/** Remembers what was read of it while no call was under way. */
	learn(at: number, bytes: Uint8Array): void {
		this.#bytes.learn(at, bytes);
	}

	read(at: number, into: Uint8Array): number {
		const asked = this.#questions.take(
			"dma read",
			(question) => question.backing === this.id && question.at === at && question.length === into.length,
		);
		if (asked === undefined) {
			this.#questions.stray(`${into.length} bytes at ${hex(at)} of ${this.name}`);
			return this.#bytes.read(at, into);
		}
		into.set(asked.bytes);
		this.#bytes.learn(at, asked.bytes);
		return asked.bytes.length;
	}

	write(at: number, from: Uint8Array): number {
		this.#bytes.learn(at, from);
		const asked = this.#questions.take("dma write", (question) => question.backing === this.id && question.at === at);
		if (asked === undefined || !sameBytes(asked.bytes, from))
			this.#questions.deviates(`the bytes at ${hex(at)} of ${this.name}`, asked?.bytes, from);
		return asked?.done ?? from.length;
	}
}

export class ReplayOwner implements MemoryOwner {
	readonly id: Name;
	readonly #questions: ReplayQuestions;
	#uid = 0;
	#limit = Number.POSITIVE_INFINITY;

	constructor(id: Name, questions: ReplayQuestions) {
		this.id = id;
		this.#questions = questions;
	}

	get uid(): number {
		this.#uid = this.#questions.take("uid", ({ owner }) => owner === this.id)?.is ?? this.#uid;
		return this.#uid;
	}

	memlockLimit(): number {
		const asked = this.#questions.take("limit", ({ owner }) => owner === this.id);
		if (asked !== undefined) this.#limit = asked.is ?? Number.POSITIVE_INFINITY;
		return this.#limit;
	}
}
