// Plain memory of a function, while it doesn't answer: its pages are holes then, whose accesses are faults. What they hold is kept until they
// are memory again.

import type { Stretch } from "./layout.js";
import { makeHole, SharedPages } from "./shared-pages.js";

interface Kept {
	readonly stretch: Stretch;
	readonly words: Int32Array;
}

export class PlainPages {
	readonly #fd: number;
	readonly #stretches: readonly Stretch[];
	#kept: Kept[] = [];

	/** @param stretches of "memory" pages */
	constructor(fd: number, stretches: readonly Stretch[]) {
		this.#fd = fd;
		this.#stretches = stretches;
	}

	takeAway(): void {
		this.#kept = this.#stretches.map((stretch) => {
			const words = this.#with(stretch, (pages) => pages.slice());
			makeHole(this.#fd, stretch);
			return { stretch, words };
		});
	}

	bringBack(): void {
		for (const { stretch, words } of this.#kept) this.#with(stretch, (pages) => pages.set(words));
		this.#kept = [];
	}

	#with<T>({ start, end }: Stretch, action: (words: Int32Array) => T): T {
		const pages = new SharedPages(this.#fd, start, end - start);
		const result = action(pages.words);
		pages.close();
		return result;
	}
}
