import fc from "fast-check";
import { expect, test } from "vitest";
import { isAligned, trailingZeros } from "./bits.js";
import { PageSizes } from "./page-sizes.js";

const K4 = 1n << 12n;
const M2 = 1n << 21n;
const G1 = 1n << 30n;

test("the best size is bounded by the addresses and by the length", () => {
	const sizes = new PageSizes(K4 | M2 | G1, 12);
	const alike = trailingZeros(0);
	expect(sizes.best(0, 2 ** 18, alike)).toBe(18);
	expect(sizes.best(0, 2 ** 18 - 1, alike)).toBe(9);
	expect(sizes.best(512, 2 ** 30, alike)).toBe(9);
	expect(sizes.best(0, 2 ** 30, trailingZeros(256))).toBe(0);
	expect(new PageSizes(M2, 12).best(1, 2 ** 30, alike)).toBe(-1);
});

test("small pages go on to where the next larger size begins, if it ever can", () => {
	const sizes = new PageSizes(K4 | M2 | G1, 12);
	expect(sizes.countOf(0, 1, 2 ** 20, 9)).toBe(511);
	expect(sizes.countOf(0, 1, 2 ** 20, 8)).toBe(2 ** 20);
	expect(sizes.countOf(9, 512, 2 ** 20, 18)).toBe(511);
	expect(sizes.countOf(18, 0, 2 ** 20 + 5, 64)).toBe(4);
});

/** pt_compute_best_pgsize(), word for word in BigInt. */
function bestInWords(bitmap: bigint, va: bigint, last: bigint, oa: bigint): bigint {
	const length = last - va + 1n;
	const mask = va | oa | (1n << BigInt(length.toString(2).length - 1));
	const limit = mask & -mask;
	let best = 1n << 63n;
	while (best > 0n && (best > limit || !(bitmap & best))) best >>= 1n;
	return best;
}

test("the best size is Linux's, wherever and however long", () => {
	const frame = fc.oneof(
		fc.maxSafeNat(),
		fc.nat(64),
		fc.nat(51).map((n) => 2 ** n),
	);
	const mapping = fc.record({
		va: frame,
		pa: frame,
		count: frame,
		bitmap: fc.bigInt({ min: 1n, max: (1n << 52n) - 1n }),
	});
	fc.assert(
		fc.property(mapping, ({ va, pa, count, bitmap }) => {
			fc.pre(count > 0 && va + count <= 2 ** 52);
			const best = new PageSizes(bitmap << 12n, 12).best(va, count, trailingZeros(Math.abs(va - pa)));
			const linux = bestInWords(bitmap, BigInt(va), BigInt(va + count - 1), BigInt(pa));
			expect(best < 0 ? 0n : 1n << BigInt(best)).toBe(linux);
			if (best > 0) expect(isAligned(va, best) && isAligned(pa, best)).toBe(true);
		}),
		{ numRuns: 2000 },
	);
}, 60_000);
