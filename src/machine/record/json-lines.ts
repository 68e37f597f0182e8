// A recording as text: a JSON object a line, for people and for programs that want no decoder. docs/record.md describes it.

import { commandOf } from "../../trace/commands.js";
import { type Entry, isCall, type Name } from "../../trace/record.js";
import { hex } from "../../uapi/errno.js";
import { notJson } from "../errors.js";
import { toHex } from "./hex-bytes.js";
import { BadEntry } from "./limits.js";
import { checkLine, checkStart } from "./schema.js";

/** What the number of each field is that isn't written in decimal. */
const ADDRESSES: ReadonlySet<string> = new Set(["at", "argument", "number", "position", "offset", "iova"]);

/** Writes entries as lines, in their order: what an ioctl is called depends on what its file was opened as. */
export class LineWriter {
	readonly #paths = new Map<Name, string>();

	/** Without the end of the line. */
	lineOf(entry: Entry): string {
		const line = JSON.stringify(entry.kind === "ioctl" ? this.#named(entry) : entry, replace);
		this.#follow(entry);
		return line;
	}

	/** With the command's name, for people, where the number stands. */
	#named({ number, ...entry }: Extract<Entry, { kind: "ioctl" }>): object {
		const { kind, time, took, thread, file, memory, owner, ...rest } = entry;
		const command = commandOf(this.#paths.get(file) ?? "", number)?.name;
		return { kind, time, took, thread, file, memory, owner, number, command, ...rest };
	}

	#follow(entry: Entry): void {
		if (entry.kind === "open" && typeof entry.answer === "number") this.#paths.set(entry.answer, entry.path);
		if (!isCall(entry)) return;
		for (const question of entry.asked ?? [])
			if (question.ask === "install") this.#paths.set(question.file, question.path);
	}
}

function replace(this: object, key: string, value: unknown): unknown {
	if (value instanceof Uint8Array) return toHex(value);
	// Nothing of the machine's description is of these types, and named so.
	if (typeof value === "bigint") return hex(value);
	if (typeof value === "number" && ADDRESSES.has(key) && isOurs(this)) return hex(value);
	return value;
}

function isOurs(object: object): boolean {
	return "kind" in object || "ask" in object;
}

export interface Lines {
	readonly entries: readonly Entry[];
	/** Whether it ends in the middle of a line, which isn't among them: ioasis was killed when it wrote that. */
	readonly isCut: boolean;
}

/** @throws BadEntry */
export function parseLines(text: string): Lines {
	const texts = text.split("\n");
	const last = texts.pop()!;
	if (texts.length === 0) throw new BadEntry("this is not a recording: it has no line", 0);
	return { entries: texts.map(parseLine), isCut: last !== "" };
}

function parseLine(text: string, index: number): Entry {
	try {
		return (index === 0 ? checkStart : checkLine)(parseJson(text));
	} catch (error) {
		throw error instanceof BadEntry ? new BadEntry(error.message, index) : error;
	}
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new BadEntry(notJson("this", error));
	}
}
