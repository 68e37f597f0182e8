import { expect, test } from "vitest";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TableMemory } from "../../pagetable/table-memory.js";
import { codeOf } from "../../uapi/errno.js";
import {
	HwInfoVtd,
	HwptAllocFlags,
	HwptDataType,
	HwptVtdS1,
	HwptVtdS1Flags,
	HwptVtdS1Invalidate,
	InvalidateDataType,
} from "../../uapi/iommufd.js";
import { decode } from "../../uapi/struct.js";
import type { PagingDomain } from "../core/iommu.js";
import { NO_PASID } from "../core/pasid.js";
import type { PciFunction } from "../core/pci.js";
import { deviceBehind, userData, userDataArray } from "./function.testing.js";
import { Pgtt, SSADE, translationTypeOf } from "./intel-vtd/entries.js";
import type { VtdNestedDomain } from "./intel-vtd/nested.js";
import { VtdRegisters } from "./intel-vtd/registers.js";
import { IntelVtdDriver } from "./intel-vtd.js";

// What QEMU's intel-iommu says in its modes, and a recent server.
const LEGACY_39 = { CAP: 0xd2008c22260286n, ECAP: 0xf00f4an };
const SCALABLE = { CAP: 0xd2008c222f0686n, ECAP: 0x480080f00f4an };
const FIRST_STAGE = { CAP: 0x1d2008c222f0686n, ECAP: 0x880000f00f4an };
const NESTED = { CAP: 0xd2008c222f0686n, ECAP: 0x1680084f00f4an };
const SERVER = { CAP: 0x19ed008c40780c66n, ECAP: 0x3ef9ea6f050dfn };

const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptAllocFlags;
const RW = READ | WRITE;

function vtd({ CAP, ECAP }: { CAP: bigint; ECAP: bigint }, has: Partial<PciFunction> = {}) {
	const memory = new TableMemory();
	const driver = new IntelVtdDriver(memory);
	const unit = driver.addIommu(new VtdRegisters(CAP, ECAP));
	const device = deviceBehind(unit, has);
	const alloc = (flags = 0): PagingDomain => driver.domainAllocPagingFlags(device, flags, undefined);
	return { memory, driver, unit, device, alloc };
}

function nested(
	machine: ReturnType<typeof vtd>,
	parent: PagingDomain,
	s1: { flags?: bigint; addrWidth?: number } = {},
) {
	const values = { pgtblAddr: 0x100_0000n, addrWidth: 48, ...s1 };
	const data = userData(HwptDataType.VTD_S1, HwptVtdS1, values);
	return machine.driver.domainAllocNested(machine.device, parent, 0, data) as VtdNestedDomain;
}

test("MGAW, SAGAW and the kind of table decide which IOVAs there are", () => {
	const lastIova = (mode: typeof SERVER) => vtd(mode).alloc().aperture.last;
	expect(lastIova(LEGACY_39)).toBe(2n ** 39n - 1n);
	expect(lastIova(SCALABLE)).toBe(2n ** 48n - 1n);
	// A first stage sign-extends addresses, and only the lower half is used.
	expect(lastIova(FIRST_STAGE)).toBe(2n ** 47n - 1n);
	expect(lastIova(SERVER)).toBe(2n ** 56n - 1n);
});

test("a unit that has only tables of more levels than its addresses need gets those", () => {
	const onlyFourLevels = { CAP: (LEGACY_39.CAP & ~0x1f00n) | 0x0400n, ECAP: LEGACY_39.ECAP };
	const domain = vtd(onlyFourLevels).alloc();
	expect([domain.table.topLevel, domain.aperture.last]).toEqual([3, 2n ** 39n - 1n]);
	const none = { CAP: LEGACY_39.CAP & ~0x1f00n, ECAP: LEGACY_39.ECAP };
	expect(codeOf(() => vtd(none).alloc())).toBe("EOPNOTSUPP");
});

test("large pages are those of SSLPS, and FS1GP", () => {
	const bits = (bitmap: bigint) => [12n, 21n, 30n].filter((size) => bitmap & (1n << size));
	expect(bits(vtd(SCALABLE).alloc().pageSizes)).toEqual([12n, 21n, 30n]);
	const without = (mask: bigint, mode: typeof SERVER) => vtd({ ...mode, CAP: mode.CAP & ~mask }).alloc().pageSizes;
	expect(bits(without(2n << 34n, SCALABLE))).toEqual([12n, 21n]);
	expect(bits(without(3n << 34n, SCALABLE))).toEqual([12n]);
	expect(bits(without(1n << 56n, FIRST_STAGE))).toEqual([12n, 21n]);
});

test("a first stage is preferred, and what it can't do goes to a second stage", () => {
	const server = vtd(SERVER);
	expect(server.alloc().table.format.name).toBe("x86-64");
	expect(server.alloc(PASID).table.format.name).toBe("x86-64");
	expect(server.alloc(NEST_PARENT).table.format.name).toBe("VT-d second stage");
	expect(server.alloc(DIRTY_TRACKING | PASID).table.format.name).toBe("VT-d second stage");
});

test("flags that the registers don't allow are not supported", () => {
	const answers = (mode: typeof SERVER) =>
		[NEST_PARENT, DIRTY_TRACKING, PASID, 1 << 5].map((flags) => codeOf(() => vtd(mode).alloc(flags)));
	expect(answers(NESTED)).toEqual(["ok", "ok", "ok", "EOPNOTSUPP"]);
	expect(answers(SCALABLE)).toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "ok", "EOPNOTSUPP"]);
	expect(answers(FIRST_STAGE)).toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "ok", "EOPNOTSUPP"]);
	expect(answers(LEGACY_39)).toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "ok", "EOPNOTSUPP"]);
});

test("what a device's unit can do is told by its registers", () => {
	const capabilities = ["cache-coherency", "enforce-cache-coherency", "dirty-tracking", "pci-ats"] as const;
	const of = (mode: typeof SERVER, has: Partial<PciFunction> = {}) => {
		const { driver, device } = vtd(mode, has);
		return capabilities.map((capability) => driver.capable(device, capability));
	};
	expect(of(SERVER, { ats: true })).toEqual([true, true, true, true]);
	expect(of(SERVER)).toEqual([true, true, true, false]);
	expect(of(LEGACY_39, { ats: true })).toEqual([true, false, false, false]);
});

test("hw_info has the two registers", () => {
	const { driver, device } = vtd(SCALABLE);
	const info = decode(HwInfoVtd, driver.hwInfo(device, 0).bytes);
	expect([info.flags, info.capReg, info.ecapReg]).toEqual([1, SCALABLE.CAP, SCALABLE.ECAP]);
	expect(codeOf(() => driver.hwInfo(device, 2))).toBe("EOPNOTSUPP");
});

test("an attached device's entry points to the table, in the form of the unit's mode", () => {
	for (const mode of [LEGACY_39, SCALABLE, FIRST_STAGE]) {
		const { device, alloc } = vtd(mode);
		const domain = alloc();
		domain.attachDevice(device, device.driver.blockedDomain);
		const entry = device.entry(NO_PASID)!;
		const word = mode === FIRST_STAGE ? entry[2] : entry[0];
		expect(word & ~0xfffn).toBe(domain.table.topAddress);
		expect(entry).toHaveLength(mode === LEGACY_39 ? 2 : 8);
		device.driver.blockedDomain.attachDevice(device, domain);
		expect(device.entry(NO_PASID)).toBeUndefined();
	}
});

test("domain IDs count from 2 on for each unit, and are given back with the last device", () => {
	const { device, driver, unit, alloc } = vtd(SCALABLE);
	const other = deviceBehind(unit);
	const domain = alloc();
	const idOf = (of: typeof device) => of.entry(NO_PASID)![1] & 0xffffn;
	domain.attachDevice(device, driver.blockedDomain);
	domain.attachDevice(other, driver.blockedDomain);
	expect([idOf(device), idOf(other)]).toEqual([2n, 2n]);
	alloc().attachDevice(other, domain);
	expect(idOf(other)).toBe(3n);
	driver.blockedDomain.attachDevice(device, domain);
	alloc().attachDevice(device, driver.blockedDomain);
	expect(idOf(device)).toBe(2n);
});

test("a device behind a unit that can't walk the table is refused, and can do no DMA then", () => {
	const { device, driver, alloc } = vtd(SCALABLE);
	const small = driver.addIommu(new VtdRegisters(LEGACY_39.CAP, SCALABLE.ECAP));
	const narrow = deviceBehind(small);
	const own = driver.domainAllocPagingFlags(narrow, 0, undefined);
	own.attachDevice(narrow, driver.blockedDomain);
	const wide = alloc();
	wide.attachDevice(device, driver.blockedDomain);
	expect(codeOf(() => wide.attachDevice(narrow, own))).toBe("EINVAL");
	expect(narrow.entry(NO_PASID)).toBeUndefined();
});

test("with snoop control every entry of a second stage snoops", () => {
	const { alloc, driver, device } = vtd({ ...SCALABLE, ECAP: SCALABLE.ECAP | (1n << 7n) });
	expect(driver.capable(device, "enforce-cache-coherency")).toBe(true);
	const domain = alloc();
	domain.map(0, 5, 1, RW, domain.pageSizes);
	const SNP = 1n << 11n;
	const entryOf = (page: number) => domain.table.explain(page).at(-1)!.entry;
	expect(entryOf(0) & SNP).toBe(0n);
	expect(domain.enforceCacheCoherency?.()).toBe(true);
	domain.map(1, 6, 1, RW, domain.pageSizes);
	expect(entryOf(1) & SNP).toBe(SNP);
});

test("nothing is mapped read-only in the parent of a nested domain", () => {
	const parent = vtd(NESTED).alloc(NEST_PARENT);
	expect(codeOf(() => parent.map(0, 5, 1, READ, parent.pageSizes))).toBe("EINVAL");
	expect(codeOf(() => parent.map(0, 5, 1, RW, parent.pageSizes))).toBe("ok");
});

test("a nested domain is taken as it is, and looked at when a device is attached", () => {
	const machine = vtd(NESTED);
	const parent = machine.alloc(NEST_PARENT);
	const attach = (s1: { flags?: bigint; addrWidth?: number }) =>
		codeOf(() => nested(machine, parent, s1).attachDevice(machine.device, machine.driver.blockedDomain));
	expect(attach({ addrWidth: 48 })).toBe("ok");
	expect(attach({ addrWidth: 39 })).toBe("EINVAL");
	expect(attach({ addrWidth: 57 })).toBe("EINVAL"); // CAP_REG.FS5LP is 0
	expect(attach({ flags: BigInt(HwptVtdS1Flags.SRE) })).toBe("ok");
	expect(attach({ flags: BigInt(HwptVtdS1Flags.EAFE) })).toBe("EINVAL"); // ECAP_REG.EAFS is 0
	expect(attach({ flags: 8n })).toBe("ok");
	const server = vtd(SERVER);
	const wide = nested(server, server.alloc(NEST_PARENT), { addrWidth: 57 });
	wide.attachDevice(server.device, server.driver.blockedDomain);
	const entry = server.device.entry(NO_PASID)!;
	expect([translationTypeOf(entry), entry[2] & ~0xfffn]).toEqual([Pgtt.NESTED, 0x100_0000n]);
});

test("only a second stage made with NEST_PARENT can be a parent", () => {
	const machine = vtd(NESTED);
	expect(codeOf(() => nested(machine, machine.alloc()))).toBe("EINVAL");
	const scalable = vtd(SCALABLE);
	expect(codeOf(() => nested(scalable, scalable.alloc()))).toBe("EOPNOTSUPP");
});

test("an invalidation says which addresses to forget, and how many entries were done before one that is wrong", () => {
	const machine = vtd(NESTED);
	const domain = nested(machine, machine.alloc(NEST_PARENT));
	const forgotten: bigint[][] = [];
	domain.tlb.invalidate = (first, last) => forgotten.push([first, last]);
	const invalidate = (...entries: { addr: bigint; npages: bigint; flags?: number }[]) => {
		const array = userDataArray(InvalidateDataType.VTD_S1, HwptVtdS1Invalidate, entries);
		return [codeOf(() => domain.invalidateCache(array)), array.done];
	};
	const everything = 2n ** 64n - 1n;
	expect(invalidate({ addr: 0x1000n, npages: 2n, flags: 1 }, { addr: 0n, npages: everything })).toEqual(["ok", 2]);
	expect(forgotten).toEqual([
		[0x1000n, 0x2fffn],
		[0n, everything],
	]);
	expect(invalidate({ addr: 0n, npages: 1n }, { addr: 1n, npages: 1n })).toEqual(["EINVAL", 1]);
	expect(invalidate({ addr: 0x1000n, npages: everything })).toEqual(["EINVAL", 0]);
	expect(invalidate({ addr: 0n, npages: 1n, flags: 2 })).toEqual(["EOPNOTSUPP", 0]);
});

test("dirty tracking is switched in every entry that shows the second stage, nested ones too", () => {
	const machine = vtd(NESTED);
	const { device, driver, unit } = machine;
	const other = deviceBehind(unit);
	const parent = machine.alloc(NEST_PARENT | DIRTY_TRACKING);
	parent.attachDevice(device, driver.blockedDomain);
	nested(machine, parent).attachDevice(other, driver.blockedDomain);
	const tracked = () => [device, other].map((of) => (of.entry(NO_PASID)![0] & SSADE) !== 0n);
	expect(tracked()).toEqual([false, false]);
	parent.dirtyTracking?.set(true);
	expect(tracked()).toEqual([true, true]);
	parent.dirtyTracking?.set(false);
	expect(tracked()).toEqual([false, false]);
});

test("a domain with a fault handler takes only a device with ATS and PRI, which may fault as long as it is attached", () => {
	const faulting = vtd(SERVER, { ats: true, pri: true });
	const plain = vtd(SERVER);
	for (const [{ device, driver, alloc }, answer] of [
		[faulting, "ok"],
		[plain, "ENODEV"],
	] as const) {
		const domain = alloc();
		domain.faultHandler = () => {};
		expect(codeOf(() => domain.attachDevice(device, driver.blockedDomain))).toBe(answer);
		expect(device.unfinishedFaults !== undefined).toBe(answer === "ok");
		if (answer === "ok") driver.blockedDomain.attachDevice(device, domain);
		expect(device.unfinishedFaults).toBeUndefined();
	}
});

test("PASIDs take a unit and a device that have them", () => {
	const { device, driver, alloc } = vtd(SERVER, { pasidBits: 10 });
	expect(device.maxPasids).toBe(1024);
	const domain = alloc(PASID);
	domain.setDevicePasid?.(device, 7, undefined);
	expect(device.entry(7)).toBeDefined();
	driver.blockedDomain.setDevicePasid(device, 7, domain);
	expect(device.entry(7)).toBeUndefined();
	const scalable = vtd(SCALABLE, { pasidBits: 10 });
	expect(scalable.device.maxPasids).toBe(0);
	expect(codeOf(() => scalable.alloc().setDevicePasid?.(scalable.device, 7, undefined))).toBe("EOPNOTSUPP");
});

test("interrupts are at fee00000, and an RMRR is not relaxable unless it is for USB or graphics", () => {
	const firmwareRegions = [{ kind: "direct", first: 0x7000_0000n, last: 0x7fff_ffffn }] as const;
	const kinds = (classCode: number) => {
		const { device, driver } = vtd(SCALABLE, { classCode, firmwareRegions });
		return driver.reservedRegions(device).map(({ kind, first }) => `${kind} ${first.toString(16)}`);
	};
	expect(kinds(0x020000)).toEqual(["direct 70000000", "msi fee00000"]);
	expect(kinds(0x0c0330)).toEqual(["direct-relaxable 70000000", "msi fee00000"]);
	expect(kinds(0x030000)).toEqual(["direct-relaxable 70000000", "msi fee00000"]);
	expect(kinds(0x060100)).toContain("direct-relaxable 0");
});

test("nothing is left when domains are freed", () => {
	const machine = vtd(SERVER);
	for (const flags of [0, NEST_PARENT, DIRTY_TRACKING]) {
		const domain = machine.alloc(flags);
		domain.map(0, 5, 600, RW, domain.pageSizes);
		domain.attachDevice(machine.device, machine.driver.blockedDomain);
		machine.driver.blockedDomain.attachDevice(machine.device, domain);
		domain.free();
	}
	expect(machine.memory.tablesInUse).toBe(0);
});

test("a second stage is attached only where the unit has all that it was made with", () => {
	const C = 1n;
	const SC = 1n << 7n;
	const NEST = 1n << 26n;
	const SSADS = 1n << 45n;
	const SSTS = 1n << 46n;
	const SMPWCS = 1n << 48n;
	const full = { CAP: NESTED.CAP, ECAP: NESTED.ECAP | SC | SSADS };
	const attachTo = (lacks: { CAP?: bigint; ECAP?: bigint }, flags = 0, prepare = (_: PagingDomain) => {}) => {
		const { driver, alloc } = vtd(full);
		const registers = new VtdRegisters(full.CAP & ~(lacks.CAP ?? 0n), full.ECAP & ~(lacks.ECAP ?? 0n));
		const device = deviceBehind(driver.addIommu(registers));
		const domain = alloc(flags);
		prepare(domain);
		return codeOf(() => domain.attachDevice(device, driver.blockedDomain));
	};
	const snoops = (domain: PagingDomain) => expect(domain.enforceCacheCoherency?.()).toBe(true);
	const SSLPS_2M = 1n << 34n;
	const SSLPS_1G = 1n << 35n;
	const SAGAW_4_LEVELS = 1n << 10n;
	const LOWEST_OF_MGAW = 1n << 16n;

	expect([attachTo({}), attachTo({}, NEST_PARENT | DIRTY_TRACKING), attachTo({}, 0, snoops)]).toEqual([
		"ok",
		"ok",
		"ok",
	]);
	for (const CAP of [SSLPS_2M, SSLPS_1G, SAGAW_4_LEVELS, LOWEST_OF_MGAW]) expect(attachTo({ CAP })).toBe("EINVAL");
	for (const ECAP of [SSTS, SMPWCS]) expect(attachTo({ ECAP })).toBe("EINVAL");
	expect([attachTo({ ECAP: NEST }), attachTo({ ECAP: NEST }, NEST_PARENT)]).toEqual(["ok", "EINVAL"]);
	expect([attachTo({ ECAP: SSADS }), attachTo({ ECAP: SSADS }, DIRTY_TRACKING)]).toEqual(["ok", "EINVAL"]);
	expect([attachTo({ ECAP: SC }), attachTo({ ECAP: SC }, 0, snoops)]).toEqual(["ok", "EINVAL"]);
	// Of legacy mode.
	expect(attachTo({ ECAP: C })).toBe("ok");
});

test("a second stage that asks for less is attached where there is more", () => {
	const { driver, alloc } = vtd({ CAP: NESTED.CAP & ~(3n << 34n), ECAP: NESTED.ECAP & ~(1n << 48n) });
	const more = deviceBehind(driver.addIommu(new VtdRegisters(NESTED.CAP | (1n << 21n), NESTED.ECAP)));
	expect(codeOf(() => alloc().attachDevice(more, driver.blockedDomain))).toBe("ok");
});

test("a first stage is attached only where the unit walks as many levels, with pages as large", () => {
	const FS1GP = 1n << 56n;
	const FS5LP = 1n << 60n;
	const FSTS = 1n << 47n;
	const attachTo = (lacks: { CAP?: bigint; ECAP?: bigint }, made: { CAP: bigint; ECAP: bigint } = SERVER) => {
		const { driver, alloc } = vtd(made);
		const registers = new VtdRegisters(SERVER.CAP & ~(lacks.CAP ?? 0n), SERVER.ECAP & ~(lacks.ECAP ?? 0n));
		const device = deviceBehind(driver.addIommu(registers));
		return codeOf(() => alloc().attachDevice(device, driver.blockedDomain));
	};
	expect(vtd(SERVER).alloc().table.topLevel).toBe(4);
	expect([attachTo({}), attachTo({ CAP: FS1GP }), attachTo({ CAP: FS5LP }), attachTo({ ECAP: FSTS })]).toEqual([
		"ok",
		"EINVAL",
		"EINVAL",
		"EINVAL",
	]);
	const fourLevels = { CAP: SERVER.CAP & ~(FS5LP | FS1GP), ECAP: SERVER.ECAP };
	expect([attachTo({}, fourLevels), attachTo({ CAP: FS5LP | FS1GP }, fourLevels)]).toEqual(["ok", "ok"]);
});

test("where a new mapping takes a flush, only a HWPT is attached that was made for that", () => {
	const RWBF = 1n << 4n;
	const CM = 1n << 7n;
	const attach = (mode: typeof SERVER, made: bigint, flags: bigint) => {
		const CAP = mode.CAP & ~(RWBF | CM);
		const { driver, alloc } = vtd({ CAP: CAP | made, ECAP: mode.ECAP });
		const device = deviceBehind(driver.addIommu(new VtdRegisters(CAP | flags, mode.ECAP)));
		return codeOf(() => alloc().attachDevice(device, driver.blockedDomain));
	};
	const answers = (mode: typeof SERVER) => [
		[attach(mode, 0n, 0n), attach(mode, 0n, CM), attach(mode, 0n, RWBF)],
		[attach(mode, CM, 0n), attach(mode, CM, CM), attach(mode, CM, RWBF)],
		[attach(mode, RWBF, 0n), attach(mode, RWBF, CM), attach(mode, RWBF, RWBF)],
	];
	expect(answers(SCALABLE)).toEqual([
		["ok", "EINVAL", "EINVAL"],
		["ok", "ok", "ok"],
		["ok", "ok", "ok"],
	]);
	expect(answers(FIRST_STAGE)).toEqual([
		["ok", "ok", "EINVAL"],
		["ok", "ok", "EINVAL"],
		["ok", "ok", "ok"],
	]);
});
