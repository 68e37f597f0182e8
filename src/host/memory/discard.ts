// Gives memory of our own back to the system, while its array stays: madvise(2). The garbage collector would do it too, some day, and we
// may be idle for hours.

import { addressOf, madvise } from "../linux/libc.js";

const MADV_DONTNEED = 4;
const PAGE_SIZE = 4096;

/** See Discard in pagetable/table-memory.ts. What is private memory reads as zeroes afterwards. */
export function discard(words: Uint32Array): boolean {
	const { byteLength } = words;
	const bytes = new Uint8Array(words.buffer, words.byteOffset, byteLength);
	const address = addressOf(bytes);
	const head = -address & (PAGE_SIZE - 1);
	const tail = (address + byteLength) & (PAGE_SIZE - 1);
	const whole = byteLength - head - tail;
	if (whole <= 0 || madvise(address + head, whole, MADV_DONTNEED) !== 0) return false;
	bytes.fill(0, 0, head);
	bytes.fill(0, byteLength - tail);
	return true;
}
