// --record FILE: a recording as a file. docs/record.md is its description.

import { closeSync, openSync, readFileSync } from "node:fs";
import { notJson } from "../machine/errors.js";
import { RECORD_VERSION, type RecordLine, type Start } from "../trace/record.js";
import { LineFile } from "./line-file.js";

/** Makes sure that a file can be written, and empties it. @throws what node:fs throws */
export function startRecording(path: string): void {
	closeSync(openSync(path, "w"));
}

/**
 * Where the lines of a recording go. The supervisor's thread opens it: an fd of the main thread's would be inherited by the
 * program.
 */
export function recordTo(path: string): (line: RecordLine) => void {
	const file = new LineFile(openSync(path, "a"), "recording");
	return (line) => file.write(JSON.stringify(line));
}

/** What keeps a recording from being replayed. */
export class RecordingError extends Error {}

/** What is in a recording's file. */
export interface RecordingText {
	readonly start: Start;
	readonly lines: RecordLine[];
	/** Whether it ends in the middle of a line, which isn't among them: ioasis was killed when it wrote that. */
	readonly isCut: boolean;
}

/** @throws RecordingError that says what is wrong with it */
export function readRecording(path: string): RecordingText {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		throw new RecordingError(`${path} can't be read: ${(error as NodeJS.ErrnoException).code}`);
	}
	const lines = text
		.slice(0, text.lastIndexOf("\n") + 1)
		.split("\n")
		.slice(0, -1)
		.map((line, i) => parse(line, `${path}:${i + 1}`));
	const [start] = lines;
	if (start?.kind !== "start") throw new RecordingError(`${path} is not a recording: it doesn't begin as one`);
	if (start.version !== RECORD_VERSION)
		throw new RecordingError(`${path} is of version ${start.version}, and this ioasis reads version ${RECORD_VERSION}`);
	return { start, lines, isCut: !text.endsWith("\n") };
}

function parse(line: string, place: string): RecordLine {
	try {
		return JSON.parse(line);
	} catch (error) {
		throw new RecordingError(notJson(place, error));
	}
}
