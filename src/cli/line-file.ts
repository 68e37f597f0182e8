// A file that lines are written to while calls are answered: the trace, the walks, a recording.
//
// A call that has been made must be answered with what it did, so nothing is thrown here: what can't be written is lost, and
// that is said once.

import { writeSync } from "node:fs";
import { complain } from "./complain.js";

/** How long we wait before we try a pipe again that is full, in milliseconds: only one that was made non-blocking needs it. */
const PAUSE = 1;

const neverNotified = new Int32Array(new SharedArrayBuffer(4));

export class LineFile {
	readonly #fd: number;
	readonly #what: string;
	#isBroken = false;

	/** @param what what the lines are, for people: "trace" */
	constructor(fd: number, what: string) {
		this.#fd = fd;
		this.#what = what;
	}

	/** @param text one line or several, without the last end of line */
	write(text: string): void {
		if (this.#isBroken) return;
		const bytes = Buffer.from(`${text}\n`);
		for (let done = 0; done < bytes.length && !this.#isBroken; ) done += this.#writeSome(bytes, done);
	}

	/** @returns how many bytes it took */
	#writeSome(bytes: Buffer, from: number): number {
		try {
			return writeSync(this.#fd, bytes, from);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === "EAGAIN") {
				// Somebody has made our stderr non-blocking, and its reader is slow. Otherwise the write would have waited.
				Atomics.wait(neverNotified, 0, 0, PAUSE);
				return 0;
			}
			this.#isBroken = true;
			// EPIPE is the reader's own wish.
			if (code !== "EPIPE") complain(`the ${this.#what} ends here: it can't be written any more: ${code}`);
			return 0;
		}
	}
}
