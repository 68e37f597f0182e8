import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alignmentFor, type Interval, IovaRanges, LAST_IOVA } from "./iova-ranges.js";

function allow(ranges: IovaRanges, list: readonly Interval[]): void {
	const set = ranges.newSet();
	const words = (value: bigint): [number, number] => [Number(value & 0xffffffffn), Number(value >> 32n)];
	for (const { first, last } of list) set.add(...words(first), ...words(last));
	ranges.allow(set);
}

describe("choosing an IOVA", () => {
	test("the first one is the second page, and never 0", () => {
		expect(new IovaRanges().choose(0x7000n, 0x1000n, () => [])).toBe(0x1000n);
	});

	test("it shares the memory's offset in its page, and as much of its alignment as the length is worth", () => {
		const ranges = new IovaRanges();
		expect(ranges.choose(0x12345800n, 0x800n, () => [])).toBe(0x1800n);
		expect(ranges.choose(0x40000000n, 0x200000n, () => [])).toBe(0x200000n);
		expect(alignmentFor(0x40000000n, 0x40000000n)).toBe(0x200000n);
		expect(alignmentFor(0x330000n, 0x400000n)).toBe(0x10000n);
		expect(alignmentFor(0n, 0x3000n)).toBe(0x4000n);
	});

	test("it stays inside of what is allowed, joining ranges that touch", () => {
		const ranges = new IovaRanges();
		allow(ranges, [
			{ first: 0x10000n, last: 0x11fffn },
			{ first: 0x12000n, last: 0x13fffn },
		]);
		expect(ranges.choose(0x1000n, 0x3000n, () => [])).toBe(0x10000n);
		expect(ranges.choose(0x1000n, 0x5000n, () => [])).toBeUndefined();
	});

	test("no byte of it is reserved, taken or outside of what is allowed, and no lower place would do", () => {
		const span = fc.tuple(fc.nat(120), fc.integer({ min: 1, max: 20 })).map(([first, pages]) => ({ first, pages }));
		const spans = fc.array(span, { maxLength: 6 });
		fc.assert(
			fc.property(spans, spans, spans, fc.integer({ min: 2, max: 12 }), (reserved, taken, allowed, pages) => {
				const ranges = new IovaRanges();
				const used = new Set<number>();
				const bytes = ({ first, pages: count }: { first: number; pages: number }) => ({
					first: BigInt(first) * 4096n,
					last: BigInt(first + count) * 4096n - 1n,
				});
				for (const one of reserved) {
					ranges.reserve(bytes(one).first, bytes(one).last, undefined, "a test");
					for (let page = one.first; page < one.first + one.pages; page++) used.add(page);
				}
				const areas: { first: number; pages: number }[] = [];
				for (const one of taken) {
					const overlaps = areas.some(
						(area) => area.first < one.first + one.pages && one.first < area.first + area.pages,
					);
					if (overlaps) continue;
					areas.push(one);
					for (let page = one.first; page < one.first + one.pages; page++) used.add(page);
				}
				areas.sort((a, b) => a.first - b.first);
				const permitted = new Set<number>();
				const list: { first: number; pages: number }[] = [];
				for (const one of [...allowed].sort((a, b) => a.first - b.first)) {
					if (list.length > 0 && one.first < list[list.length - 1].first + list[list.length - 1].pages) continue;
					list.push(one);
					for (let page = one.first; page < one.first + one.pages; page++) permitted.add(page);
				}
				allow(ranges, list.map(bytes));
				// Odd addresses ask for no alignment beyond the page.
				const chosen = ranges.choose(0x1000n, BigInt(pages) * 4096n, () => areas.map(bytes));
				const fits = (page: number): boolean => {
					for (let p = page; p < page + pages; p++)
						if (used.has(p) || (list.length > 0 && !permitted.has(p))) return false;
					return true;
				};
				let lowest = 1;
				while (lowest < 200 && !fits(lowest)) lowest++;
				expect(chosen).toBe(lowest === 200 && list.length > 0 ? undefined : BigInt(lowest) * 4096n);
			}),
			{ numRuns: 2000 },
		);
	});
});

test("what is usable is what is left between overlapping reservations", () => {
	const ranges = new IovaRanges();
	const [device, other] = [{}, {}];
	ranges.reserve(0x4000n, 0x5fffn, device, "a device");
	ranges.reserve(0x5000n, 0x7fffn, other, "another device");
	ranges.reserve(LAST_IOVA, LAST_IOVA, other, "another device");
	expect([...ranges.usable()]).toEqual([
		{ first: 0n, last: 0x3fffn },
		{ first: 0x8000n, last: LAST_IOVA - 1n },
	]);
	ranges.unreserve(other);
	expect([...ranges.usable()]).toEqual([
		{ first: 0n, last: 0x3fffn },
		{ first: 0x6000n, last: LAST_IOVA },
	]);
});
