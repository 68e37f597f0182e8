// Logical blocks on their way to the store and back. What goes wrong there is said in words; the command's status follows from what it
// wanted: Unrecovered Read Error, or Write Fault.

import type { Health } from "./health.js";
import type { Namespace } from "./namespace.js";

export class Media {
	readonly #health: Health;

	constructor(health: Health) {
		this.#health = health;
	}

	/** @returns undefined when all was read, else why not */
	read(namespace: Namespace, first: number, count: number, into: Uint8Array): string | undefined {
		const bad = namespace.uncorrectable.find(first, count);
		if (bad !== undefined) {
			this.#health.mediaErrors++;
			return `block ${bad} can't be read since Write Uncorrectable, until it is written`;
		}
		try {
			namespace.store.read(first * namespace.blockSize, into);
			return undefined;
		} catch (error) {
			return this.#failure(error);
		}
	}

	write(namespace: Namespace, first: number, count: number, from: Uint8Array): string | undefined {
		try {
			namespace.store.write(first * namespace.blockSize, from);
		} catch (error) {
			return this.#failure(error);
		}
		namespace.uncorrectable.delete(first, count);
		return undefined;
	}

	/** Makes blocks read as zeroes. */
	empty(namespace: Namespace, first: number, count: number): string | undefined {
		try {
			namespace.store.discard(first * namespace.blockSize, count * namespace.blockSize);
		} catch (error) {
			return this.#failure(error);
		}
		namespace.uncorrectable.delete(first, count);
		return undefined;
	}

	flush(namespace: Namespace): string | undefined {
		try {
			namespace.store.flush();
			return undefined;
		} catch (error) {
			return this.#failure(error);
		}
	}

	#failure(error: unknown): string {
		this.#health.mediaErrors++;
		return `the store failed: ${error instanceof Error ? error.message : String(error)}`;
	}
}
