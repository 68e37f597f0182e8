import fc from "fast-check";
import { expect, test } from "vitest";
import { addressOf, offsetInPage, pageOf } from "./page-number.js";

test("any 64-bit address is the place that it is taken apart into", () => {
	const addresses = fc.oneof(fc.bigInt(0n, (1n << 64n) - 1n), fc.constantFrom(0n, 0xfffn, (1n << 64n) - 1n, 1n << 44n));
	fc.assert(
		fc.property(addresses, (address) => {
			expect(pageOf(address)).toBe(Number(address >> 12n));
			expect(offsetInPage(address)).toBe(Number(address & 0xfffn));
			expect(addressOf(pageOf(address), offsetInPage(address))).toBe(address);
		}),
	);
});
