// Doorbell pages: words of 32 bits, plain memory, of which a device wants to know the last value only.
//
// While there is traffic they are looked at again and again, which costs who rings nothing. When all has been quiet for a moment, they
// are made read-only where programs have them mapped, by the same userfaultfd. Then they are looked at once more, for what was stored
// before that; and so the next store is a fault, which wakes us. Between nothing is lost, and nothing is done while it is quiet.

import type { Stretch } from "./layout.js";
import { SharedPages } from "./shared-pages.js";

/** How long it has to be quiet, in milliseconds. */
const QUIET = 1;
/** How long they are looked at before other things are, in milliseconds. */
const AT_ONCE = 0.05;
/** Words that have rung are looked at each time, all others once in so many times. */
const LOOKS_AT_ALL = 1024;
/** How many words are remembered as those that ring. */
const MOST_RINGING = 64;

interface Page {
	readonly shared: SharedPages;
	readonly words: Int32Array;
	/** The value of each word when it was last looked at. */
	readonly seen: Int32Array;
}

/** A word of a page. */
interface Bell {
	readonly words: Int32Array;
	readonly seen: Int32Array;
	readonly word: number;
	readonly fileOffset: number;
}

export class Doorbells {
	readonly #pages: Page[];
	readonly #rang: (fileOffset: number, value: number) => void;
	readonly #protect: (isProtected: boolean) => void;
	/** What has rung lately. */
	#ringing: Bell[] = [];
	#isAwake = false;
	#areAway = false;
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
		this.#pages = stretches.map(({ start, end }) => {
			const shared = new SharedPages(fd, start, end - start);
			return { shared, words: shared.words, seen: shared.words.slice() };
		});
		this.#rang = rang;
		this.#protect = protect;
	}

	/** Whether stores are seen by looking. Otherwise each would be a fault. */
	get isAwake(): boolean {
		return this.#isAwake;
	}

	/** Something is stored, or may be: somebody has just mapped a page, or was stopped at a store. */
	wake(): void {
		if (this.#isAwake || this.#areAway) return;
		this.#isAwake = true;
		this.#lastRing = performance.now();
		this.#protect(false);
	}

	/** Makes holes of them. Nobody rings until they are brought back. */
	takeAway(): void {
		this.lookAtAll();
		this.#isAwake = false;
		this.#areAway = true;
		for (const { shared } of this.#pages) shared.makeHole();
	}

	/** Each has the value again that was heard last. */
	bringBack(): void {
		this.#areAway = false;
		for (const { words, seen } of this.#pages) words.set(seen);
	}

	/** Gives a word a value that nobody has rung it with. */
	set(fileOffset: number, value: number): void {
		const page = this.#pages.find(
			({ shared: { start }, words }) => start <= fileOffset && fileOffset < start + words.byteLength,
		);
		if (page === undefined) return;
		const word = (fileOffset - page.shared.start) / 4;
		page.seen[word] = value;
		if (!this.#areAway) Atomics.store(page.words, word, value);
	}

	/**
	 * Looks for some microseconds, or until the device has something to do; and goes to sleep when it is time.
	 * @param isWanted whether there is something else to do
	 */
	look(isWanted: () => boolean): void {
		const start = performance.now();
		for (let now = start; now - start < AT_ONCE && !isWanted(); now = performance.now()) {
			let hasRung = this.lookAtAll();
			for (let look = 0; look < LOOKS_AT_ALL && !isWanted(); look++) if (this.#lookAtRinging()) hasRung = true;
			if (hasRung) this.#lastRing = now;
			else if (now - this.#lastRing > QUIET) {
				this.#sleep();
				return;
			}
		}
	}

	/** Looks once, before something else is done. */
	hear(): void {
		if (this.lookAtAll()) this.#lastRing = performance.now();
	}

	/** @returns whether anything has rung */
	lookAtAll(): boolean {
		let hasRung = false;
		if (this.#areAway) return hasRung;
		for (const page of this.#pages) {
			const { words, seen, shared } = page;
			for (let word = 0; word < words.length; word++) {
				if (Atomics.load(words, word) === seen[word]) continue;
				const bell = { words, seen, word, fileOffset: shared.start + 4 * word };
				this.#remember(bell);
				this.#hear(bell);
				hasRung = true;
			}
		}
		return hasRung;
	}

	close(): void {
		for (const { shared } of this.#pages) shared.close();
	}

	#lookAtRinging(): boolean {
		const ringing = this.#ringing;
		let hasRung = false;
		for (let at = 0; at < ringing.length; at++) {
			const bell = ringing[at];
			if (Atomics.load(bell.words, bell.word) === bell.seen[bell.word]) continue;
			this.#hear(bell);
			hasRung = true;
		}
		return hasRung;
	}

	#hear({ words, seen, word, fileOffset }: Bell): void {
		const value = Atomics.load(words, word);
		seen[word] = value;
		this.#rang(fileOffset, value >>> 0);
	}

	#remember(bell: Bell): void {
		if (this.#ringing.some(({ fileOffset }) => fileOffset === bell.fileOffset)) return;
		if (this.#ringing.length === MOST_RINGING) this.#ringing = [];
		this.#ringing.push(bell);
	}

	#sleep(): void {
		this.#isAwake = false;
		this.#protect(true);
		if (this.lookAtAll()) this.wake();
	}
}
