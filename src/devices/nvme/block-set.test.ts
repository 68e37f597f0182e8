import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockSet } from "./block-set.js";

const BLOCKS = 100_000;

test("it holds what a set of numbers does", () => {
	const range = fc.record({
		first: fc.integer({ min: 0, max: BLOCKS }),
		count: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 40_000 })),
		isAdded: fc.boolean(),
	});
	fc.assert(
		fc.property(fc.array(range, { maxLength: 12 }), fc.array(range, { maxLength: 8 }), (changes, questions) => {
			const set = new BlockSet();
			const naive = new Set<number>();
			for (const { first, count, isAdded } of changes) {
				if (isAdded) set.add(first, count);
				else set.delete(first, count);
				for (let block = first; block < first + count; block++)
					if (isAdded) naive.add(block);
					else naive.delete(block);
			}
			for (const { first, count } of questions) {
				let expected: number | undefined;
				for (let block = first; block < first + count && expected === undefined; block++)
					if (naive.has(block)) expected = block;
				expect(set.find(first, count)).toBe(expected);
			}
			expect(set.isEmpty).toBe(naive.size === 0);
			const listed = set.ranges().flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));
			expect(listed).toEqual([...naive].sort((a, b) => a - b));
			set.clear();
			expect([set.isEmpty, set.find(0, BLOCKS)]).toEqual([true, undefined]);
		}),
		{ numRuns: 60 },
	);
});
