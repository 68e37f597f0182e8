// --record FILE: a recording as a file. docs/record.md is its description.

import { closeSync, openSync } from "node:fs";
import type { RecordLine } from "../trace/record.js";
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
