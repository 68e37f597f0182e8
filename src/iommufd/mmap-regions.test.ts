import { expect, test } from "vitest";
import { MovableMemory } from "../memory/movable-memory.js";
import { codeOf } from "../uapi/errno.js";
import { MmapRegions } from "./mmap-regions.js";
import { IommufdObject } from "./object.js";

class Owner extends IommufdObject {
	override readonly kind = "VIOMMU";
	override destroy(): void {}
}

const registers = (length: number) => new MovableMemory("registers", length);

test("regions lie at the lowest offsets that are free, and never at 0", () => {
	const regions = new MmapRegions();
	const owner = new Owner(1);
	expect(regions.add(owner, registers(0x2000))).toBe(0x1000);
	expect(regions.add(owner, registers(0x1000))).toBe(0x3000);
	expect(regions.add(owner, registers(0x1000))).toBe(0x4000);
	regions.remove(0x1000);
	expect(regions.add(owner, registers(0x3000))).toBe(0x5000);
	expect(regions.add(owner, registers(0x1000))).toBe(0x1000);
});

test("a region is mapped as a whole, and its owner is in use meanwhile", () => {
	const regions = new MmapRegions();
	const owner = new Owner(1);
	const memory = registers(0x2000);
	const offset = regions.add(owner, memory);
	expect(codeOf(() => regions.map(offset, 0x1800))).toBe("EINVAL");
	expect(codeOf(() => regions.map(offset, 0x1000))).toBe("ENXIO");
	expect(codeOf(() => regions.map(offset + 0x1000, 0x1000))).toBe("ENXIO");
	expect(codeOf(() => regions.map(0, 0x2000))).toBe("ENXIO");
	const mapping = regions.map(offset, 0x2000);
	expect([mapping.backing, owner.users, regions.isMapped(owner)]).toEqual([memory, 2, true]);
	mapping.release();
	expect([owner.users, regions.isMapped(owner)]).toEqual([1, false]);
});
