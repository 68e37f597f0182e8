import fc from "fast-check";
import { expect, test } from "vitest";
import { Area } from "./area.js";
import { AreaTree } from "./area-tree.js";
import type { Interval } from "./iova-ranges.js";
import type { Pages } from "./pages.js";

const LAST = (1n << 64n) - 1n;

/** The tree doesn't ask what they are. */
const [these, those] = [{ name: "these" }, { name: "those" }] as unknown as [Pages, Pages];

const areaAt = (first: bigint, last: bigint): Area => Area.of(first, last + 1n - first, these, 0n, 1);

/** All that an area tells of itself, in bytes. */
function told(area: Area | undefined) {
	if (area === undefined) return undefined;
	const { first, last, pages, protection } = area;
	return { first, last, pages, protection, startByte: area.startByte(first) };
}

/** Where more than so many bytes are free from an IOVA on, up to the last area; and where that ends. */
function roomBetween(sorted: readonly Interval[], from: bigint, bytes: bigint): Interval[] {
	const room: Interval[] = [];
	let at = from;
	for (const { first, last } of sorted) {
		if (first - at > bytes) room.push({ first: at, last: first - 1n });
		if (last >= at) at = last + 1n;
	}
	return [...room, { first: at, last: LAST }];
}

test("an empty tree finds nothing", () => {
	const tree = new AreaTree();
	expect(tree.firstIn(0n, LAST)).toBeUndefined();
	expect(tree.nearest(0n)).toEqual({ below: undefined, above: undefined });
	expect([...tree]).toEqual([]);
});

test("areas at both ends of the 64-bit space are found", () => {
	const tree = new AreaTree();
	const [low, high] = [areaAt(0n, 0n), areaAt(LAST, LAST)];
	tree.insert(high);
	tree.insert(low);
	expect(tree.firstIn(0n, 0n)).toEqual(low);
	expect(tree.firstIn(1n, LAST)).toEqual(high);
	expect(tree.firstIn(1n, LAST - 1n)).toBeUndefined();
	expect(tree.next(low, LAST)).toEqual(high);
	expect(tree.next(high, LAST)).toBeUndefined();
});

test("an area of all of the 64-bit space shows the last bytes of the longest pages there can be", () => {
	const tree = new AreaTree();
	tree.insert(Area.of(1n, LAST - 1n, those, LAST, 7));
	const area = tree.firstIn(0n, 1n);
	expect(told(area)).toEqual({ first: 1n, last: LAST - 1n, pages: those, protection: 7, startByte: LAST });
});

test("an area that was found stays as it was, and is found again, while others come and go", () => {
	const tree = new AreaTree();
	tree.insert(areaAt(0x5000n, 0x5fffn));
	tree.insert(areaAt(0x9000n, 0x9fffn));
	const found = tree.firstIn(0x5000n, 0x5000n)!;
	for (let n = 0n; n < 1000n; n++) tree.insert(areaAt(n, n));
	expect(found).toEqual(areaAt(0x5000n, 0x5fffn));
	expect(tree.next(found, LAST)).toEqual(areaAt(0x9000n, 0x9fffn));
	for (let n = 0n; n < 1000n; n++) tree.remove(areaAt(n, n));
	tree.remove(found);
	expect([...tree]).toEqual([areaAt(0x9000n, 0x9fffn)]);
});

test("thousands of random inserts, removals and searches agree with a sorted array", () => {
	// Starts that collide in their page, that lie far apart, and near the end of the space.
	const start = fc.oneof(fc.bigInt(0n, 40_000n), fc.bigInt(0n, LAST), fc.bigInt(LAST - 40_000n, LAST));
	const action = fc.constantFrom("insert", "insert", "remove", "find", "room");
	const shown = fc.record({ pages: fc.constantFrom(these, those), startByte: start, protection: fc.nat(7) });
	const step = fc.tuple(action, start, fc.bigInt(0n, 9000n), shown);
	fc.assert(
		fc.property(fc.array(step, { minLength: 100, maxLength: 1200, size: "max" }), (steps) => {
			const tree = new AreaTree();
			let naive: Area[] = [];
			const firstIn = (first: bigint, last: bigint) => naive.find((one) => one.first <= last && one.last >= first);
			for (const [action, first, length, { pages, startByte, protection }] of steps) {
				const last = first + length > LAST ? LAST : first + length;
				const found = tree.firstIn(first, last);
				const expected = firstIn(first, last);
				expect(told(found)).toEqual(told(expected));
				const { below, above } = tree.nearest(first);
				expect(told(below)).toEqual(told(naive.findLast((one) => one.first <= first)));
				expect(told(above)).toEqual(told(naive.find((one) => one.first > first)));
				if (action === "insert" && found === undefined) {
					const one = Area.of(first, last + 1n - first, pages, startByte, protection);
					tree.insert(one);
					naive = [...naive, one].sort((a, b) => (a.first < b.first ? -1 : 1));
				} else if (action === "remove" && found !== undefined) {
					tree.remove(found);
					naive = naive.filter((one) => one !== expected);
				} else if (action === "room") {
					expect(roomBetween([...tree.taken(first, length + 1n)], first, length)).toEqual(
						roomBetween(naive, first, length),
					);
				} else if (found !== undefined)
					expect(told(tree.next(found, LAST))).toEqual(told(naive[naive.indexOf(expected!) + 1]));
			}
			expect([...tree].map(told)).toEqual(naive.map(told));
			expect(tree.size).toBe(naive.length);
		}),
		{ numRuns: 40 },
	);
});

test.each([
	["random", (n: number) => (n * 48_271) % 100_003],
	["ascending", (n: number) => n],
	["descending", (n: number) => 100_000 - n],
])("a hundred thousand areas in %s order come out sorted", (_, pageAt) => {
	const tree = new AreaTree();
	const count = 100_000;
	for (let n = 0; n < count; n++) {
		const page = BigInt(pageAt(n));
		tree.insert(areaAt(page << 12n, (page << 12n) + 0xfffn));
	}
	let previous = -1n;
	for (const { first } of tree) {
		if (first <= previous) throw new Error(`${first} after ${previous}`);
		previous = first;
	}
	expect(tree.size).toBe(count);
});
