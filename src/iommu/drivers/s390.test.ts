import { expect, test } from "vitest";
import { TableMemory } from "../../pagetable/table-memory.js";
import { deviceBehind } from "./function.testing.js";
import { DT } from "./s390/window.js";
import { S390Driver } from "./s390.js";
import { S390Driver2023 } from "./s390-2023.js";

const GIB = 1n << 30n;
const QUERY = { sdma: 4n * GIB, edma: (1n << 57n) - 1n, dtsm: 0x40, memory: 2n * GIB };

function s390(query: Partial<typeof QUERY> = {}) {
	const driver = new S390Driver(new TableMemory());
	const device = deviceBehind(driver.addIommu({ ...QUERY, ...query }));
	return { driver, device };
}

test("a function's window is as large as the machine's memory, and the tables as small as that allows", () => {
	const { first, last, designation } = s390().device.window;
	expect([first, last, designation]).toEqual([4n * GIB, 6n * GIB - 1n, DT.REGION_THIRD]);
});

test("a larger window takes tables that the function must support", () => {
	const memory = 1n << 43n;
	const designation = (dtsm: number) => s390({ memory, dtsm }).device.window.designation;
	expect(designation(0x40)).toBe(DT.REGION_THIRD);
	expect(designation(DT.REGION_SECOND << 2)).toBe(DT.REGION_SECOND);
	expect(designation(DT.REGION_FIRST << 2)).toBe(DT.REGION_SECOND); // its bits are among those
	expect(s390({ memory }).device.window.last).toBe((1n << 42n) - 1n);
	expect(s390({ memory: 1n << 56n, dtsm: DT.REGION_FIRST << 2 }).device.window.designation).toBe(DT.REGION_FIRST);
});

test("the anchor points to the table and says how it begins", () => {
	const { driver, device } = s390();
	expect(device.iota).toBe(0n);
	const domain = driver.domainAllocPaging(device);
	domain.attachDevice(device, driver.blockedDomain);
	expect(device.iota).toBe(domain.table.topAddress | 0x800n | (1n << 2n));
	driver.blockedDomain.attachDevice(device);
	expect(device.iota).toBe(0n);
});

test("pages are 4096 bytes, and what isn't writeable is protected", () => {
	const { driver, device } = s390();
	const domain = driver.domainAllocPaging(device);
	expect([domain.pageSizes, domain.aperture.last]).toEqual([4096n, (1n << 42n) - 1n]);
});

test("what is behind the window is taken away only while a table is attached; in 2023 it was so always", () => {
	const { driver, device } = s390();
	const before = { kind: "reserved", first: 0n, last: 4n * GIB - 1n };
	const after = { kind: "reserved", first: 6n * GIB, last: (1n << 42n) - 1n };
	expect(driver.reservedRegions(device)).toEqual([before]);
	driver.domainAllocPaging(device).attachDevice(device, driver.blockedDomain);
	expect(driver.reservedRegions(device)).toEqual([before, after]);
	const old = new S390Driver2023(new TableMemory());
	expect(old.reservedRegions(deviceBehind(old.addIommu(QUERY)))).toEqual([before, after]);
});
