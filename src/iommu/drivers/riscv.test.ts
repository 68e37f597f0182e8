import { expect, test } from "vitest";
import { TableMemory } from "../../pagetable/table-memory.js";
import { codeOf } from "../../uapi/errno.js";
import { deviceBehind } from "./function.testing.js";
import { RiscvDriver } from "./riscv.js";

const Sv39 = 1n << 9n;
const Sv48 = 1n << 10n;
const Sv57 = 1n << 11n;

function riscv(capabilities: bigint, claimsCacheCoherency = true) {
	const memory = new TableMemory();
	const driver = new RiscvDriver(memory);
	const device = deviceBehind(driver.addIommu(capabilities, claimsCacheCoherency));
	return { memory, driver, device };
}

test("the widest mode is taken, of which the lower half can be used", () => {
	const lastIova = (capabilities: bigint) => {
		const { driver, device } = riscv(capabilities);
		return driver.domainAllocPaging(device).aperture.last;
	};
	expect(lastIova(Sv39)).toBe(2n ** 38n - 1n);
	expect(lastIova(Sv39 | Sv48)).toBe(2n ** 47n - 1n);
	expect(lastIova(Sv39 | Sv48 | Sv57)).toBe(2n ** 56n - 1n);
	expect(codeOf(() => lastIova(0n))).toBe("ENODEV");
});

test("the device context has the table, its mode and the PSCID", () => {
	const { memory, driver, device } = riscv(Sv39 | Sv48);
	driver.domainAllocPaging(device);
	const domain = driver.domainAllocPaging(device);
	domain.attachDevice(device, driver.blockedDomain);
	const { tc, ta, fsc } = device.context;
	expect(tc & 1n).toBe(1n); // V
	expect((ta >> 12n) & 0xfffffn).toBe(2n); // PSCID: the second one
	expect(fsc >> 60n).toBe(9n); // iosatp.MODE of Sv48
	expect((fsc & ((1n << 44n) - 1n)) << 12n).toBe(domain.table.topAddress);
	driver.blockedDomain.attachDevice(device);
	expect(device.context).toEqual({ tc: 0n, ta: 0n, fsc: 0n });
	domain.free();
	expect(memory.tablesInUse).toBe(1);
});

test("a device behind an IOMMU without the mode is refused", () => {
	const { driver, device } = riscv(Sv57);
	const other = deviceBehind(driver.addIommu(Sv39, true));
	const domain = driver.domainAllocPaging(device);
	expect(codeOf(() => domain.attachDevice(other, driver.blockedDomain))).toBe("ENODEV");
});

test("cache coherency is claimed only where the machine says so", () => {
	for (const claims of [true, false]) {
		const { driver, device } = riscv(Sv39, claims);
		expect(driver.capable(device, "cache-coherency")).toBe(claims);
	}
});
