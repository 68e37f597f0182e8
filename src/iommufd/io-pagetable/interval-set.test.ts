import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryBudget } from "../../faults/memory-budget.js";
import { IntervalSet } from "./interval-set.js";
import type { Interval } from "./iova-ranges.js";

const words = (value: bigint): [number, number] => [Number(value & 0xffffffffn), Number(value >> 32n)];
const add = (set: IntervalSet, first: bigint, last: bigint) => set.add(...words(first), ...words(last));

const LAST = (1n << 64n) - 1n;

test("intervals are found by any number of theirs, up to the last number of all", () => {
	const set = new IntervalSet();
	expect(add(set, LAST - 1n, LAST)).toBe(true);
	expect(add(set, 0n, 7n)).toBe(true);
	expect([...set]).toEqual([
		{ first: 0n, last: 7n },
		{ first: LAST - 1n, last: LAST },
	]);
	expect(set.firstIn(7n, 7n)).toEqual({ first: 0n, last: 7n });
	expect(set.firstIn(8n, LAST - 2n)).toBeUndefined();
	expect(set.firstIn(8n, LAST)?.last).toBe(LAST);
	expect(add(set, 7n, 8n)).toBe(false);
	expect(add(set, 0n, LAST)).toBe(false);
});

/** The same, so simple that it can't be wrong. */
class Naive {
	all: Interval[] = [];

	add(first: bigint, last: bigint): boolean {
		if (this.firstIn(first, last) !== undefined) return false;
		this.all = [...this.all, { first, last }].sort((one, other) => (one.first < other.first ? -1 : 1));
		return true;
	}

	firstIn(first: bigint, last: bigint): Interval | undefined {
		return this.all.find((interval) => interval.first <= last && interval.last >= first);
	}
}

test("any intervals are as in a plain list", () => {
	// Near 2^32, where the words carry, and dense enough to overlap now and then.
	const begin = fc.bigInt(2n ** 32n - 3000n, 2n ** 32n + 3000n);
	const interval = fc.tuple(begin, fc.bigInt(0n, 9n));
	fc.assert(
		fc.property(fc.array(interval, { maxLength: 600, size: "max" }), begin, (intervals, from) => {
			const budget = new MemoryBudget();
			const set = new IntervalSet(budget.ranges);
			const naive = new Naive();
			for (const [first, length] of intervals) {
				expect(add(set, first, first + length)).toBe(naive.add(first, first + length));
				const [low, high] = from < first ? [from, first] : [first, from];
				expect(set.firstIn(low, high)).toEqual(naive.firstIn(low, high));
			}
			expect([...set]).toEqual(naive.all);
			expect(set.size).toBe(naive.all.length);
			set.dispose();
			expect(budget.used).toBe(0);
		}),
		{ numRuns: 40 },
	);
});

test.each(["ascending", "descending"])("a hundred thousand of them in %s order leave full blocks behind", (order) => {
	const set = new IntervalSet(new MemoryBudget(10 * 2 ** 20).ranges);
	for (let i = 0; i < 100_000; i++) {
		const first = BigInt(order === "ascending" ? i : 100_000 - i) * 4096n;
		add(set, first, first + 10n);
	}
	expect(set.size).toBe(100_000);
});

test("there is no more room than the budget has, and nothing changes then", () => {
	const budget = new MemoryBudget(5000);
	const set = new IntervalSet(budget.ranges);
	let count = 0;
	expect(() => {
		for (; count < 1000; count++) add(set, BigInt(count) * 10n, BigInt(count) * 10n + 5n);
	}).toThrow(expect.objectContaining({ code: "ENOMEM" }));
	expect([set.size, [...set].length]).toEqual([count, count]);
});
