import fc from "fast-check";
import { expect, test } from "vitest";
import { alignDown, floorLg2, highWord, isAligned, lowWord, powerOfTwo, trailingZeros } from "./bits.js";

const address = fc.oneof(
	fc.maxSafeNat(),
	fc.nat(52).map((n) => 2 ** n),
	fc.nat(52).map((n) => 2 ** n - 1),
);

test("what is done with doubles is what would be done with 64-bit integers", () => {
	fc.assert(
		fc.property(address, fc.nat(52), (value, lg2) => {
			const exact = BigInt(value);
			expect(BigInt.asIntN(32, exact)).toBe(BigInt(lowWord(value)));
			expect(exact >> 32n).toBe(BigInt(highWord(value)));
			expect(BigInt(alignDown(value, lg2))).toBe((exact >> BigInt(lg2)) << BigInt(lg2));
			expect(isAligned(value, lg2)).toBe(exact % (1n << BigInt(lg2)) === 0n);
			if (value === 0) return;
			expect(floorLg2(value)).toBe(exact.toString(2).length - 1);
			expect(trailingZeros(value)).toBe(exact.toString(2).length - exact.toString(2).lastIndexOf("1") - 1);
		}),
		{ numRuns: 500 },
	);
	expect(trailingZeros(0)).toBe(64);
	expect(powerOfTwo(64)).toBe(2 ** 64);
});
