// What we say ourselves, on stdout and stderr, in whichever thread: all of it goes through here. It is written at once, and nothing
// in it of somebody else's is obeyed by a terminal. There is no native call here: commands that make none say something, too.

import { writeSync } from "node:fs";
import { printable, printableJson } from "../trace/printable.js";
import { adviceOn, Refusal } from "./failure.js";

const STDOUT = 1;
const STDERR = 2;
/** How long we wait before we try a pipe again that is full, in milliseconds: only one that was made non-blocking needs it. */
const PAUSE = 1;

const neverNotified = new Int32Array(new SharedArrayBuffer(4));

/** On stdout, each in a line of its own. @throws Refusal when it can't be written, as on a disk that is full */
export function say(...lines: readonly string[]): void {
	print(joined(lines));
}

/** The same on stderr. */
export function sayOnStderr(...lines: readonly string[]): void {
	writeAll(STDERR, joined(lines));
}

/** A value for a program to read, on stdout. @throws Refusal */
export function sayJson(value: unknown): void {
	print(`${printableJson(value, "\t")}\n`);
}

/** Lines with colours, on stdout. @param text in which all that is somebody else's is printable() @throws Refusal */
export function sayColoured(text: string): void {
	print(`${text}\n`);
}

/** What was asked for is what stands on stdout: whoever can't have it is told. A reader that has gone (EPIPE) has had enough. */
function print(text: string): void {
	const problem = writeAll(STDOUT, text);
	if (problem !== undefined && problem !== "EPIPE")
		throw new Refusal(`stdout can't be written: ${problem}`, adviceOn(problem));
}

/** For somebody who watches a terminal: each text takes the place of the one before. */
export function showProgress(text: string): void {
	if (process.stderr.isTTY) writeAll(STDERR, `\r\x1b[K${printable(text)}`);
}

/**
 * Writes all of it, however long the reader takes.
 * @param at where in the file, in bytes; if absent where the last write ended
 * @returns the errno's name when it can't be: "EPIPE"
 */
export function writeAll(fd: number, text: string | Uint8Array, at?: number): string | undefined {
	const bytes = typeof text === "string" ? Buffer.from(text) : text;
	for (let done = 0; done < bytes.length; ) {
		try {
			done += writeSync(fd, bytes, done, bytes.length - done, at === undefined ? undefined : at + done);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code !== "EAGAIN") return code;
			// Somebody has made our stderr non-blocking, and its reader is slow. Otherwise the write would have waited.
			Atomics.wait(neverNotified, 0, 0, PAUSE);
		}
	}
	return undefined;
}

function joined(lines: readonly string[]): string {
	return lines.map((line) => `${printable(line)}\n`).join("");
}
