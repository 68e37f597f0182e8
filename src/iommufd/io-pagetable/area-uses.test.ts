import { expect, test } from "vitest";
import { Area } from "./area.js";
import { AreaUses } from "./area-uses.js";
import type { Pages } from "./pages.js";

const areaAt = (first: bigint): Area => Area.of(first, 4096n, {} as Pages, 0n, 1);
const unused = { accesses: 0, locks: 0, isPrevented: false };

test("the uses of an area are those of whoever finds it again, and not those of its neighbours", () => {
	const uses = new AreaUses();
	uses.add(areaAt(0x1000n), true);
	uses.add(areaAt(0x1000n), false);
	expect(uses.of(areaAt(0x1000n))).toEqual({ accesses: 2, locks: 1, isPrevented: false });
	expect(uses.of(areaAt(0x2000n))).toEqual(unused);
	uses.drop(areaAt(0x1000n), true);
	expect(uses.of(areaAt(0x1000n))).toEqual({ accesses: 1, locks: 0, isPrevented: false });
	uses.drop(areaAt(0x1000n), false);
	expect(uses.of(areaAt(0x1000n))).toEqual(unused);
});

test("an area whose unmap has failed lets nobody in, also when the last one has left, until it is gone", () => {
	const uses = new AreaUses();
	uses.add(areaAt(0x1000n), false);
	uses.prevent(areaAt(0x1000n));
	uses.drop(areaAt(0x1000n), false);
	expect(uses.of(areaAt(0x1000n))).toEqual({ ...unused, isPrevented: true });
	uses.forget(areaAt(0x1000n));
	expect(uses.of(areaAt(0x1000n))).toEqual(unused);
});
