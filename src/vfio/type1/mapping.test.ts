import fc from "fast-check";
import { expect, test } from "vitest";
import { ArraySpace } from "../../memory/array-space.js";
import { Mapping, Mappings } from "./mapping.js";

const OWNER = { space: new ArraySpace(), owner: { uid: 0, memlockLimit: () => 0 }, isUnlimited: true };

test("the nearest mappings are the last that begins at or before a page, and the first that begins after it", () => {
	const lengthsAndGaps = fc.array(fc.record({ gap: fc.nat(3), count: fc.integer({ min: 1, max: 4 }) }));
	fc.assert(
		fc.property(lengthsAndGaps, (steps) => {
			const mappings = new Mappings();
			let end = 0;
			for (const { gap, count } of steps) {
				mappings.add(new Mapping(end + gap, count, 1, OWNER));
				end += gap + count;
			}
			const all = [...mappings];
			for (let page = 0; page <= end; page++)
				expect(mappings.nearest(page)).toEqual({
					below: all.findLast((mapping) => mapping.page <= page),
					above: all.find((mapping) => mapping.page > page),
				});
		}),
	);
});
