// Where a function's DMA has led so far, as the supervisor has told: a device's own cache of translations. It counts until the
// function's state has another generation, and then all of it is forgotten.
//
// There are two tables, in both of which each place belongs to one address: for stretches, by the window of 2 MiB that they lie in, and for
// single pages, of memory that lies scattered. Nothing is made for a look-up.

import { PAGE_SIZE } from "../../memory/address-space.js";

const WINDOW_PAGES = 512;
/** Less than that is remembered page by page: two such stretches in one window would drive each other out. */
const LEAST_STRETCH = 16;
const WINDOWS = 4096;
const PAGES = 8192;

/** How some pages are reached. */
export interface Way {
	/** READ, WRITE */
	readonly protection: number;
	readonly fd: number;
	/** Whose memory that is; 0 for our own. */
	readonly process: number;
}

class Table {
	/** The first page that is known, -1 for none; and the one after the last. */
	readonly first: Float64Array;
	readonly end: Float64Array;
	readonly pasid: Int32Array;
	readonly protection: Uint8Array;
	readonly fd: Int32Array;
	/** Whose memory that is about, 0 for our own. */
	readonly process: Int32Array;
	/** In the file, in bytes: where the first page is. */
	readonly at: Float64Array;

	constructor(size: number) {
		this.first = new Float64Array(size).fill(-1);
		this.end = new Float64Array(size);
		this.pasid = new Int32Array(size);
		this.protection = new Uint8Array(size);
		this.fd = new Int32Array(size);
		this.process = new Int32Array(size);
		this.at = new Float64Array(size);
	}

	has(slot: number, pasid: number, page: number, protection: number): boolean {
		return (
			page >= this.first[slot] &&
			page < this.end[slot] &&
			this.first[slot] >= 0 &&
			this.pasid[slot] === pasid &&
			(this.protection[slot] & protection) === protection
		);
	}

	set(slot: number, pasid: number, first: number, end: number, { protection, fd, process }: Way, at: number): void {
		this.first[slot] = first;
		this.end[slot] = end;
		this.pasid[slot] = pasid;
		this.protection[slot] = protection;
		this.fd[slot] = fd;
		this.process[slot] = process;
		this.at[slot] = at;
	}
}

export class TranslationCache {
	readonly #windows = new Table(WINDOWS);
	readonly #pages = new Table(PAGES);
	#isEmpty = true;
	// What find() found.
	/** The fd of a file that has the page. */
	fd = -1;
	process = 0;
	/** Where it is in that, in bytes, and how many bytes follow on from there. */
	at = 0;
	length = 0;

	/** @param protection READ or WRITE @returns whether it is known */
	find(pasid: number, page: number, protection: number): boolean {
		const window = windowOf(page);
		if (this.#windows.has(window, pasid, page, protection)) return this.#take(this.#windows, window, page);
		const slot = page % PAGES;
		return this.#pages.has(slot, pasid, page, protection) && this.#take(this.#pages, slot, page);
	}

	#take(table: Table, slot: number, page: number): true {
		this.fd = table.fd[slot];
		this.process = table.process[slot];
		this.at = table.at[slot] + (page - table.first[slot]) * PAGE_SIZE;
		this.length = (table.end[slot] - page) * PAGE_SIZE;
		return true;
	}

	/** Pages that follow each other, in one window. */
	add(pasid: number, first: number, pages: number, way: Way, at: number): void {
		this.#isEmpty = false;
		if (pages >= LEAST_STRETCH) {
			this.#windows.set(windowOf(first), pasid, first, first + pages, way, at);
			return;
		}
		for (let page = first; page < first + pages; page++)
			this.#pages.set(page % PAGES, pasid, page, page + 1, way, at + (page - first) * PAGE_SIZE);
	}

	clear(): void {
		if (this.#isEmpty) return;
		this.#windows.first.fill(-1);
		this.#pages.first.fill(-1);
		this.#isEmpty = true;
	}
}

function windowOf(page: number): number {
	return Math.floor(page / WINDOW_PAGES) % WINDOWS;
}
