import { expect, test } from "vitest";
import { ArrayBacking } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { MmapRegions } from "./mmap-regions.js";
import { IommufdObject } from "./object.js";

class Owner extends IommufdObject {
	override readonly kind = "VIOMMU";
	override destroy(): void {}
}

const backing = new ArrayBacking("registers", new Uint8Array(0x4000));

test("regions lie at the lowest offsets that are free, and never at 0", () => {
	const regions = new MmapRegions();
	const owner = new Owner(1);
	expect(regions.add(owner, backing, 0x2000)).toBe(0x1000);
	expect(regions.add(owner, backing, 0x1000)).toBe(0x3000);
	expect(regions.add(owner, backing, 0x1000)).toBe(0x4000);
	regions.remove(0x1000);
	expect(regions.add(owner, backing, 0x3000)).toBe(0x5000);
	expect(regions.add(owner, backing, 0x1000)).toBe(0x1000);
});

test("a region is mapped as a whole, and its owner is in use meanwhile", () => {
	const regions = new MmapRegions();
	const owner = new Owner(1);
	const offset = regions.add(owner, backing, 0x2000);
	expect(codeOf(() => regions.map(offset, 0x1800))).toBe("EINVAL");
	expect(codeOf(() => regions.map(offset, 0x1000))).toBe("ENXIO");
	expect(codeOf(() => regions.map(offset + 0x1000, 0x1000))).toBe("ENXIO");
	expect(codeOf(() => regions.map(0, 0x2000))).toBe("ENXIO");
	const mapping = regions.map(offset, 0x2000);
	expect([mapping.backing, owner.users]).toEqual([backing, 2]);
	mapping.release();
	expect(owner.users).toBe(1);
});
