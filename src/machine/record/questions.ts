// What a recording is made of while it is made: names for the things that the engine compares by identity, and the questions
// that it asks while it answers a call.

import type { Name, Question, RecordLine } from "../../trace/record.js";

export class Questions {
	readonly #write: (line: RecordLine) => void;
	readonly #names = new WeakMap<object, Name>();
	#lastName = 0;
	/** Of the call that is under way; undefined when there is none. */
	#asked: Question[] | undefined;
	#settled = 0;
	/** The files and mappings that are being found closed. */
	#closed: Name[] | undefined;

	constructor(write: (line: RecordLine) => void) {
		this.#write = write;
	}

	/** Writes a line of its own. */
	write(line: RecordLine): void {
		this.#write(line);
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
		if (this.#asked !== undefined) this.#asked.push(question);
		else this.#write({ kind: "aside", asked: [question] });
	}

	/** Notes all that is asked by `call`. */
	during<T>(call: () => T): { result: T; asked: Question[] } {
		const asked: Question[] = [];
		this.#asked = asked;
		this.#settled = 0;
		try {
			return { result: call(), asked };
		} finally {
			this.#asked = undefined;
		}
	}

	/** Notes what is closed when the engine asks for it; `look` releases them. */
	settle(look: () => void): void {
		const asked = this.#asked;
		if (asked === undefined) {
			look();
			return;
		}
		const nth = this.#settled++;
		const is: Name[] = [];
		this.#closed = is;
		look();
		this.#closed = undefined;
		if (is.length > 0) asked.push({ ask: "closed", nth, is });
	}

	/**
	 * A file or a mapping is released. A file that is released while it is handed out is `lost`, which the question about
	 * that says.
	 */
	released(what: Name): void {
		if (this.#closed !== undefined) this.#closed.push(what);
		else if (this.#asked === undefined) this.#write({ kind: "release", what });
	}
}
