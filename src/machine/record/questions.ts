// What a recording is made of while it is made: names for the things that the engine compares by identity, and the questions
// that it asks while it answers a call.

import { WatchedStruct } from "../../memory/watched-struct.js";
import type { Entry, Name, Question } from "../../trace/record.js";

/** Gets each entry, in order. What it refers to may be changed afterwards. */
export type WriteEntry = (entry: Entry) => void;

/** A call that is under way. One may be answered in the middle of another, so there can be several. */
class OpenCall {
	asked: Question[] = [];
	settled = 0;
	readonly struct = new WatchedStruct();
}

export class Questions {
	readonly write: WriteEntry;
	readonly #names = new WeakMap<object, Name>();
	#lastName = 0;
	/** Those that are under way are the first; the others are for the next. */
	readonly #calls = [new OpenCall()];
	#depth = 0;
	/** The files and mappings that are being found closed. */
	#closed: Name[] | undefined;
	/** When the recording began, in milliseconds as performance.now() gives them. */
	readonly #began = performance.now();
	/** Which thread makes the call that is under way, 0 for none. */
	thread: () => number = () => 0;

	constructor(write: WriteEntry) {
		this.write = write;
	}

	/** Since the recording began, in microseconds. */
	get time(): number {
		return Math.round((performance.now() - this.#began) * 1000);
	}

	/** A new name, for something that is known by it from now on. */
	add(thing: object): Name {
		const name = ++this.#lastName;
		this.#names.set(thing, name);
		return name;
	}

	/** The name of something that has one. */
	nameOf(thing: object): Name {
		return this.#names.get(thing)!;
	}

	/** Notes a question and its answer. */
	ask(question: Question): void {
		if (this.#depth > 0) this.#calls[this.#depth - 1].asked.push(question);
		else this.write({ kind: "aside", time: this.time, asked: [question] });
	}

	/** A call begins: what is asked from now on is asked by it, until end(). */
	begin(): void {
		if (this.#depth === this.#calls.length) this.#calls.push(new OpenCall());
		this.#calls[this.#depth++].settled = 0;
	}

	/** @returns what was asked; undefined for nothing */
	end(): readonly Question[] | undefined {
		const call = this.#calls[--this.#depth];
		call.struct.end();
		if (call.asked.length === 0) return undefined;
		const { asked } = call;
		call.asked = [];
		return asked;
	}

	/** Of the call that is under way, or of the last if there is none. */
	get struct(): WatchedStruct {
		return this.#calls[this.#depth === 0 ? 0 : this.#depth - 1].struct;
	}

	/** Notes what is closed when the engine asks for it; `look` releases them. */
	settle(look: () => void): void {
		if (this.#depth === 0) {
			look();
			return;
		}
		const call = this.#calls[this.#depth - 1];
		const nth = call.settled++;
		const is: Name[] = [];
		this.#closed = is;
		look();
		this.#closed = undefined;
		if (is.length > 0) call.asked.push({ ask: "closed", nth, is });
	}

	/**
	 * A file or a mapping is released. A file that is released while it is handed out is `lost`, which the question about
	 * that says.
	 */
	released(what: Name): void {
		if (this.#closed !== undefined) this.#closed.push(what);
		else if (this.#depth === 0) this.write({ kind: "release", time: this.time, what });
	}
}
