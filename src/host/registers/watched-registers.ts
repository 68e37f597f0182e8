// Registers whose accesses we don't hear of, because a thread can't be stopped or its memory not be registered: a page of theirs
// is plain memory, in which we show what reading them gives and look for what was stored. It is the best that there is then, and less
// than the real thing: a store is seen late, one of the same value never, and a load doesn't do what it does in the device,
// while to show a register does that, unless the model can tell its value otherwise.

import { PAGE_SIZE } from "../../memory/address-space.js";
import type { MappableBar } from "./layout.js";
import type { RegisterBus } from "./register-bus.js";
import { SharedPages } from "./shared-pages.js";

interface Page {
	readonly pages: SharedPages;
	readonly bar: MappableBar;
	/** Of its first byte in the BAR. */
	readonly offset: number;
	/** What we have put there. */
	readonly shown: Int32Array;
}

export class WatchedRegisters {
	readonly #fd: number;
	readonly #bus: RegisterBus;
	readonly #pages = new Map<number, Page>();

	constructor(fd: number, bus: RegisterBus) {
		this.#fd = fd;
		this.#bus = bus;
	}

	get count(): number {
		return this.#pages.size;
	}

	/** @param fileOffset of a page */
	has(fileOffset: number): boolean {
		return this.#pages.has(fileOffset);
	}

	/** Watches a page from now on, if it isn't watched yet. */
	add(fileOffset: number, bar: MappableBar): void {
		if (this.#pages.has(fileOffset)) return;
		const pages = new SharedPages(this.#fd, fileOffset, PAGE_SIZE);
		const page = { pages, bar, offset: fileOffset - bar.fileOffset, shown: pages.words.slice() };
		this.#pages.set(fileOffset, page);
		this.#show(page);
	}

	remove(fileOffset: number): void {
		this.#pages.get(fileOffset)?.pages.close();
		this.#pages.delete(fileOffset);
	}

	/** Does what was stored, and shows what the registers are then. @returns whether anything was stored */
	look(): boolean {
		let wasStored = false;
		for (const page of this.#pages.values()) if (this.#take(page)) wasStored = true;
		for (const page of this.#pages.values()) this.#show(page);
		return wasStored;
	}

	close(): void {
		for (const { pages } of this.#pages.values()) pages.close();
		this.#pages.clear();
	}

	/** Word by word, in the order of their addresses, for the order in which they were stored isn't known. */
	#take({ pages: { words }, shown, bar, offset }: Page): boolean {
		let wasStored = false;
		for (let word = 0; word < words.length; word++) {
			const value = Atomics.load(words, word);
			if (value === shown[word]) continue;
			shown[word] = value;
			wasStored = true;
			if (this.#bus.isDecoding(bar.bar)) this.#bus.write(bar.bar, offset + 4 * word, 4, BigInt(value >>> 0));
		}
		return wasStored;
	}

	#show({ pages: { words }, shown, bar, offset }: Page): void {
		const isDecoding = this.#bus.isDecoding(bar.bar);
		const end = Math.min(words.length, (bar.length - offset) / 4);
		for (let word = 0; word < end; word++) {
			const value = isDecoding ? Number(this.#bus.peek(bar.bar, offset + 4 * word)) | 0 : -1;
			// What the program has stored since must not be lost.
			if (value !== shown[word] && Atomics.compareExchange(words, word, shown[word], value) === shown[word])
				shown[word] = value;
		}
	}
}
