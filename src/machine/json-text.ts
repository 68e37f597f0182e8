// JSON (RFC 8259) as people write it: with the line and the column of each value, and no name twice in an object, which JSON.parse()
// takes the last of in silence.

import { printable } from "../trace/printable.js";

/** Counted from 1, in characters. */
export interface TextPlace {
	readonly line: number;
	readonly column: number;
}

/** What is wrong with a text, and where. */
export class JsonError extends Error {
	readonly place: TextPlace;

	constructor(message: string, place: TextPlace) {
		super(message);
		this.place = place;
	}
}

type Keys = readonly (string | number)[];

export interface JsonText {
	readonly value: unknown;
	/** Where something is; of what isn't there, where it would be in. */
	placeOf(keys: Keys): TextPlace;
}

/** How deep values may be in each other. */
const DEEPEST = 200;
const SPACE = /[ \t\n\r]*/y;
/** Controls are written out in strings; DEL and those above it needn't be. */
const CONTROLS = String.raw`\u0000-\u001f`;
const STRING = new RegExp(String.raw`"(?:[^"\\${CONTROLS}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"`, "uy");
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
/** What is quoted of a text that can't be read. */
const MOST_QUOTED = 20;

/** A value's place, and those of what is in it. */
interface Node {
	readonly at: number;
	readonly inside: ReadonlyMap<string | number, Node>;
}

/** @throws JsonError */
export function parseJsonText(text: string): JsonText {
	const reader = new Reader(text);
	const { value, node } = reader.whole();
	return {
		value,
		placeOf(keys) {
			let inner = node;
			for (const key of keys) {
				const next = inner.inside.get(key);
				if (next === undefined) break;
				inner = next;
			}
			return reader.placeAt(inner.at);
		},
	};
}

interface Read {
	readonly value: unknown;
	readonly node: Node;
}

class Reader {
	readonly #text: string;
	#at = 0;

	constructor(text: string) {
		this.#text = text;
	}

	placeAt(at: number): TextPlace {
		const before = this.#text.slice(0, at).split("\n");
		return { line: before.length, column: before.at(-1)!.length + 1 };
	}

	whole(): Read {
		const read = this.#value(0);
		this.#skipSpace();
		if (this.#at < this.#text.length) throw this.#error("the text goes on after its value");
		return read;
	}

	#value(depth: number): Read {
		if (depth > DEEPEST) throw this.#error(`more than ${DEEPEST} values are in each other`);
		this.#skipSpace();
		const at = this.#at;
		switch (this.#text[at]) {
			case "{":
				return this.#object(depth);
			case "[":
				return this.#list(depth);
		}
		const token = this.#match(STRING) ?? this.#match(NUMBER) ?? this.#match(WORD);
		if (token === undefined) throw this.#error("a value is expected here");
		return { value: JSON.parse(token), node: { at, inside: new Map() } };
	}

	#object(depth: number): Read {
		const at = this.#at;
		const inside = new Map<string, Node>();
		const entries: [string, unknown][] = [];
		this.#each("}", () => {
			this.#skipSpace();
			const start = this.#at;
			const token = this.#match(STRING);
			if (token === undefined) throw this.#error("a field's name in quotes is expected here");
			const key: string = JSON.parse(token);
			const first = inside.get(key);
			if (first !== undefined)
				throw new JsonError(
					`the field "${printable(key)}" is here for the second time: the first is in line ${this.placeAt(first.at).line}`,
					this.placeAt(start),
				);
			this.#expect(":");
			const { value, node } = this.#value(depth + 1);
			entries.push([key, value]);
			inside.set(key, node);
		});
		// As JSON.parse() does: "__proto__" is a field like any other.
		return { value: Object.fromEntries(entries), node: { at, inside } };
	}

	#list(depth: number): Read {
		const at = this.#at;
		const inside = new Map<number, Node>();
		const value: unknown[] = [];
		this.#each("]", () => {
			const element = this.#value(depth + 1);
			inside.set(value.length, element.node);
			value.push(element.value);
		});
		return { value, node: { at, inside } };
	}

	/** What is between brackets, with commas between. */
	#each(end: string, one: () => void): void {
		this.#at++;
		this.#skipSpace();
		if (this.#text[this.#at] === end) {
			this.#at++;
			return;
		}
		for (;;) {
			one();
			this.#skipSpace();
			const found = this.#text[this.#at];
			if (found !== "," && found !== end) throw this.#error(`"," or "${end}" is expected here`);
			this.#at++;
			if (found === end) return;
		}
	}

	#expect(character: string): void {
		this.#skipSpace();
		if (this.#text[this.#at] !== character) throw this.#error(`"${character}" is expected here`);
		this.#at++;
	}

	#skipSpace(): void {
		this.#match(SPACE);
	}

	#match(pattern: RegExp): string | undefined {
		pattern.lastIndex = this.#at;
		const [found] = pattern.exec(this.#text) ?? [];
		if (found !== undefined) this.#at += found.length;
		return found;
	}

	#error(message: string): JsonError {
		const rest = this.#text.slice(this.#at, this.#at + MOST_QUOTED).split("\n", 1)[0];
		const found = this.#at >= this.#text.length ? "the text ends" : `this is ${printable(JSON.stringify(rest))}`;
		return new JsonError(`${message}, and ${found}`, this.placeAt(this.#at));
	}
}
