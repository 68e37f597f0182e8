import { expect, test } from "vitest";
import { TableMemory } from "../../pagetable/table-memory.js";
import { codeOf, Errno } from "../../uapi/errno.js";
import {
	HwInfoArmSmmuV3,
	HwptAllocFlags,
	HwptArmSmmuV3,
	HwptDataType,
	InvalidateDataType,
	ViommuArmSmmuV3Invalidate,
	ViommuType,
} from "../../uapi/iommufd.js";
import { decode } from "../../uapi/struct.js";
import type { Device, PagingDomain, ViommuCore } from "../core/iommu.js";
import type { PciFunction } from "../core/pci.js";
import { GLOBAL } from "../translation/iotlb.js";
import { ArmSmmuDriver2023 } from "./arm-smmu-2023.js";
import type { VSmmu } from "./arm-smmu-v3/nested.js";
import { CONFIG, configOf, EATS_TRANS, eatsOf } from "./arm-smmu-v3/ste.js";
import { ArmSmmuV3Driver } from "./arm-smmu-v3.js";
import { deviceBehind, userData, userDataArray } from "./function.testing.js";

const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptAllocFlags;

/** QEMU's SMMUv3 with both stages, and what can be added to it. */
const IDR = [0xd44101b, 0x2730010, 0, 0x1514, 0, 0x74];
const ATS = 1 << 10;
const HTTU_DIRTY = 2 << 6;
const SSIDSIZE_20 = 20 << 6;

interface Options {
	idr?: readonly number[];
	has?: Partial<PciFunction>;
	canwbs?: boolean;
	ats?: boolean;
	sva?: boolean;
}

function smmu({ idr = IDR, has = {}, canwbs = false, ats = false, sva = false }: Options = {}) {
	const memory = new TableMemory();
	const driver = new ArmSmmuV3Driver(memory);
	const iommu = driver.addIommu({ idr, iidr: 0, aidr: 1 }, { rootComplex: { ats, canwbs }, sva });
	const device = deviceBehind(iommu, has);
	const alloc = (flags = 0): PagingDomain => driver.domainAllocPagingFlags(device, flags, undefined);
	return { memory, driver, iommu, device, alloc };
}

const config = ({ device }: ReturnType<typeof smmu>) => configOf(device.ste[0]);

/** A vIOMMU in whose guest some devices have numbers. */
function guest({ driver, device, alloc }: ReturnType<typeof smmu>, numbers = new Map<bigint, Device>()): VSmmu {
	const core = {
		findDevice: (id: bigint) => numbers.get(id),
		virtualIdOf(wanted: Device) {
			for (const [id, numbered] of numbers) if (numbered === wanted) return id;
			throw new Errno("ENOENT", "no vDEVICE");
		},
	} as unknown as ViommuCore;
	return driver.viommuInit(core, device, ViommuType.ARM_SMMUV3, alloc(NEST_PARENT)) as VSmmu;
}

function nested(vsmmu: VSmmu, word0: bigint, word1 = 0n) {
	const data = userData(HwptDataType.ARM_SMMUV3, HwptArmSmmuV3, { ste: BigUint64Array.of(word0, word1) });
	return vsmmu.allocDomainNested(0, data);
}

const ABORT = 1n;
const BYPASS = 1n | (4n << 1n);
const STAGE_1 = 1n | (5n << 1n) | (1n << 24n);

test("stage 1 is preferred, a nest parent is a stage 2 as wide as physical addresses", () => {
	const { alloc } = smmu();
	expect(alloc().aperture.last).toBe(2n ** 48n - 1n);
	expect(alloc(NEST_PARENT).aperture.last).toBe(2n ** 44n - 1n);
	const onlyStage2 = smmu({ idr: IDR.with(0, IDR[0] & ~2) });
	expect(onlyStage2.alloc().aperture.last).toBe(2n ** 44n - 1n);
});

test("flags that the registers don't allow are not supported, nor a stage 2 with others", () => {
	const flags = [NEST_PARENT, DIRTY_TRACKING, PASID, NEST_PARENT | PASID];
	const answers = (idr: readonly number[]) => flags.map((flag) => codeOf(() => smmu({ idr }).alloc(flag)));
	expect(answers(IDR)).toEqual(["ok", "ok", "ok", "EOPNOTSUPP"]);
	expect(answers(IDR.with(0, IDR[0] & ~1))).toEqual(["EOPNOTSUPP", "ok", "ok", "EOPNOTSUPP"]); // no stage 2
	expect(answers(IDR.with(0, IDR[0] & ~2))).toEqual(["EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP", "EOPNOTSUPP"]); // no stage 1
});

test("MMU-600 before r2 and MMU-700 before r1p1 don't nest", () => {
	const canNest = (iidr: number) => {
		const driver = new ArmSmmuV3Driver(new TableMemory());
		const iommu = driver.addIommu(
			{ idr: IDR, iidr, aidr: 0 },
			{ rootComplex: { ats: false, canwbs: false }, sva: false },
		);
		return iommu.features.canNest;
	};
	expect([canNest(0x4830043b | (1 << 16)), canNest(0x4830043b | (2 << 16))]).toEqual([false, true]);
	expect([canNest(0x4870043b | (1 << 16)), canNest(0x4870043b | (1 << 16) | (1 << 12))]).toEqual([false, true]);
});

test("dirty tracking takes IDR0.HTTU, and a table whose pages begin clean", () => {
	const plain = smmu();
	expect(plain.driver.capable(plain.device, "dirty-tracking")).toBe(false);
	const { driver, device, alloc } = smmu({ idr: IDR.with(0, IDR[0] | HTTU_DIRTY) });
	expect(driver.capable(device, "dirty-tracking")).toBe(true);
	const domain = alloc(DIRTY_TRACKING);
	expect([domain.dirtyTracking?.enabled, domain.table.format.dirty !== undefined]).toEqual([false, true]);
});

test("what a device's SMMU can do is told by its registers and the firmware", () => {
	const capabilities = ["cache-coherency", "enforce-cache-coherency", "deferred-flush", "pci-ats"] as const;
	const of = (options: Options) => {
		const { driver, device } = smmu(options);
		return capabilities.map((capability) => driver.capable(device, capability));
	};
	const COHACC = 1 << 4;
	expect(of({})).toEqual([true, false, true, false]);
	expect(of({ idr: IDR.with(0, IDR[0] & ~COHACC) })).toEqual([false, false, true, false]);
	expect(of({ canwbs: true })).toEqual([true, true, true, false]);
	expect(of({ idr: IDR.with(0, IDR[0] | ATS), ats: true, has: { ats: true } })).toEqual([true, false, true, true]);
	expect(of({ idr: IDR.with(0, IDR[0] | ATS), ats: true })).toEqual([true, false, true, false]);
});

test("hw_info has the identification registers", () => {
	const { driver, device } = smmu();
	const { flags, idr, iidr, aidr } = decode(HwInfoArmSmmuV3, driver.hwInfo(device, 0).bytes);
	expect([flags, [...idr], iidr, aidr]).toEqual([0, IDR, 0, 1]);
	expect(codeOf(() => driver.hwInfo(device, 3))).toBe("EOPNOTSUPP");
});

test("a stream table entry says which stage translates, and goes back to abort", () => {
	const machine = smmu();
	const { device, driver, memory } = machine;
	const [one, two] = [machine.alloc(), machine.alloc(NEST_PARENT)];
	one.attachDevice(device, driver.blockedDomain);
	expect(config(machine)).toBe(CONFIG.S1_TRANS);
	two.attachDevice(device, one);
	expect(config(machine)).toBe(CONFIG.S2_TRANS);
	driver.blockedDomain.attachDevice(device, two);
	expect(config(machine)).toBe(CONFIG.ABORT);
	one.free();
	two.free();
	expect(memory.tablesInUse).toBe(0);
});

test("a domain fits the SMMU that it was made for, and no other", () => {
	const { driver, alloc } = smmu();
	const other = deviceBehind(
		driver.addIommu({ idr: IDR, iidr: 0, aidr: 0 }, { rootComplex: { ats: false, canwbs: false }, sva: false }),
	);
	expect(codeOf(() => alloc().attachDevice(other, driver.blockedDomain))).toBe("EINVAL");
});

test("ATS takes the SMMU, the root complex and the device", () => {
	const withAts = IDR.with(0, IDR[0] | ATS);
	const machine = smmu({ idr: withAts, ats: true, has: { ats: true } });
	machine.alloc().attachDevice(machine.device, machine.driver.blockedDomain);
	expect(eatsOf(machine.device.ste[1])).toBe(EATS_TRANS);
	for (const less of [{ idr: IDR }, { ats: false }, { has: {} }])
		expect(smmu({ idr: withAts, ats: true, has: { ats: true }, ...less }).device.ats).toBe(false);
});

test("PASIDs have context descriptors beside that of the device, which then can't have a stage 2", () => {
	const machine = smmu({ idr: IDR.with(1, IDR[1] | SSIDSIZE_20), has: { pasidBits: 8 } });
	const { device, driver, alloc } = machine;
	expect(device.maxPasids).toBe(256);
	const [one, two] = [alloc(PASID), alloc(NEST_PARENT)];
	one.setDevicePasid?.(device, 3, undefined);
	expect(config(machine)).toBe(CONFIG.S1_TRANS);
	expect(codeOf(() => two.attachDevice(device, driver.blockedDomain))).toBe("EBUSY");
	driver.blockedDomain.setDevicePasid(device, 3, one);
	expect(config(machine)).toBe(CONFIG.ABORT);
	two.attachDevice(device, driver.blockedDomain);
	expect(codeOf(() => one.setDevicePasid?.(device, 3, undefined))).toBe("EINVAL");
	expect(codeOf(() => two.setDevicePasid?.(device, 3, undefined))).toBe("EINVAL");
});

test("page faults take a kernel with SVA", () => {
	for (const [sva, answer] of [
		[false, "EOPNOTSUPP"],
		[true, "ok"],
	] as const) {
		const { alloc, device, driver } = smmu({ sva });
		const domain = alloc();
		domain.faultHandler = () => {};
		expect(codeOf(() => domain.attachDevice(device, driver.blockedDomain))).toBe(answer);
	}
});

test("a vIOMMU takes both stages, and that a guest can't bypass the caches", () => {
	const has = (options: Options) => {
		const { driver, device } = smmu(options);
		return driver.hasViommu(device, ViommuType.ARM_SMMUV3);
	};
	expect(has({})).toBe(true);
	expect(has({ idr: IDR.with(3, IDR[3] & ~0x100) })).toBe(false); // no IDR3.FWB
	expect(has({ idr: IDR.with(3, IDR[3] & ~0x100), canwbs: true })).toBe(true);
	expect(has({ idr: IDR.with(0, IDR[0] & ~1) })).toBe(false);
	const { driver, device } = smmu();
	expect(driver.hasViommu(device, ViommuType.TEGRA241_CMDQV)).toBe(false);
});

test("a guest's entry is checked when it is allocated", () => {
	const vsmmu = guest(smmu());
	const answer = (word0: bigint, word1 = 0n) => codeOf(() => nested(vsmmu, word0, word1));
	expect([answer(ABORT), answer(BYPASS), answer(STAGE_1)]).toEqual(["ok", "ok", "ok"]);
	expect(answer(~1n, ~0n)).toBe("ok"); // not valid, so nobody looks at it
	expect(answer(1n | (6n << 1n))).toBe("EIO"); // stage 2
	expect(answer(STAGE_1 | (1n << 52n))).toBe("EIO");
	expect(answer(STAGE_1, 1n << 25n)).toBe("EIO"); // S2FWB is the host's
	expect([answer(STAGE_1, 1n << 28n), answer(STAGE_1, 2n << 28n)]).toEqual(["ok", "EIO"]); // EATS
});

test("a first stage can be attached only to a device that has a number in the guest", () => {
	const machine = smmu();
	const numbers = new Map<bigint, Device>();
	const vsmmu = guest(machine, numbers);
	const attach = (word0: bigint) =>
		codeOf(() => nested(vsmmu, word0).attachDevice(machine.device, machine.driver.blockedDomain));
	expect([attach(ABORT), attach(BYPASS), attach(STAGE_1)]).toEqual(["ok", "ok", "ENOENT"]);
	expect(config(machine)).toBe(CONFIG.S2_TRANS); // the bypass is still attached
	numbers.set(5n, machine.device);
	expect(attach(STAGE_1)).toBe("ok");
	expect(config(machine)).toBe(CONFIG.NESTED);
});

test("a TLBI reaches what is cached for the guest, by address and ASID as it says", () => {
	const machine = smmu();
	const vsmmu = guest(machine, new Map<bigint, Device>([[5n, machine.device]]));
	const carryOut = (...commands: bigint[][]) => {
		const entries = commands.map((cmd) => ({ cmd: BigUint64Array.from(cmd) }));
		const array = userDataArray(InvalidateDataType.ARM_SMMUV3, ViommuArmSmmuV3Invalidate, entries);
		return [codeOf(() => vsmmu.invalidateCache(array)), array.done];
	};
	/** Which of these is still there: pages 5 and 6 of ASID 1, page 5 of ASID 2, page 7 of all. */
	const after = (...command: bigint[]) => {
		const leaf = { pagesLg2: 0, guestPage: 0, protection: 3, isDirty: true };
		vsmmu.tlb.clear();
		for (const [asid, firstPage] of [
			[1, 5],
			[1, 6],
			[2, 5],
			[GLOBAL, 7],
		])
			vsmmu.tlb.addLeaf(asid, { ...leaf, firstPage });
		expect(carryOut(command)).toEqual(["ok", 1]);
		const isCached = (asid: number, page: number) =>
			vsmmu.tlb.findLeaf(asid, page, { ...leaf, firstPage: 0 }) ? 1 : 0;
		return [isCached(1, 5), isCached(1, 6), isCached(2, 5), isCached(3, 7)].join("");
	};
	const ASID_1 = 1n << 48n;
	expect(after(0x12n | ASID_1, 0x5000n)).toBe("0111"); // TLBI_NH_VA
	expect(after(0x12n | ASID_1, 0x7000n)).toBe("1110");
	expect(after(0x13n, 0x5000n)).toBe("0101"); // TLBI_NH_VAA
	expect(after(0x11n | ASID_1, 0n)).toBe("0011"); // TLBI_NH_ASID
	expect(after(0x10n, 0n)).toBe("0000"); // TLBI_NH_ALL
	expect(after(0x30n, 0n)).toBe("0000"); // TLBI_NSNH_ALL
	expect(after(0x05n | (5n << 32n), 0n)).toBe("1111"); // CFGI_CD: translations stay
	expect(carryOut([0x05n | (5n << 32n), 0n], [0x05n | (6n << 32n), 0n])).toEqual(["EIO", 1]);
});

test("the page for interrupts is Linux's own choice", () => {
	const { driver, device } = smmu();
	expect(driver.reservedRegions(device)).toEqual([{ kind: "software-msi", first: 0x8000000n, last: 0x80fffffn }]);
});

test("in 2023 a domain had no table before it was attached", () => {
	const memory = new TableMemory();
	const driver = new ArmSmmuDriver2023(memory);
	const device = deviceBehind(driver.addIommu({ idr: IDR, iidr: 0, aidr: 0 }));
	const domain = driver.domainAllocPaging();
	expect([domain.isFinished, codeOf(() => domain.map(0, 5, 1, 3, 4096n))]).toEqual([false, "ENODEV"]);
	domain.attachDevice(device, driver.blockedDomain);
	expect([domain.isFinished, domain.aperture.last]).toEqual([true, 2n ** 48n - 1n]);
	expect(codeOf(() => domain.map(0, 5, 1, 3, 4096n))).toBe("ok");
	const other = deviceBehind(driver.addIommu({ idr: IDR, iidr: 0, aidr: 0 }));
	expect(codeOf(() => domain.attachDevice(other, driver.blockedDomain))).toBe("EINVAL");
	driver.blockedDomain.attachDevice(device, domain);
	domain.free();
	expect(memory.tablesInUse).toBe(0);
});
