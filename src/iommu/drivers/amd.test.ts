import { expect, test } from "vitest";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TABLE_FRAME_LG2, TableMemory } from "../../pagetable/table-memory.js";
import { codeOf } from "../../uapi/errno.js";
import { HwInfoAmd, HwptAllocFlags, HwptAmdGuest, HwptDataType } from "../../uapi/iommufd.js";
import { decode } from "../../uapi/struct.js";
import type { PagingDomain, ViommuCore } from "../core/iommu.js";
import type { PciFunction } from "../core/pci.js";
import { GIOV, GV, gcr3Of, HAD, HostPageTableRootPtr, Mode } from "./amd/dte.js";
import type { AmdViommu } from "./amd/nested.js";
import { DEFAULT_CAPABILITY_HEADER } from "./amd/registers.js";
import { AmdDriver } from "./amd.js";
import { deviceBehind, userData } from "./function.testing.js";

/** What QEMU's amd-iommu says, and a recent server. */
const QEMU = { efr: 0x29d3n, efr2: 0n };
const SERVER = { efr: 0x247577efa2254afan, efr2: 0x18n };

const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptAllocFlags;
const RW = READ | WRITE;

function amd(registers: { efr: bigint; efr2: bigint }, has: Partial<PciFunction> = {}) {
	const memory = new TableMemory();
	const driver = new AmdDriver(memory);
	const iommu = driver.addIommu({ ...registers, capabilityHeader: DEFAULT_CAPABILITY_HEADER });
	const device = deviceBehind(iommu, has);
	const alloc = (flags = 0): PagingDomain => driver.domainAllocPagingFlags(device, flags, undefined);
	return { memory, driver, iommu, device, alloc };
}

function nest({ driver, device }: ReturnType<typeof amd>, parent: PagingDomain, dte: bigint[]) {
	const viommu = driver.viommuInit({} as ViommuCore, device, 0, parent) as AmdViommu;
	const data = userData(HwptDataType.AMD_GUEST, HwptAmdGuest, {
		dte: BigUint64Array.from([...dte, 0n, 0n, 0n, 0n].slice(0, 4)),
	});
	return viommu.allocDomainNested(0, data);
}

test("EFR.HATS decides how many bits of IOVA a host table has", () => {
	const withHats = (hats: bigint) => amd({ efr: (QEMU.efr & ~0xc00n) | (hats << 10n), efr2: 0n }).alloc().aperture.last;
	expect([withHats(0n), withHats(1n), withHats(2n)]).toEqual([2n ** 48n - 1n, 2n ** 57n - 1n, 2n ** 64n - 1n]);
});

test("without host tables guest tables serve, where there are any", () => {
	const none = amd({ efr: QEMU.efr | 0xc00n, efr2: 0n });
	expect(codeOf(() => none.alloc())).toBe("EOPNOTSUPP");
	const guest = amd({ ...SERVER, efr: SERVER.efr | 0xc00n });
	expect(guest.alloc().aperture.last).toBe(2n ** 47n - 1n);
	expect(guest.driver.capable(guest.device, "dirty-tracking")).toBe(false);
});

test("a host table begins with three levels, and the device's entry follows its root when it grows", () => {
	const { device, driver, alloc } = amd(QEMU);
	const domain = alloc();
	domain.attachDevice(device, driver.blockedDomain);
	const levels = () => (device.entry[0] & Mode) >> 9n;
	const root = device.entry[0] & HostPageTableRootPtr;
	expect([levels(), root]).toEqual([3n, domain.table.topAddress]);
	domain.map(2 ** 40, 5, 1, RW, domain.pageSizes);
	expect(levels()).toBe(5n);
	expect(device.entry[0] & HostPageTableRootPtr).toBe(domain.table.topAddress);
	expect(domain.table.topAddress).not.toBe(root);
});

test("every host entry forces coherence", () => {
	const domain = amd(QEMU).alloc();
	domain.map(0, 5, 1, RW, domain.pageSizes);
	const FC = 1n << 60n;
	expect(domain.table.explain(0).at(-1)!.entry & FC).toBe(FC);
	expect(domain.enforceCacheCoherency?.()).toBe(true);
});

test("flags that the registers don't allow are not supported, nor PASID with others", () => {
	const answers = (registers: typeof QEMU) =>
		[NEST_PARENT, DIRTY_TRACKING, NEST_PARENT | DIRTY_TRACKING, PASID, PASID | DIRTY_TRACKING].map((flags) =>
			codeOf(() => amd(registers).alloc(flags)),
		);
	expect(answers(SERVER)).toEqual(["ok", "ok", "ok", "ok", "EOPNOTSUPP"]);
	expect(answers(QEMU)).toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP"]);
	expect(answers({ ...SERVER, efr2: 0n })[0]).toBe("EOPNOTSUPP"); // GCR3TRPModeSup
});

test("a guest table stands in a Guest CR3 table, to which the entry points", () => {
	const { memory, device, driver, alloc } = amd(SERVER);
	const domain = alloc(PASID);
	domain.attachDevice(device, driver.blockedDomain);
	expect(device.entry[0] & (GV | GIOV)).toBe(GV | GIOV);
	const words = memory.tableAt(Number(gcr3Of(device.entry) >> BigInt(TABLE_FRAME_LG2)));
	expect(BigInt(words[0]) + (BigInt(words[1]) << 32n)).toBe(domain.table.topAddress | 1n);
	driver.blockedDomain.attachDevice(device);
	domain.free();
	expect(memory.tablesInUse).toBe(0);
});

test("dirty tracking is refused by an IOMMU without EFR.HDSup, and switched in the entries of one with it", () => {
	const { driver, device, alloc } = amd(SERVER);
	const domain = alloc(DIRTY_TRACKING);
	domain.attachDevice(device, driver.blockedDomain);
	expect(device.entry[0] & HAD).toBe(0n);
	domain.dirtyTracking?.set(true);
	expect(device.entry[0] & HAD).toBe(HAD);
	const without = driver.addIommu({ ...QEMU, capabilityHeader: DEFAULT_CAPABILITY_HEADER });
	expect(codeOf(() => domain.attachDevice(deviceBehind(without), driver.blockedDomain))).toBe("EINVAL");
});

test("no domain takes PASIDs of a device", () => {
	const { alloc } = amd(SERVER, { pasidBits: 10 });
	expect(alloc(PASID).setDevicePasid).toBeUndefined();
});

test("a nested domain's entry has the host's table and the guest's pointer", () => {
	const machine = amd(SERVER);
	const parent = machine.alloc(NEST_PARENT);
	const guest = [3n | GV | (1n << 58n), 0x42n | (1n << 16n)];
	const domain = nest(machine, parent, guest);
	domain.attachDevice(machine.device);
	const { entry } = machine.device;
	expect(entry[0] & HostPageTableRootPtr).toBe(parent.table.topAddress);
	expect(gcr3Of(entry)).toBe((1n << 12n) | (1n << 15n));
	expect(entry[1] & 0xffffn).not.toBe(0x42n);
	parent.map(2 ** 40, 5, 1, RW, parent.pageSizes);
	expect(machine.device.entry[0] & HostPageTableRootPtr).toBe(parent.table.topAddress);
});

test("domains of one number in the guest share one of ours, as long as there are any", () => {
	const machine = amd(SERVER);
	const viommu = machine.driver.viommuInit(
		{} as ViommuCore,
		machine.device,
		0,
		machine.alloc(NEST_PARENT),
	) as AmdViommu;
	const first = viommu.useDomainId(7);
	expect([viommu.useDomainId(7), viommu.useDomainId(8)]).toEqual([first, first + 1]);
	viommu.dropDomainId(7);
	viommu.dropDomainId(7);
	expect(viommu.useDomainId(9)).toBe(first);
});

test("a guest's entry that can't be is refused when it is allocated", () => {
	const machine = amd(SERVER);
	const parent = machine.alloc(NEST_PARENT);
	const answer = (...dte: bigint[]) => codeOf(() => nest(machine, parent, dte));
	expect(answer(0n)).toBe("ok");
	expect(answer(1n << 9n)).toBe("EINVAL"); // Mode
	expect(answer(1n << 12n)).toBe("EINVAL"); // host page table root pointer
	expect(answer(1n | GV)).toBe("EINVAL"); // GCR3 table at 0
	expect(answer(3n << 56n)).toBe("EINVAL"); // GLX 3
	expect(answer(0n, 0n, 2n << 54n)).toBe("EINVAL"); // GuestPagingMode 2
	expect(answer(0n, 0n, 1n << 54n)).toBe("EOPNOTSUPP"); // five levels, and EFR.GATS has four
});

test("hw_info has both feature registers", () => {
	const { driver, device } = amd(SERVER);
	expect(decode(HwInfoAmd, driver.hwInfo(device, 0).bytes)).toEqual(SERVER);
	expect(codeOf(() => driver.hwInfo(device, 1))).toBe("EOPNOTSUPP");
});

test("interrupts and HyperTransport have windows; EFR2 can take the second one back", () => {
	const windows = (efr2: bigint) => {
		const { driver, device } = amd({ efr: QEMU.efr, efr2 });
		return driver.reservedRegions(device).map(({ first, last }) => `${first.toString(16)}-${last.toString(16)}`);
	};
	expect(windows(0n)).toEqual(["fee00000-feefffff", "fd00000000-ffffffffff"]);
	expect(windows(1n << 11n)).toEqual(["fee00000-feefffff"]);
});
