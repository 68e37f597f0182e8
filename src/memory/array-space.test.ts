import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { copyIn, copyOut, Extents } from "./address-space.js";
import { ArrayBacking, ArraySpace } from "./array-space.js";

test("copying stops where memory ends, and copyIn and copyOut call that EFAULT", () => {
	const space = new ArraySpace();
	space.map(0x1000, 0x1000);
	expect(space.write(0x1ffe, Uint8Array.of(1, 2, 3))).toBe(2);
	const bytes = new Uint8Array(3);
	expect(space.read(0x1ffe, bytes)).toBe(2);
	expect([...bytes]).toEqual([1, 2, 0]);
	expect(codeOf(() => copyIn(space, 0x1ffe, bytes, "x"))).toBe("EFAULT");
	expect(codeOf(() => copyOut(space, 0, bytes, "x"))).toBe("EFAULT");
	copyIn(space, 0, new Uint8Array(0), "nothing"); // no byte is touched
});

test("what is mapped twice is one page, and read-only memory is not resolved for writing", () => {
	const space = new ArraySpace();
	const backing = new ArrayBacking("memfd", new Uint8Array(0x3000));
	space.map(0x10000, 0x2000, { backing });
	space.map(0x20000, 0x1000, { backing, page: 1, writable: false });
	const extents = new Extents();
	space.resolve(0x10, 2, true, extents);
	space.resolve(0x20, 1, false, extents);
	expect(extents.page).toEqual([0, 1]);
	expect(extents.count).toEqual([2, 1]);
	expect(extents.backing).toEqual([backing, backing]);
	expect(codeOf(() => space.resolve(0x20, 1, true, extents))).toBe("EFAULT");
	expect(codeOf(() => space.resolve(0x11, 2, false, extents))).toBe("EFAULT");
});
