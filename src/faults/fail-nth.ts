// The nth place that is come by fails, and no other.

import type { FaultInjector, FaultKind } from "./faults.js";

export class FailNth implements FaultInjector {
	readonly #nth: number;
	#passed = 0;
	/** What was made to fail, if we have come so far. */
	failed: { readonly kind: FaultKind; readonly what: string } | undefined;

	/** @param nth from 1 on; 0 for none */
	constructor(nth: number) {
		this.#nth = nth;
	}

	/** How many places have been come by. */
	get passed(): number {
		return this.#passed;
	}

	shouldFail(kind: FaultKind, what: string): boolean {
		if (++this.#passed !== this.#nth) return false;
		this.failed = { kind, what };
		return true;
	}
}
