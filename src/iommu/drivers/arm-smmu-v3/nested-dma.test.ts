import { expect, test } from "vitest";
import { READ } from "../../../pagetable/pagetable.js";
import { TableMemory } from "../../../pagetable/table-memory.js";
import { codeOf } from "../../../uapi/errno.js";
import {
	HwptAllocFlags,
	HwptArmSmmuV3,
	HwptDataType,
	InvalidateDataType,
	ViommuArmSmmuV3Invalidate,
	ViommuType,
} from "../../../uapi/iommufd.js";
import type { ViommuCore } from "../../core/iommu.js";
import { faultOf, Guest, GuestTables } from "../../dma/guest.testing.js";
import type { DmaFault } from "../../translation/dma-fault.js";
import { ArmSmmuV3Driver } from "../arm-smmu-v3.js";
import { deviceBehind, userData, userDataArray } from "../function.testing.js";
import type { VSmmu } from "./nested.js";

/** Both stages, HTTU for accessed and dirty bits, SubstreamIDs. */
const IDR = [0xd44101b | (2 << 6), 0x2730010 | (20 << 6), 0, 0x1514, 0, 0x74];
const STREAM_ID = 7n;

const TABLE = 3n;
const AP_UNPRIVILEGED = 1n << 6n;
const AP_READ_ONLY = 1n << 7n;
const AF = 1n << 10n;
const nG = 1n << 11n;
const DBM = 1n << 51n;
const page = (guestPage: number) => (BigInt(guestPage) << 12n) | TABLE | AP_UNPRIVILEGED | AF | nG;

/** Context descriptors are on guest page 0x180. */
const DESCRIPTORS = 0x18_0000;
const CONFIG_S1 = 5n << 1n;
const CONFIG_BYPASS = 4n << 1n;
// Context descriptor
const CD_V = 1n << 31n;
const AA64 = 1n << 41n;
const HD = 1n << 42n;
const HA = 1n << 43n;
const EPD1 = 1n << 30n;
const IPS_48 = 5n << 32n;
const T0SZ_48 = 16n;
const ASID = 9n;
const CD = CD_V | AA64 | EPD1 | IPS_48 | T0SZ_48 | (ASID << 48n);

const command = {
	CFGI_CD_ALL: () => [0x06n | (STREAM_ID << 32n), 0n],
	CFGI_CD: (ssid = 0n) => [0x05n | (ssid << 12n) | (STREAM_ID << 32n), 1n],
	TLBI_NH_VA: (address: bigint, asid = ASID) => [0x12n | (asid << 48n), address],
	TLBI_NH_ASID: (asid = ASID) => [0x11n | (asid << 48n), 0n],
};

function setUp({ config = CONFIG_S1, descriptorsLg2 = 0n, dss = 0n } = {}) {
	const driver = new ArmSmmuV3Driver(new TableMemory());
	const smmu = driver.addIommu(
		{ idr: IDR, iidr: 0, aidr: 1 },
		{ rootComplex: { ats: false, canwbs: false }, sva: false },
	);
	const device = deviceBehind(smmu, { pasidBits: 8 });
	const parent = driver.domainAllocPagingFlags(device, HwptAllocFlags.NEST_PARENT, undefined);
	const guest = new Guest(device, parent);
	guest.numberPages(64);
	guest.map(0x100, 64, 130);
	guest.map(0x200, 0, 64);
	const core = { findDevice: () => device, virtualIdOf: () => STREAM_ID } as unknown as ViommuCore;
	const vsmmu = driver.viommuInit(core, device, ViommuType.ARM_SMMUV3, parent) as VSmmu;
	const ste = BigUint64Array.of(1n | config | BigInt(DESCRIPTORS) | (descriptorsLg2 << 59n), dss);
	const domain = vsmmu.allocDomainNested(0, userData(HwptDataType.ARM_SMMUV3, HwptArmSmmuV3, { ste }));
	guest.attach(domain);
	const tables = new GuestTables(guest, 0x100, 4, TABLE);
	const setDescriptor = (word0: bigint, root = tables.root, index = 0) => {
		guest.setWord(DESCRIPTORS + 64 * index, word0);
		guest.setWord(DESCRIPTORS + 64 * index + 8, BigInt(root));
	};
	setDescriptor(CD);
	const invalidate = (...commands: bigint[][]) => {
		const entries = commands.map((cmd) => ({ cmd: BigUint64Array.from(cmd) }));
		vsmmu.invalidateCache(userDataArray(InvalidateDataType.ARM_SMMUV3, ViommuArmSmmuV3Invalidate, entries));
	};
	return { driver, device, parent, guest, vsmmu, domain, tables, setDescriptor, invalidate };
}

test("a device reads and writes through a guest's stage 1 and the host's stage 2", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	expect(guest.write(0x5001n, 77)).toBeUndefined();
	expect(guest.ram.bytes[3 * 4096 + 1]).toBe(77);
	expect(tables.get(0x5000n)).toBe(page(0x203));
	tables.set(0x4000_0000n, (0x200n << 12n) | 1n | AP_UNPRIVILEGED | AF, 1);
	expect(guest.read(0x4000_4000n)).toBe(4); // a block of 2 MiB
	expect(guest.events).toEqual([]);
});

test("a stage 1 that is bypassed leaves stage 2", () => {
	const { guest } = setUp({ config: CONFIG_BYPASS });
	expect(guest.read(0x203000n)).toBe(3);
	expect(faultOf(guest.read(0x5000n))).toBe("second stage: not-present");
	expect(faultOf(guest.read(0x5000n, 1))).toBe("first stage: blocked");
	expect(faultOf(setUp({ config: 0n }).guest.read(0x5000n))).toBe("attachment: blocked");
});

test("entries permit what AP and APTable say, and AF must be set", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203) | AP_READ_ONLY);
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x6000n, page(0x203) | AP_READ_ONLY);
	const fault = guest.write(0x6000n, 1) as DmaFault;
	expect([faultOf(fault), fault.level]).toEqual(["first stage: permission", 0]);
	tables.set(0x7000n, page(0x203) & ~AP_UNPRIVILEGED);
	expect(faultOf(guest.read(0x7000n))).toBe("first stage: permission");
	tables.set(0x8000n, page(0x203) & ~AF);
	expect(faultOf(guest.read(0x8000n))).toBe("first stage: access-flag");
	tables.set(0x9000n, page(0x203) & ~2n);
	expect(faultOf(guest.read(0x9000n))).toBe("first stage: not-present");
	tables.set(0x4020_0000n, page(0x203));
	tables.set(0x4020_0000n, tables.get(0x4020_0000n, 2) | (1n << 62n), 2);
	expect((guest.write(0x4020_0000n, 1) as DmaFault).level).toBe(2);
	guest.map(0x300, 5, 1, READ);
	tables.set(0xa000n, page(0x300));
	expect(faultOf(guest.write(0xa000n, 1))).toBe("second stage: permission");
});

test("with HA and HD the SMMU keeps AF, and clears AP[2] of a page with DBM at the first write", () => {
	const { guest, tables, setDescriptor } = setUp();
	setDescriptor(CD | HA | HD);
	const clean = (page(0x203) & ~AF) | AP_READ_ONLY | DBM;
	tables.set(0x5000n, clean);
	expect(guest.read(0x5000n)).toBe(3);
	expect(tables.get(0x5000n)).toBe(clean | AF);
	expect(guest.write(0x5000n, 1)).toBeUndefined();
	expect(tables.get(0x5000n)).toBe((clean | AF) & ~AP_READ_ONLY);
});

test("T0SZ and T1SZ say which addresses there are, at both ends", () => {
	const { guest, tables, setDescriptor, invalidate } = setUp();
	expect(faultOf(guest.read(1n << 48n))).toBe("first stage: out-of-range");
	expect(faultOf(guest.read((1n << 64n) - 0x1000n))).toBe("first stage: not-present"); // EPD1
	const T1SZ_48 = 16n << 16n;
	const TG1_4K = 2n << 22n;
	setDescriptor((CD & ~EPD1) | T1SZ_48 | TG1_4K);
	guest.setWord(DESCRIPTORS + 16, BigInt(tables.root));
	invalidate(command.CFGI_CD());
	tables.set(0xffff_ffff_f000n, page(0x204));
	expect(guest.read((1n << 64n) - 0x1000n)).toBe(4);
});

test("a context descriptor that is wrong is said to be so", () => {
	const { guest, tables, setDescriptor } = setUp();
	tables.set(0x5000n, page(0x203));
	setDescriptor(CD & ~CD_V);
	expect((guest.read(0x5000n) as DmaFault).reason).toBe("the context descriptor at guest-physical 0x180000 has no V");
	setDescriptor(CD | (3n << 6n));
	expect((guest.read(0x5000n) as DmaFault).reason).toBe("the SMMU has no granule like that of CD.TG0");
	const { guest: other, setDescriptor: set } = setUp();
	set((CD & ~0x3fn) | 50n);
	expect((other.read(0x5000n) as DmaFault).reason).toBe("CD.T0SZ leaves 14 bits of address, and 25 to 48 are possible");
});

test("each PASID has a context descriptor, and S1DSS says what requests without one get", () => {
	const { guest, tables, setDescriptor } = setUp({ descriptorsLg2: 3n });
	setDescriptor(CD, tables.root, 5);
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n, 5)).toBe(3);
	expect(faultOf(guest.read(0x5000n, 6))).toBe("first stage: malformed");
	expect(faultOf(guest.read(0x5000n, 8))).toBe("first stage: out-of-range");
	expect(faultOf(guest.read(0x5000n))).toBe("first stage: blocked");
	expect(setUp({ descriptorsLg2: 3n, dss: 1n }).guest.read(0x203000n)).toBe(3);
});

test("a translation stays until a TLBI for its address or ASID", () => {
	const { guest, tables, invalidate } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	expect([guest.read(0x5000n), guest.events.map(({ kind }) => kind)]).toEqual([3, ["stale"]]);
	invalidate(command.TLBI_NH_VA(0x6000n), command.TLBI_NH_VA(0x5000n, ASID + 1n), command.CFGI_CD());
	expect(guest.read(0x5000n)).toBe(3);
	invalidate(command.TLBI_NH_VA(0x5000n));
	expect(guest.read(0x5000n)).toBe(9);
	tables.set(0x5000n, page(0x20a));
	expect(guest.read(0x5000n)).toBe(9);
	invalidate(command.TLBI_NH_ASID());
	guest.events.length = 0;
	expect([guest.read(0x5000n), guest.events]).toEqual([10, []]);
});

test("a context descriptor stays until a CFGI_CD", () => {
	const { guest, tables, setDescriptor, invalidate } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	const others = new GuestTables(guest, 0x140, 4, TABLE);
	others.set(0x5000n, page(0x209));
	setDescriptor(CD, others.root);
	invalidate(command.TLBI_NH_ASID());
	expect([guest.read(0x5000n), guest.events.map(({ kind }) => kind)]).toEqual([3, ["stale"]]);
	invalidate(command.CFGI_CD(), command.TLBI_NH_ASID());
	guest.events.length = 0;
	expect([guest.read(0x5000n), guest.events]).toEqual([9, []]);
});

test("translations of the guest outlive an attach, but not a change of stage 2", () => {
	const { guest, tables, domain, parent } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	guest.attach(parent);
	guest.attach(domain);
	expect(guest.read(0x5000n)).toBe(3);
	guest.unmap(0x23f);
	expect(guest.read(0x5000n)).toBe(9);
});

test("a CFGI_CD is for one PASID, a CFGI_CD_ALL for all of a device's", () => {
	const { guest, tables, setDescriptor, invalidate } = setUp({ descriptorsLg2: 3n });
	const others = new GuestTables(guest, 0x140, 4, TABLE);
	tables.set(0x5000n, page(0x203));
	others.set(0x5000n, page(0x209));
	const point = (root: number) => {
		for (const index of [5, 6]) setDescriptor(CD + (BigInt(index) << 48n), root, index);
	};
	const read = () => [5, 6].map((pasid) => guest.read(0x5000n, pasid));
	point(tables.root);
	expect(read()).toEqual([3, 3]);
	point(others.root);
	const forgetTranslations = [5n, 6n].map((index) => command.TLBI_NH_ASID(ASID + index));
	invalidate(command.CFGI_CD(5n), ...forgetTranslations);
	expect(read()).toEqual([9, 3]);
	point(tables.root);
	invalidate(command.CFGI_CD_ALL(), ...forgetTranslations);
	expect(read()).toEqual([3, 3]);
});

test("of the commands before a wrong one those are carried out that fill batches of 63", () => {
	const wrong = [0x03n, 0n];
	const other = command.TLBI_NH_VA(0x9000n);
	for (const [before, seen] of [
		[1, 3],
		[62, 3],
		[63, 9],
		[100, 9],
	] as const) {
		const { guest, tables, invalidate } = setUp();
		tables.set(0x5000n, page(0x203));
		expect(guest.read(0x5000n)).toBe(3);
		tables.set(0x5000n, page(0x209));
		const commands = [command.TLBI_NH_ASID(), ...Array.from({ length: before - 1 }, () => other)];
		expect(codeOf(() => invalidate(...commands, wrong))).toBe("EIO");
		expect([before, guest.read(0x5000n)]).toEqual([before, seen]);
		invalidate(...commands);
		expect(guest.read(0x5000n)).toBe(9);
	}
});
