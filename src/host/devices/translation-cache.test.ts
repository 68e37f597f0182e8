import fc from "fast-check";
import { expect, test } from "vitest";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TranslationCache } from "./translation-cache.js";

const RW = READ | WRITE;

test("what is known is found, page by page, with how far it goes on", () => {
	const cache = new TranslationCache();
	cache.add(0, 0x210, 32, { protection: RW, fd: 7, process: 1 }, 0x10000);
	cache.add(3, 5, 2, { protection: READ, fd: 8, process: 2 }, 0x8000);
	const found = (pasid: number, page: number, protection: number) =>
		cache.find(pasid, page, protection) ? [cache.fd, cache.at, cache.length] : undefined;
	expect(found(0, 0x210, WRITE)).toEqual([7, 0x10000, 32 * 4096]);
	expect(found(0, 0x22f, READ)).toEqual([7, 0x10000 + 31 * 4096, 4096]);
	expect([found(0, 0x20f, READ), found(0, 0x230, READ), found(1, 0x210, READ)]).toEqual([
		undefined,
		undefined,
		undefined,
	]);
	expect([found(3, 6, READ), found(3, 6, WRITE)]).toEqual([[8, 0x9000, 4096], undefined]);
	cache.clear();
	expect([found(0, 0x210, READ), found(3, 6, READ)]).toEqual([undefined, undefined]);
});

test("a page is never found but as it was told since all was forgotten", () => {
	const step = fc.record({
		pasid: fc.integer({ min: 0, max: 1 }),
		page: fc.integer({ min: 0, max: 3000 }).map((page) => (page % 3 === 0 ? page + 2 ** 40 : page)),
		pages: fc.integer({ min: 1, max: 40 }),
		protection: fc.constantFrom(READ, WRITE, RW),
		fd: fc.integer({ min: 3, max: 5 }),
		isLast: fc.boolean(),
	});
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
			const cache = new TranslationCache();
			let told: typeof steps = [];
			for (const one of steps) {
				const { pasid, page, protection, fd, isLast } = one;
				const pages = Math.min(one.pages, 512 - (page % 512));
				cache.add(pasid, page, pages, { protection, fd, process: 0 }, page * 4096 + fd);
				told.push({ ...one, pages });
				expect(cache.find(pasid, page + pages - 1, protection)).toBe(true);
				if (!isLast) continue;
				cache.clear();
				told = [];
			}
			for (const { pasid, page } of steps)
				for (let each = page - 1; each < page + 41; each++)
					for (const wanted of [READ, WRITE]) {
						if (!cache.find(pasid, each, wanted)) continue;
						const isTold = told.some(
							(one) =>
								one.pasid === pasid &&
								one.fd === cache.fd &&
								one.page <= each &&
								each < one.page + one.pages &&
								(one.protection & wanted) !== 0,
						);
						expect([isTold, cache.at]).toEqual([true, each * 4096 + cache.fd]);
					}
		}),
	);
});
