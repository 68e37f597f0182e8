import { expect, test } from "vitest";
import { codeOf } from "../../uapi/errno.js";
import { commonAperture, IovaList } from "./iova-list.js";

const range = (first: bigint, last: bigint) => ({ first, last });
const nothingMapped = () => false;
const MSI = { kind: "msi", first: 0xfee0_0000n, last: 0xfeef_ffffn } as const;

test("a list begins as an aperture without what is reserved", () => {
	const list = IovaList.empty.narrowedTo(range(0n, (1n << 48n) - 1n)).without([MSI]);
	expect(list.ranges).toEqual([range(0n, 0xfedf_ffffn), range(0xfef0_0000n, (1n << 48n) - 1n)]);
	expect(list.allows(0xfedf_f000n, 0xfedf_ffffn)).toBe(true);
	expect(list.allows(0xfedf_f000n, 0xfee0_0000n)).toBe(false);
	expect(IovaList.empty.allows(0n, 0xfffn)).toBe(true);
});

test("what the firmware wants mapped as long as nobody has the device isn't reserved for who has it", () => {
	const relaxable = { kind: "direct-relaxable", first: 0x1000n, last: 0x1fffn } as const;
	const list = IovaList.empty.narrowedTo(range(0n, 0xffffn));
	expect(list.without([relaxable]).ranges).toEqual(list.ranges);
	expect(codeOf(() => list.without([{ ...MSI, first: 0n, last: 0xffffn }]))).toBe("EINVAL");
});

test("a narrower aperture goes with a list unless something is mapped outside, or nothing would be left", () => {
	const list = IovaList.empty.narrowedTo(range(0x1000n, 0xffffn));
	const mapped = (at: bigint) => (first: bigint, last: bigint) => first <= at && at <= last;
	expect(list.conflictWith(range(0x2000n, 0x7fffn), nothingMapped)).toBeUndefined();
	expect(list.conflictWith(range(0x2000n, 0x7fffn), mapped(0x1000n))).toBeDefined();
	expect(list.conflictWith(range(0x2000n, 0x7fffn), mapped(0x2000n))).toBeUndefined();
	expect(list.conflictWith(range(0x2000n, 0x7fffn), mapped(0x8000n))).toBeDefined();
	expect(list.conflictWith(range(0x1_0000n, 0x2_0000n), nothingMapped)).toBeDefined();
	expect(list.conflictWith(range(0n, 0xfffn), nothingMapped)).toBeDefined();
	expect(IovaList.empty.conflictWith(range(0n, 0n), mapped(5n))).toBeUndefined();
});

test("a list is narrowed at both ends, across its holes", () => {
	const list = IovaList.empty.narrowedTo(range(0n, 0xf_ffffn)).without([
		{ kind: "reserved", first: 0x1000n, last: 0x1fffn },
		{ kind: "reserved", first: 0x8000n, last: 0x8fffn },
	]);
	expect(list.narrowedTo(range(0x2800n, 0x9fffn)).ranges).toEqual([range(0x2800n, 0x7fffn), range(0x9000n, 0x9fffn)]);
	expect(list.narrowedTo(range(0x1800n, 0x8800n)).ranges).toEqual([range(0x2000n, 0x7fffn)]);
	expect(list.narrowedTo(range(0x800n, 0x7000n)).ranges).toEqual([range(0x800n, 0xfffn), range(0x2000n, 0x7000n)]);
});

test("a list is widened to what the domains that are left have in common", () => {
	const list = IovaList.empty.narrowedTo(range(0x1000n, 0xffffn)).without([{ ...MSI, first: 0x4000n, last: 0x4fffn }]);
	const wide = list.widenedTo(commonAperture([range(0n, 0xf_ffffn), range(0x800n, 0xff_ffffn)]));
	expect(wide.ranges).toEqual([range(0x800n, 0x3fffn), range(0x5000n, 0xf_ffffn)]);
	expect(wide.whole.ranges).toEqual([range(0x800n, 0xf_ffffn)]);
	expect(commonAperture([])).toEqual(range(0n, (1n << 64n) - 1n));
	expect(IovaList.empty.widenedTo(range(0n, 1n)).whole.ranges).toEqual([]);
});
