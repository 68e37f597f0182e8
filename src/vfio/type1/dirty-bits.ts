// Which pages of a mapping are told to be dirty, bit by bit, as a program gets them. update_user_bitmap() in
// drivers/vfio/vfio_iommu_type1.c.
//
// A device that can do DMA may have written any page of a mapping, so all of them are dirty each time that somebody asks. What
// there is to remember are the bits behind the last page: Linux shifts the whole bitmap to where the mapping begins in the program's, puts
// together the word in which one ends and the next one begins, and clears the pages' own bits only. What is left behind them comes out the next time.

import { type AddressSpace, copyIn, copyOut } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { worked } from "../../uapi/slices.js";

const WORD_BITS = 64;
const WORD_BYTES = 8;
const ALL_ONES = (1n << 64n) - 1n;

/** The bits of a bitmap are counted as ints. */
const MOST_PAGES = 2 ** 31 - 1;
/** What a bitmap can take at most, in bytes. */
export const LARGEST_BITMAP = bitmapBytes(MOST_PAGES);

const word = new Uint8Array(WORD_BYTES);
const wordView = new DataView(word.buffer);
const ones = new Uint8Array(64 * 1024).fill(0xff);

/** How many bytes a bitmap of so many pages takes: whole words. */
export function bitmapBytes(pages: number): number {
	return Math.ceil(pages / WORD_BITS) * WORD_BYTES;
}

export class DirtyBits {
	/** Pages, as the bitmap counts them. */
	readonly #count: number;
	/** What is behind the bits of the pages, from the next bit on. */
	#behind = 0n;

	/** @throws EINVAL for more pages than a bitmap can have */
	constructor(count: number) {
		if (count > MOST_PAGES)
			throw new Errno(
				"EINVAL",
				`dirty pages can't be tracked in a mapping of ${count}, only of up to ${MOST_PAGES}`,
				"dirty-pages",
			);
		this.#count = count;
	}

	/**
	 * Writes the bits to a program's bitmap, and forgets those of the pages.
	 * @param bit where the mapping begins in the bitmap
	 * @throws EFAULT
	 */
	writeTo(memory: AddressSpace, bitmap: number, bit: number): void {
		const shift = BigInt(bit % WORD_BITS);
		const address = bitmap + Math.floor(bit / WORD_BITS) * WORD_BYTES;
		// Below `full` all words are ones; the tail is what follows them, of the last pages and behind.
		const full = Math.floor(this.#count / WORD_BITS);
		const inTail = BigInt(this.#count % WORD_BITS);
		const tail = ((1n << inTail) - 1n) | (this.#behind << inTail);
		const words = Math.ceil((this.#count + Number(shift)) / WORD_BITS);
		let head = full > 0 ? ALL_ONES : 0n;
		let rest = tail;
		if (shift > 0n) {
			const writtenBits = BigInt((words - full) * WORD_BITS);
			const carried = full > 0 ? (1n << shift) - 1n : 0n;
			const shifted = ((tail << shift) | carried) & ((1n << writtenBits) - 1n);
			rest = ((tail >> writtenBits) << writtenBits) | shifted;
			copyIn(memory, address, word, "the bitmap");
			const before = wordView.getBigUint64(0, true);
			head = (ALL_ONES << shift) & ALL_ONES & head;
			if (full > 0) head |= before;
			else rest |= before;
		}
		this.#behind = rest >> inTail;
		if (full > 0) {
			writeWord(memory, address, head);
			writeOnes(memory, address + WORD_BYTES, (full - 1) * WORD_BYTES);
		}
		for (let at = full; at < words; at++)
			writeWord(memory, address + at * WORD_BYTES, (rest >> BigInt((at - full) * WORD_BITS)) & ALL_ONES);
	}
}

function writeWord(memory: AddressSpace, address: number, value: bigint): void {
	wordView.setBigUint64(0, value, true);
	copyOut(memory, address, word, "the bitmap");
}

function writeOnes(memory: AddressSpace, address: number, length: number): void {
	for (let done = 0; done < length; done += ones.length) {
		copyOut(memory, address + done, ones.subarray(0, Math.min(ones.length, length - done)), "the bitmap");
		worked(ones.length >> 4);
	}
}
