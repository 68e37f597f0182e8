// What formats write leaves with: the same 64-bit entry again and again, with an address that grows.

import { highWord, lowWord, powerOfTwo } from "../bits.js";

/**
 * Leaves of one item each, where an entry is an address and bits beside it.
 * @param addressShift bit of an entry at which a frame number stands
 */
export function storePages(
	words: Uint32Array,
	index: number,
	pages: number,
	size: number,
	frame: number,
	addressShift: number,
	lowBits: number,
	highBits: number,
): void {
	const low = (lowWord(frame) << addressShift) | lowBits;
	const high = highWord(frame * powerOfTwo(addressShift)) | highBits;
	storeEntries(words, index, pages, 1, low, high, powerOfTwo(size + addressShift));
}

/** Entries that differ by `step`, each written to `items` items in a row. The low words carry into the high ones. */
export function storeEntries(
	words: Uint32Array,
	index: number,
	entries: number,
	items: number,
	low: number,
	high: number,
	step: number,
): void {
	if (items === 1 && step < CARRY) {
		storeSmallSteps(words, index, entries, low, high, step);
		return;
	}
	const stepLow = lowWord(step);
	const stepHigh = highWord(step);
	let at = 2 * index;
	for (let entry = 0; entry < entries; entry++) {
		for (let item = 0; item < items; item++, at += 2) {
			words[at] = low;
			words[at + 1] = high;
		}
		low = (low + stepLow) | 0;
		high = (high + stepHigh) | 0;
		if (low >>> 0 < stepLow >>> 0) high = (high + 1) | 0;
	}
}

const CARRY = 2 ** 32;

/** Entries of one item each, from one carry of the low word into the high one to the next. */
function storeSmallSteps(
	words: Uint32Array,
	index: number,
	entries: number,
	low: number,
	high: number,
	step: number,
): void {
	let from = index;
	for (let left = entries; left > 0; high++) {
		const beforeCarry = Math.min(left, Math.ceil((CARRY - (low >>> 0)) / step) | 0);
		storeRun(words, from, from + beforeCarry, low, high, step);
		low = lowWord(low + beforeCarry * step);
		from += beforeCarry;
		left -= beforeCarry;
	}
}

/**
 * Most leaves are pages of 4 KiB, so this is the loop that counts. `| 0` tells the compiler that there are only integers
 * that fit in 32 bits, so that it need not look at each sum whether it still does.
 */
function storeRun(words: Uint32Array, from: number, to: number, low: number, high: number, step: number): void {
	const high32 = high | 0;
	const step32 = step | 0;
	const end = (2 * to) | 0;
	const endOfFours = (end - 6) | 0;
	let low32 = low | 0;
	let at = (2 * from) | 0;
	for (; at < endOfFours; at = (at + 8) | 0) {
		words[at] = low32;
		words[(at + 1) | 0] = high32;
		words[(at + 2) | 0] = low32 = (low32 + step32) | 0;
		words[(at + 3) | 0] = high32;
		words[(at + 4) | 0] = low32 = (low32 + step32) | 0;
		words[(at + 5) | 0] = high32;
		words[(at + 6) | 0] = low32 = (low32 + step32) | 0;
		words[(at + 7) | 0] = high32;
		low32 = (low32 + step32) | 0;
	}
	for (; at < end; at = (at + 2) | 0) {
		words[at] = low32;
		words[(at + 1) | 0] = high32;
		low32 = (low32 + step32) | 0;
	}
}

/** The names of the bits that are set. */
export function bitNames(word: number, names: readonly (readonly [mask: number, name: string])[]): string[] {
	return names.filter(([mask]) => (word & mask) === mask).map(([, name]) => name);
}
