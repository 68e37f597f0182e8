// An eventfd in a test's hands.

import type { CallerFile } from "./caller.js";
import type { EventFd } from "./event-fd.js";

export class TestEventFd {
	/** How often it was signalled by the engine. */
	signals = 0;
	/** How many hold it. */
	holds = 0;
	readonly #listeners = new Set<() => void>();

	readonly file: CallerFile = { kind: "eventfd", open: () => this.#open() };

	/** What a program does that writes to it. */
	signal(): void {
		for (const listener of this.#listeners) listener();
	}

	#open(): EventFd {
		this.holds++;
		let own: (() => void) | undefined;
		return {
			signal: () => {
				this.signals++;
			},
			onSignal: (listener) => {
				own = listener;
				this.#listeners.add(listener);
			},
			release: () => {
				this.holds--;
				if (own !== undefined) this.#listeners.delete(own);
			},
		};
	}
}
