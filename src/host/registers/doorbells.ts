// Doorbell pages: words of 32 bits, plain memory, of which a device wants to know the last value only.
//
// While there is traffic they are looked at again and again, which costs who rings nothing. When all has been quiet for a moment, they
// are made read-only where programs have them mapped, by the same userfaultfd. Then they are looked at once more, for what was stored
// before that; and so the next store is a fault, which wakes us. Between nothing is lost, and nothing is done while it is quiet.

import type { Stretch } from "./layout.js";
import { SharedPages } from "./shared-pages.js";

/** How long it has to be quiet, in milliseconds. */
const QUIET = 1;
/** Words that have rung are looked at each time, all others once in so many times. */
const LOOKS_AT_ALL = 64;
/** How many words are remembered as those that ring. */
const MOST_RINGING = 64;

export class Doorbells {
	readonly #pages: SharedPages[];
	readonly #seen: Int32Array[];
	readonly #rang: (fileOffset: number, value: number) => void;
	readonly #protect: (isProtected: boolean) => void;
	/** Pages and words in them that have rung lately. */
	#ringing: { readonly page: number; readonly word: number }[] = [];
	#isAwake = false;
	#looks = 0;
	#lastRing = 0;

	/**
	 * @param rang is told of a new value
	 * @param protect makes the pages read-only wherever they are mapped, or lets go of that
	 */
	constructor(
		fd: number,
		stretches: readonly Stretch[],
		rang: (fileOffset: number, value: number) => void,
		protect: (isProtected: boolean) => void,
	) {
		this.#pages = stretches.map(({ start, end }) => new SharedPages(fd, start, end - start));
		this.#seen = this.#pages.map(({ words }) => words.slice());
		this.#rang = rang;
		this.#protect = protect;
	}

	/** Whether stores are seen by looking. Otherwise each would be a fault. */
	get isAwake(): boolean {
		return this.#isAwake;
	}

	/** Something is stored, or may be: somebody has just mapped a page, or was stopped at a store. */
	wake(): void {
		if (this.#isAwake) return;
		this.#isAwake = true;
		this.#lastRing = performance.now();
		this.#protect(false);
	}

	/**
	 * Looks for some microseconds, or until something has rung; and goes to sleep when it is time.
	 * @param times how often
	 */
	look(times: number): void {
		for (let time = 0; time < times; time++) {
			const hasRung = ++this.#looks % LOOKS_AT_ALL === 0 ? this.lookAtAll() : this.#lookAtRinging();
			if (hasRung) {
				this.#lastRing = performance.now();
				return;
			}
		}
		if (performance.now() - this.#lastRing > QUIET) this.#sleep();
	}

	/** @returns whether anything has rung */
	lookAtAll(): boolean {
		let hasRung = false;
		for (let page = 0; page < this.#pages.length; page++) {
			const { words } = this.#pages[page];
			const seen = this.#seen[page];
			for (let word = 0; word < words.length; word++) {
				if (Atomics.load(words, word) === seen[word]) continue;
				this.#remember(page, word);
				this.#see(page, word);
				hasRung = true;
			}
		}
		return hasRung;
	}

	close(): void {
		for (const page of this.#pages) page.close();
	}

	#lookAtRinging(): boolean {
		const ringing = this.#ringing;
		let hasRung = false;
		for (let at = 0; at < ringing.length; at++) {
			const { page, word } = ringing[at];
			if (Atomics.load(this.#pages[page].words, word) === this.#seen[page][word]) continue;
			this.#see(page, word);
			hasRung = true;
		}
		return hasRung;
	}

	#see(page: number, word: number): void {
		const value = Atomics.load(this.#pages[page].words, word);
		this.#seen[page][word] = value;
		this.#rang(this.#pages[page].start + 4 * word, value >>> 0);
	}

	#remember(page: number, word: number): void {
		if (this.#ringing.some((other) => other.page === page && other.word === word)) return;
		if (this.#ringing.length === MOST_RINGING) this.#ringing = [];
		this.#ringing.push({ page, word });
	}

	#sleep(): void {
		this.#isAwake = false;
		this.#protect(true);
		if (this.lookAtAll()) this.wake();
	}
}
