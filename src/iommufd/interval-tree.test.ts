import fc from "fast-check";
import { expect, test } from "vitest";
import { type Interval, IntervalTree } from "./interval-tree.js";

const LAST = (1n << 64n) - 1n;

test("an empty tree finds nothing", () => {
	const tree = new IntervalTree<Interval>();
	expect(tree.firstIn(0n, LAST)).toBeUndefined();
	expect([...tree]).toEqual([]);
});

test("intervals at both ends of the 64-bit space are found", () => {
	const tree = new IntervalTree<Interval>();
	const [low, high] = [
		{ first: 0n, last: 0n },
		{ first: LAST, last: LAST },
	];
	tree.insert(high);
	tree.insert(low);
	expect(tree.firstIn(0n, 0n)).toBe(low);
	expect(tree.firstIn(1n, LAST)).toBe(high);
	expect(tree.firstIn(1n, LAST - 1n)).toBeUndefined();
	expect(tree.next(low, LAST)).toBe(high);
	expect(tree.next(high, LAST)).toBeUndefined();
});

test("thousands of random inserts, removals and searches agree with a sorted array", () => {
	// Starts that collide in their page, that lie far apart, and near the end of the space.
	const start = fc.oneof(fc.bigInt(0n, 40_000n), fc.bigInt(0n, LAST), fc.bigInt(LAST - 40_000n, LAST));
	const step = fc.tuple(fc.constantFrom("insert", "insert", "remove", "find"), start, fc.bigInt(0n, 9000n));
	fc.assert(
		fc.property(fc.array(step, { minLength: 100, maxLength: 1200, size: "max" }), (steps) => {
			const tree = new IntervalTree<Interval>();
			let naive: Interval[] = [];
			const firstIn = (first: bigint, last: bigint) => naive.find((one) => one.first <= last && one.last >= first);
			for (const [action, first, length] of steps) {
				const last = first + length > LAST ? LAST : first + length;
				const found = firstIn(first, last);
				if (tree.firstIn(first, last) !== found) throw new Error(`firstIn(${first}, ${last})`);
				if (action === "insert" && found === undefined) {
					const one = { first, last };
					tree.insert(one);
					naive = [...naive, one].sort((a, b) => (a.first < b.first ? -1 : 1));
				} else if (action === "remove" && found !== undefined) {
					tree.remove(found);
					naive = naive.filter((one) => one !== found);
				} else if (found !== undefined && tree.next(found, LAST) !== naive[naive.indexOf(found) + 1])
					throw new Error(`next of ${found.first}`);
			}
			expect([...tree]).toEqual(naive);
			expect(tree.size).toBe(naive.length);
		}),
		{ numRuns: 40 },
	);
});

test("a hundred thousand intervals in random order come out sorted", () => {
	const tree = new IntervalTree<Interval>();
	const count = 100_000;
	for (let i = 0; i < count; i++) {
		const page = BigInt((i * 48_271) % 100_003);
		tree.insert({ first: page << 12n, last: (page << 12n) + 0xfffn });
	}
	let previous = -1n;
	for (const { first } of tree) {
		if (first <= previous) throw new Error(`${first} after ${previous}`);
		previous = first;
	}
	expect(tree.size).toBe(count);
});
