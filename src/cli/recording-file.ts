// --record FILE: a recording as a file. docs/record.md is its description.

import { closeSync, openSync } from "node:fs";
import { writeAll } from "../host/say.js";
import { BlockWriter, EntryFrames } from "../machine/record/blocks.js";
import type { WriteEntry } from "../machine/record/questions.js";

/** Makes sure that a file can be written, and empties it. @throws what node:fs throws */
export function startRecording(path: string): void {
	closeSync(openSync(path, "w"));
}

export function recordTo(path: string): WriteEntry {
	const fd = openSync(path, "r+");
	const blocks = new BlockWriter({
		append: (bytes) => writeAll(fd, bytes),
		replace: (at, bytes) => writeAll(fd, bytes, at),
	});
	const frames = new EntryFrames((bytes, length) => {
		blocks.add(bytes.subarray(0, length));
		blocks.flush();
	});
	return (entry) => frames.write(entry);
}
