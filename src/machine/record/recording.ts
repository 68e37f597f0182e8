// A recording as its text, line by line, and what is wrong with one. docs/record.md describes it for people.

import type { RecordLine, Start } from "../../trace/record.js";
import { notJson } from "../errors.js";
import type { Machine } from "../machine.js";
import { type Difference, Replayer } from "./replayer.js";
import { BadLine, checkLine, checkStart } from "./schema.js";

/** What keeps a recording from being replayed. */
export class RecordingError extends Error {
	/** Counted from 1. */
	readonly line: number;

	constructor(line: number, message: string) {
		super(message);
		this.line = line;
	}
}

export interface Recording {
	readonly start: Start;
	readonly lines: readonly RecordLine[];
	/** Whether it ends in the middle of a line, which isn't among them: ioasis was killed when it wrote that. */
	readonly isCut: boolean;
}

/** @throws RecordingError */
export function parseRecording(text: string): Recording {
	const texts = text.split("\n");
	const last = texts.pop()!;
	if (texts.length === 0) throw new RecordingError(1, "this is not a recording: it has no line");
	const lines = texts.map((line, i) => atLine(i + 1, () => (i === 0 ? checkStart : checkLine)(parse(line))));
	return { start: lines[0] as Start, lines, isCut: last !== "" };
}

function parse(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch (error) {
		throw new BadLine(notJson("this", error));
	}
}

/** The calls of a recording, made again on a fresh machine. */
export class RecordedRun {
	readonly #lines: readonly RecordLine[];
	readonly #replayer: Replayer;

	/** @throws RecordingError */
	constructor({ lines }: Recording, machine: Machine) {
		this.#lines = lines;
		this.#replayer = new Replayer(machine);
		for (const [i, line] of lines.entries()) atLine(i + 1, () => this.#replayer.learn(line));
	}

	/** How many files are open now. */
	get openFiles(): number {
		return this.#replayer.openFiles;
	}

	/** What an open file of the recording was opened as. */
	pathOf(file: number): string {
		return this.#replayer.pathOf(file);
	}

	/**
	 * Does what a line says, after all before it.
	 * @param number of the line, counted from 1
	 * @returns what is different, if anything is
	 * @throws RecordingError
	 */
	replay(number: number): Difference | undefined {
		return atLine(number, () => this.#replayer.replay(this.#lines[number - 1]));
	}
}

function atLine<T>(number: number, action: () => T): T {
	try {
		return action();
	} catch (error) {
		throw error instanceof BadLine ? new RecordingError(number, error.message) : error;
	}
}
