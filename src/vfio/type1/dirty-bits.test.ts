import fc from "fast-check";
import { expect, test } from "vitest";
import { ArraySpace } from "../../memory/array-space.js";
import { codeOf } from "../../uapi/errno.js";
import { bitmapBytes, DirtyBits, LARGEST_BITMAP } from "./dirty-bits.js";

const ADDRESS = 0x1000;

/** The kernel's bitmap of a mapping: one word more than its pages take, so that it can be shifted. */
class KernelBitmap {
	readonly #words: bigint[];
	readonly #count: number;

	constructor(count: number) {
		this.#count = count;
		this.#words = new Array(Math.ceil(count / 64) + 1).fill(0n);
	}

	report(memory: bigint[], bit: number): void {
		const words = this.#words;
		for (let i = 0; i < this.#count; i++) words[i >> 6] |= 1n << BigInt(i & 63);
		const shift = BigInt(bit % 64);
		const at = Math.floor(bit / 64);
		const used = Math.ceil((this.#count + Number(shift)) / 64);
		if (shift > 0n) {
			for (let k = used - 1; k >= 0; k--)
				words[k] = ((words[k] << shift) | (k > 0 ? words[k - 1] >> (64n - shift) : 0n)) & ((1n << 64n) - 1n);
			words[0] |= memory[at];
		}
		for (let k = 0; k < used; k++) memory[at + k] = words[k];
		for (let i = 0; i < this.#count; i++) words[i >> 6] &= ~(1n << BigInt(i & 63));
	}
}

test("a bitmap takes whole words, and as many pages as an int counts", () => {
	expect([1, 64, 65].map(bitmapBytes)).toEqual([8, 8, 16]);
	expect(LARGEST_BITMAP).toBe(2 ** 28);
	expect(codeOf(() => new DirtyBits(2 ** 31))).toBe("EINVAL");
	expect(codeOf(() => new DirtyBits(2 ** 31 - 1))).toBe("ok");
});

test("what a program gets is what Linux's bitmap gives, shifted as it is, whatever was asked for before", () => {
	const asked = fc.array(fc.nat(200), { minLength: 1, maxLength: 6 });
	const before = fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: 16, maxLength: 16 });
	fc.assert(
		fc.property(fc.integer({ min: 1, max: 300 }), asked, before, (count, bits, words) => {
			const space = new ArraySpace();
			const bytes = space.map(ADDRESS, 4096);
			bytes.set(new Uint8Array(BigUint64Array.from(words).buffer));
			const expected = [...words];
			const ours = new DirtyBits(count);
			const kernel = new KernelBitmap(count);
			for (const bit of bits) {
				ours.writeTo(space, ADDRESS, bit);
				kernel.report(expected, bit);
				expect([...new BigUint64Array(bytes.buffer, bytes.byteOffset, expected.length)]).toEqual(expected);
			}
		}),
	);
});

test("a bitmap that isn't there is EFAULT", () => {
	const space = new ArraySpace();
	expect(codeOf(() => new DirtyBits(10).writeTo(space, ADDRESS, 0))).toBe("EFAULT");
	expect(codeOf(() => new DirtyBits(10).writeTo(space, ADDRESS, 3))).toBe("EFAULT");
});

test("a large mapping's bits are written without a bit being looked at", () => {
	const space = new ArraySpace();
	const bytes = space.map(ADDRESS, 1 << 20);
	new DirtyBits(8 * (1 << 20) - 3).writeTo(space, ADDRESS, 3);
	expect(bytes[0]).toBe(0xf8);
	expect(bytes.subarray(1).every((byte) => byte === 0xff)).toBe(true);
});
