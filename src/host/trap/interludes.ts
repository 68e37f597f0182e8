// When a call that takes long is interrupted for others: uapi/slices.ts says where it can be.
//
// Others are answered on top of it, on the same stack, and one of them may take long as well. Who is interrupted gets as much time
// afterwards as it has lost, so that however much others ask for, it comes to its end.

import { serveOthers } from "../../uapi/slices.js";

/** A call that takes no longer isn't interrupted, and others are answered for about as long at a time. In milliseconds. */
const LONG = 10;
/** So many calls are made on top of each other at most. */
const DEEPEST = 8;

export class Interludes {
	/** How many calls have begun. The answerer counts them. */
	begun = 0;
	readonly #answer: (isOver: () => boolean) => void;
	/** The call that was under way when we last looked, and from when on it is interrupted. */
	#looked = -1;
	#due = 0;
	#depth = 0;

	/** @param answer answers those who wait, until nobody does or it is over */
	constructor(answer: (isOver: () => boolean) => void) {
		this.#answer = answer;
	}

	start(): void {
		serveOthers(() => this.#look());
	}

	stop(): void {
		serveOthers(undefined);
	}

	#look(): void {
		const now = performance.now();
		if (this.#looked !== this.begun) {
			this.#looked = this.begun;
			this.#due = now + LONG;
			return;
		}
		if (now < this.#due || this.#depth === DEEPEST) return;
		this.#depth++;
		try {
			this.#answer(() => performance.now() - now > LONG);
		} finally {
			this.#depth--;
		}
		const after = performance.now();
		this.#looked = this.begun;
		this.#due = after + Math.min(after - now, LONG);
	}
}
