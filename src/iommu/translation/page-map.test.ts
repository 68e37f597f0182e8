import fc from "fast-check";
import { expect, test } from "vitest";
import { PageMap } from "./page-map.js";

/** Some share their lower bits, and some go beyond 32. */
const key = fc.oneof(
	fc.nat(40),
	fc.nat(40).map((n) => n * 2 ** 20),
	fc.nat(40).map((n) => 2 ** 52 - 1 - n),
);

test("random changes agree with a Map", () => {
	const set = fc.record({ key, target: fc.nat(1000), bits: fc.nat(255) });
	const step = fc.oneof({ weight: 6, arbitrary: set }, { weight: 4, arbitrary: key }, fc.constant("clear" as const));
	fc.assert(
		fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
			const map = new PageMap();
			const model = new Map<number, { target: number; bits: number }>();
			for (const one of steps) {
				if (one === "clear") {
					map.clear();
					model.clear();
				} else if (typeof one === "number") {
					map.delete(one);
					model.delete(one);
				} else {
					map.set(one.key, one.target, one.bits);
					model.set(one.key, { target: one.target, bits: one.bits });
				}
				expect(map.count).toBe(model.size);
			}
			for (const [key, { target, bits }] of model) {
				const slot = map.find(key);
				expect([map.targetAt(slot), map.bitsAt(slot)]).toEqual([target, bits]);
			}
			const sorted = (keys: Iterable<number>) => [...keys].sort((a, b) => a - b);
			expect(sorted(map.keys())).toEqual(sorted(model.keys()));
			for (let absent = 41; absent < 60; absent++) expect(map.find(absent)).toBe(-1);
		}),
	);
});
