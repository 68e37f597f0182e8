import fc from "fast-check";
import { expect, test } from "vitest";
import { type CachedLeaf, type CachedTable, GLOBAL, Iotlb } from "./iotlb.js";

const bytes = (page: number) => BigInt(page) << 12n;
const leaf = (firstPage: number, pagesLg2 = 0, guestPage = firstPage) => ({
	firstPage,
	pagesLg2,
	guestPage,
	protection: 3,
	isDirty: true,
});
/** What is cached of a page, if anything. */
const leafOf = (tlb: Iotlb, asid: number, page: number) => {
	const found = {} as CachedLeaf;
	return tlb.findLeaf(asid, page, found) ? found : undefined;
};
const tableOf = (tlb: Iotlb, asid: number, page: number) => {
	const found = {} as CachedTable;
	return tlb.findTable(asid, page, found) ? found : undefined;
};

test("a leaf is found by any of its pages, in its address space", () => {
	const tlb = new Iotlb();
	tlb.addLeaf(1, leaf(512, 9));
	expect([
		leafOf(tlb, 1, 511),
		leafOf(tlb, 1, 512),
		leafOf(tlb, 1, 1023),
		leafOf(tlb, 1, 1024),
		leafOf(tlb, 2, 512),
	]).toEqual([undefined, leaf(512, 9), leaf(512, 9), undefined, undefined]);
	tlb.addLeaf(GLOBAL, leaf(7));
	expect(leafOf(tlb, 2, 7)).toEqual(leaf(7));
});

test("the lowest table on the way is found first", () => {
	const tlb = new Iotlb();
	const table = (level: number) => ({ page: level + 7, level, protection: 3 });
	tlb.addTable(1, 600, 18, 8, 1, 3);
	tlb.addTable(1, 600, 9, 7, 0, 3);
	expect([tableOf(tlb, 1, 512), tableOf(tlb, 1, 0), tableOf(tlb, 1, 2 ** 18)]).toEqual([table(0), table(1), undefined]);
	tlb.invalidate(bytes(512), bytes(513) - 1n, { leavesOnly: true });
	expect(tableOf(tlb, 1, 600)).toEqual(table(0));
	tlb.invalidate(bytes(512), bytes(513) - 1n);
	expect(tableOf(tlb, 1, 600)).toBeUndefined();
});

test("an invalidation that ends with the address space ends there", () => {
	const tlb = new Iotlb();
	tlb.addLeaf(0, leaf(2 ** 52 - 1));
	tlb.invalidate(0n, bytes(2 ** 52 - 1) - 1n);
	expect(leafOf(tlb, 0, 2 ** 52 - 1)).toBeDefined();
	tlb.invalidate(0n, (1n << 64n) - 1n);
	expect(leafOf(tlb, 0, 2 ** 52 - 1)).toBeUndefined();
});

test("when the second stage was flushed, nothing is left", () => {
	const tlb = new Iotlb();
	tlb.followSecondStage(3);
	tlb.addLeaf(0, leaf(5));
	tlb.followSecondStage(3);
	expect(leafOf(tlb, 0, 5)).toBeDefined();
	tlb.followSecondStage(4);
	expect(leafOf(tlb, 0, 5)).toBeUndefined();
});

test("random fills and invalidations agree with a map from page to page", () => {
	const asid = fc.constantFrom(1, 2, GLOBAL);
	const fill = fc.record({ asid, page: fc.nat(63), lg2: fc.constantFrom(0, 2, 4) });
	const invalidation = fc.record({ asid: fc.option(asid), first: fc.nat(63), count: fc.integer({ min: 1, max: 64 }) });
	fc.assert(
		fc.property(fc.array(fc.oneof(fill, invalidation), { maxLength: 40 }), (steps) => {
			const tlb = new Iotlb();
			let model: { asid: number; first: number; count: number }[] = [];
			for (const step of steps) {
				if ("lg2" in step) {
					const first = step.page - (step.page % 2 ** step.lg2);
					tlb.addLeaf(step.asid, leaf(first, step.lg2));
					model.push({ asid: step.asid, first, count: 2 ** step.lg2 });
				} else {
					const last = bytes(step.first + step.count) - 1n;
					tlb.invalidate(bytes(step.first), last, step.asid === null ? {} : { asid: step.asid });
					const meets = (first: number, count: number) => first < step.first + step.count && step.first < first + count;
					const concerns = (tag: number) => step.asid === null || tag === step.asid || tag === GLOBAL;
					model = model.filter((entry) => !concerns(entry.asid) || !meets(entry.first, entry.count));
				}
				for (const space of [1, 2])
					for (let page = 0; page < 64; page++) {
						const isIn = model.some(
							(entry) =>
								(entry.asid === space || entry.asid === GLOBAL) &&
								entry.first <= page &&
								page < entry.first + entry.count,
						);
						expect(leafOf(tlb, space, page) !== undefined).toBe(isIn);
					}
			}
		}),
		{ numRuns: 50 },
	);
});
