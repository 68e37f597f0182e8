// What the rules say beyond the table of machine/thread.test.ts, with drivers that have this function or that.

import { expect, test, vi } from "vitest";
import type { Device, IommuDriver, PagingDomain } from "../iommu/core/iommu.js";
import type { UserData } from "../iommu/core/user-data.js";
import { ArraySpace } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { HwptAllocFlags } from "../uapi/iommufd.js";
import { agreed, type HwptPolicy, mainline, policies, posted } from "./hwpt-policy.js";

const DATA = 0x10000;
const PAGES = 4;
const NOTHING = { flags: 0, data: undefined };
const ordinary = { is: "an ordinary domain" } as unknown as PagingDomain;
const special = { is: "one to the user's wishes" } as unknown as PagingDomain;

function deviceOf(driver: Partial<IommuDriver>): Device {
	return { name: "0000:00:02.0", driver: { name: "test", capable: () => false, ...driver } } as unknown as Device;
}

function userData(length: number, bytes: readonly number[] = []): UserData {
	const memory = new ArraySpace();
	memory.map(DATA, PAGES * 4096);
	for (const at of bytes) memory.write(DATA + at, Uint8Array.of(1));
	return { type: 1, address: DATA, length, memory };
}

test("a driver that answers with no domain, and no reason, is out of memory", () => {
	const device = deviceOf({ domainAllocPaging: () => undefined });
	for (const policy of [agreed, mainline]) expect(codeOf(() => policy.allocate(device, NOTHING))).toBe("ENOMEM");
});

test("posted asks only the new function, also where nothing is wished for", () => {
	const both = { domainAllocPaging: vi.fn(() => ordinary), domainAllocPagingFlags: vi.fn(() => special) };
	expect(posted.allocate(deviceOf(both), NOTHING)).toBe(special);
	expect(both.domainAllocPaging).not.toHaveBeenCalled();
});

test("agreed asks the new function only where something is wished for", () => {
	const device = deviceOf({ domainAllocPaging: () => ordinary, domainAllocPagingFlags: () => special });
	expect(agreed.allocate(device, NOTHING)).toBe(ordinary);
	expect(agreed.allocate(device, { flags: HwptAllocFlags.NEST_PARENT, data: undefined })).toBe(special);
	expect(agreed.allocate(device, { flags: 0, data: userData(8, [7]) })).toBe(special);
});

test("agreed looks at all of the data, over pages and at the last byte, and no further", () => {
	const device = deviceOf({ domainAllocPaging: () => ordinary, domainAllocPagingFlags: () => special });
	const allocate = (data: UserData) => agreed.allocate(device, { flags: 0, data });
	expect(allocate(userData(10_000))).toBe(ordinary);
	expect(allocate(userData(10_000, [9_999]))).toBe(special);
	expect(allocate(userData(10_000, [10_000]))).toBe(ordinary);
	expect(codeOf(() => allocate(userData(0xffff_ffff)))).toBe("EFAULT");
});

test("the flag for faults is iommufd's own: no driver sees it", () => {
	const domainAllocPagingFlags = vi.fn(() => special);
	const device = deviceOf({ domainAllocPagingFlags });
	const flags = HwptAllocFlags.FAULT_ID_VALID | HwptAllocFlags.PASID;
	for (const policy of policies.values()) policy.allocate(device, { flags, data: undefined });
	expect(domainAllocPagingFlags.mock.calls).toEqual(Array(4).fill([device, HwptAllocFlags.PASID, undefined]));
});

test("who has no DMA domains is refused when it is bound, but not under the posted rule", () => {
	const refuses = (policy: HwptPolicy, driver: Partial<IommuDriver>) =>
		codeOf(() => policy.checkBind?.(deviceOf(driver)));
	expect([...policies.values()].map((policy) => [policy.name, refuses(policy, {})])).toEqual([
		["mainline", "EOPNOTSUPP"],
		["agreed", "EOPNOTSUPP"],
		["posted", "ok"],
		["reordered", "EOPNOTSUPP"],
	]);
	expect(refuses(mainline, { domainAllocPaging: () => ordinary })).toBe("ok");
});
