// A 64-bit address as the number of its page of 4096 bytes and an offset in that: two numbers that are exact, where the
// address itself would have to be a bigint. Each operation on a bigint makes another one; on the path of a mapping that
// takes longer than the mapping. Through an array an address is taken apart without making any.

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

const PAGES_PER_HIGH_HALF = 2 ** 20;
const OFFSET = 0xfff;

/** The page that an address lies in. */
export function pageOf(address: bigint): number {
	whole[0] = address;
	return halves[1] * PAGES_PER_HIGH_HALF + (halves[0] >>> 12);
}

/** Where in its page an address lies. */
export function offsetInPage(address: bigint): number {
	whole[0] = address;
	return halves[0] & OFFSET;
}

/** The address of a place in a page. */
export function addressOf(page: number, offset: number): bigint {
	halves[1] = page / PAGES_PER_HIGH_HALF;
	halves[0] = ((page % PAGES_PER_HIGH_HALF) << 12) | offset;
	return whole[0];
}
