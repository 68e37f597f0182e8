// A file that lines are written to while calls are answered: the trace, the walks, a report.
//
// A call that has been made must be answered with what it did, so nothing is thrown here: what can't be written is lost, and
// that is said once.

import { writeAll } from "../host/say.js";
import { complain } from "./complain.js";

export class LineFile {
	readonly #fd: number;
	readonly #what: string;
	#isBroken = false;

	/** @param what what the lines are, for people: "trace" */
	constructor(fd: number, what: string) {
		this.#fd = fd;
		this.#what = what;
	}

	/** @param text one line or several, without the last end of line; what is somebody else's in it is printable() */
	write(text: string): void {
		if (this.#isBroken) return;
		const problem = writeAll(this.#fd, `${text}\n`);
		if (problem === undefined) return;
		this.#isBroken = true;
		// EPIPE is the reader's own wish.
		if (problem !== "EPIPE") complain(`the ${this.#what} ends here: it can't be written any more: ${problem}`);
	}
}
