// What the models of one thread have left to do, where they have no thread of their own: it is done until nothing is left, after each
// access. One model's work can be cause for another's: a frame arrives.

import type { Endpoint } from "./endpoint.js";

export class WorkList {
	readonly #waiting = new Set<Endpoint>();
	#isWorking = false;

	/** Something has come for it from elsewhere: EndpointPort.wake(). */
	add(endpoint: Endpoint): void {
		this.#waiting.add(endpoint);
	}

	/** Its registers were accessed: does what that is cause for. */
	doAll(endpoint: Endpoint): void {
		this.#waiting.add(endpoint);
		if (this.#isWorking) return;
		this.#isWorking = true;
		try {
			// Whoever has more to do, or is woken, comes to the end again.
			for (const next of this.#waiting) {
				this.#waiting.delete(next);
				if (next.work?.()) this.#waiting.add(next);
			}
		} finally {
			this.#isWorking = false;
		}
	}
}
