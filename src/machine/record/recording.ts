// A recording as it was read, in either form: its entries by their numbers, and what is wrong with it.

import { type Entry, isCall, type Start } from "../../trace/record.js";
import { BinaryEntries, isBinary } from "./blocks.js";
import { parseLines } from "./json-lines.js";
import { Knowledge } from "./knowledge.js";
import { BadEntry } from "./limits.js";
import { checkStart } from "./schema.js";

/** What keeps a recording from being replayed. */
export class RecordingError extends Error {
	/** What to append to the file's name: ":12" for a line, ": entry 12" for an entry, "" for all of it. */
	readonly place: string;

	constructor(place: string, message: string) {
		super(message);
		this.place = place;
	}
}

/** Entries by their numbers. */
export interface Entries {
	readonly length: number;
	/** How many of them are calls. */
	readonly calls: number;
	/** @param index from 0 @throws BadEntry for one that is damaged */
	at(index: number): Entry;
	/** Where a call is among the entries, from 0. @param call from 1 to `calls` */
	indexOfCall(call: number): number;
}

/** What its entries are called. */
type Unit = "line" | "entry";

export class Recording {
	readonly start: Start;
	/** Whether it ends in the middle of an entry, which isn't among them: the run was killed. */
	readonly isCut: boolean;
	readonly unit: Unit;
	readonly #entries: Entries;
	#knowledge: Knowledge | undefined;

	/** @param unit what an entry is called where it came from @throws RecordingError */
	constructor(entries: Entries | readonly Entry[], isCut = false, unit: Unit = "entry") {
		this.#entries = "calls" in entries ? entries : new ListOfEntries(entries);
		this.isCut = isCut;
		this.unit = unit;
		if (entries.length === 0) throw new RecordingError("", "this is not a recording: it has no entry");
		this.start = this.during(0, checkStart);
	}

	/** @param file its content, in either form @throws RecordingError */
	static parse(file: Uint8Array): Recording {
		const unit = isBinary(file) ? "entry" : "line";
		try {
			if (unit === "entry") {
				const entries = new BinaryEntries(file);
				return new Recording(entries, entries.isCut, unit);
			}
			const { entries, isCut } = parseLines(new TextDecoder().decode(file));
			return new Recording(entries, isCut, unit);
		} catch (error) {
			if (!(error instanceof BadEntry)) throw error;
			throw new RecordingError(error.index === undefined ? "" : placeOf(unit, error.index), error.message);
		}
	}

	get length(): number {
		return this.#entries.length;
	}

	/** How many of its entries are calls. */
	get calls(): number {
		return this.#entries.calls;
	}

	/** @param index from 0 @throws RecordingError for one that is damaged */
	at(index: number): Entry {
		return this.during(index, (entry) => entry);
	}

	/** Does something with an entry. @throws RecordingError where that finds it bad */
	during<T>(index: number, action: (entry: Entry) => T): T {
		try {
			return action(this.#entries.at(index));
		} catch (error) {
			if (!(error instanceof BadEntry)) throw error;
			throw new RecordingError(placeOf(this.unit, error.index ?? index), error.message);
		}
	}

	/** Where a call is among the entries, from 0. @param call from 1 to `calls` @throws RecordingError */
	indexOfCall(call: number): number {
		try {
			return this.#entries.indexOfCall(call);
		} catch (error) {
			if (!(error instanceof BadEntry)) throw error;
			throw new RecordingError(placeOf(this.unit, error.index ?? 0), error.message);
		}
	}

	*[Symbol.iterator](): Iterator<Entry> {
		for (let i = 0; i < this.length; i++) yield this.at(i);
	}

	/** What is known of memory at any time. It takes a look through all entries, once. */
	get knowledge(): Knowledge {
		this.#knowledge ??= new Knowledge(this);
		return this.#knowledge;
	}
}

function placeOf(unit: Unit, index: number): string {
	return unit === "line" ? `:${index + 1}` : `: entry ${index + 1}`;
}

class ListOfEntries implements Entries {
	readonly #entries: readonly Entry[];
	/** Of each call. */
	readonly #indices: readonly number[];

	constructor(entries: readonly Entry[]) {
		this.#entries = entries;
		this.#indices = entries.flatMap((entry, index) => (isCall(entry) ? [index] : []));
	}

	get length(): number {
		return this.#entries.length;
	}

	get calls(): number {
		return this.#indices.length;
	}

	at(index: number): Entry {
		return this.#entries[index];
	}

	indexOfCall(call: number): number {
		return this.#indices[call - 1];
	}
}
