import fc from "fast-check";
import { expect, test } from "vitest";
import { PAGES_PER_BLOCK, PAGES_PER_CHUNK, PinCounts } from "./pin-counts.js";

test("counts agree with a naive array over random ranges, in whatever pieces they are undone", () => {
	// Ends near borders of the first chunks, where the levels meet; or the ends of the block.
	const nearBorder = fc
		.tuple(fc.nat(5), fc.integer({ min: -2, max: 2 }))
		.map(([chunk, off]) => Math.max(chunk * PAGES_PER_CHUNK + off, 0));
	const edge = fc.oneof({ weight: 9, arbitrary: nearBorder }, fc.constantFrom(0, PAGES_PER_BLOCK));
	const range = fc.tuple(edge, edge).filter(([a, b]) => a !== b);
	fc.assert(
		fc.property(fc.array(fc.tuple(range, fc.constantFrom(1, -1)), { maxLength: 30 }), (changes) => {
			const counts = new PinCounts();
			const naive = new Int32Array(PAGES_PER_BLOCK);
			for (const [[a, b], change] of changes) {
				const [first, end] = a < b ? [a, b] : [b, a];
				counts.add(first, end - first, change);
				for (let page = first; page < end; page++) naive[page] += change;
			}
			expect(naive.findIndex((pins, page) => counts.of(page) !== pins)).toBe(-1);
			expect(counts.total).toBe(naive.reduce((sum, pins) => sum + pins, 0));
		}),
		{ numRuns: 30 },
	);
});

test("a page can be pinned more often than 16 bits count", () => {
	const counts = new PinCounts();
	for (let i = 0; i < 40_000; i++) counts.add(7, 2, 1);
	expect(counts.of(7)).toBe(40_000);
	for (let i = 0; i < 40_000; i++) counts.add(7, 2, -1);
	expect(counts.of(8)).toBe(0);
});

test("tells of the pages that are pinned, at whatever level they are counted", () => {
	const counts = new PinCounts();
	const pinned = () => {
		const stretches: number[][] = [];
		counts.each((first, count) => stretches.push([first, count]));
		return stretches;
	};
	counts.add(3, 2, 1);
	counts.add(PAGES_PER_CHUNK, PAGES_PER_CHUNK, 1);
	expect(pinned()).toEqual([
		[3, 1],
		[4, 1],
		[512, 512],
	]);
	counts.add(0, PAGES_PER_BLOCK, 1);
	counts.add(1, PAGES_PER_BLOCK - 1, -1);
	expect(pinned()).toEqual([
		[0, 1],
		[3, 1],
		[4, 1],
		[512, 512],
	]);
});
