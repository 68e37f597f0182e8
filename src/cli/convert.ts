// ioasis convert: a recording in its other form.

import { closeSync, openSync } from "node:fs";
import { writeAll } from "../host/say.js";
import { binaryOf } from "../machine/record/blocks.js";
import { LineWriter } from "../machine/record/json-lines.js";
import type { Recording } from "../machine/record/recording.js";
import { complain, refuse } from "./complain.js";
import { withRecording } from "./recorded-machine.js";

const STDOUT = 1;
/** Lines are written when they come to so many characters. */
const ENOUGH = 1 << 16;

/** @param output a file; stdout if absent */
export function convert(path: string, output: string | undefined): Promise<void> {
	return withRecording(path, (recording) => {
		if (recording.unit === "line" && output === undefined && process.stdout.isTTY)
			refuse("a recording in binary form is not for a terminal", `give a file, too: ioasis convert ${path} run.rec`);
		const fd = output === undefined ? STDOUT : open(output);
		const problem = recording.unit === "line" ? writeAll(fd, binaryOf(recording)) : writeLines(fd, recording);
		if (problem !== undefined && problem !== "EPIPE")
			refuse(`${output ?? "stdout"} can't be written: ${problem}`, "is the disk full?");
		if (output !== undefined) closeSync(fd);
		if (recording.isCut)
			complain(`${path} ends in the middle of ${recording.unit} ${recording.length + 1}, which is left out`);
	});
}

function open(path: string): number {
	try {
		return openSync(path, "w");
	} catch (error) {
		refuse(`${path} can't be written: ${(error as NodeJS.ErrnoException).code}`, "give another file");
	}
}

/** @returns the errno's name when it can't be written */
function writeLines(fd: number, recording: Recording): string | undefined {
	const writer = new LineWriter();
	let lines = "";
	for (const entry of recording) {
		lines += `${writer.lineOf(entry)}\n`;
		if (lines.length < ENOUGH) continue;
		const problem = writeAll(fd, lines);
		if (problem !== undefined) return problem;
		lines = "";
	}
	return writeAll(fd, lines);
}
