import { expect, test } from "vitest";
import { READ } from "../../../pagetable/pagetable.js";
import { TableMemory } from "../../../pagetable/table-memory.js";
import { HwptAllocFlags, HwptAmdGuest, HwptDataType } from "../../../uapi/iommufd.js";
import type { ViommuCore } from "../../core/iommu.js";
import { faultOf, Guest, GuestTables } from "../../dma/guest.testing.js";
import type { DmaFault } from "../../translation/dma-fault.js";
import { AmdDriver } from "../amd.js";
import { deviceBehind, userData } from "../function.testing.js";
import { GIOV, GV, V } from "./dte.js";
import type { AmdViommu } from "./nested.js";
import { DEFAULT_CAPABILITY_HEADER } from "./registers.js";

const SERVER = { efr: 0x247577efa2254afan, efr2: 0x18n, capabilityHeader: DEFAULT_CAPABILITY_HEADER };

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 1n << 5n;
const D = 1n << 6n;
const page = (guestPage: number) => (BigInt(guestPage) << 12n) | P | RW | US;

/** Guest CR3 tables are on guest pages 0x180 and 0x181. */
const GCR3 = 0x18_0000;
const GCR3_BELOW = 0x18_1000;

function setUp({ glx = 0n, giov = GIOV, flags = 0 } = {}) {
	const driver = new AmdDriver(new TableMemory());
	const device = deviceBehind(driver.addIommu(SERVER), { pasidBits: 16 });
	const parent = driver.domainAllocPagingFlags(device, HwptAllocFlags.NEST_PARENT | flags, undefined);
	const guest = new Guest(device, parent);
	guest.numberPages(64);
	guest.map(0x100, 64, 130);
	guest.map(0x200, 0, 64);
	const viommu = driver.viommuInit({} as ViommuCore, device, 0, parent) as AmdViommu;
	const dte = BigUint64Array.of(V | GV | giov | (glx << 56n), 0n, 0n, 0n);
	dte[0] |= (BigInt(GCR3 >> 12) & 7n) << 58n;
	dte[1] |= (BigInt(GCR3 >> 15) & 0xffffn) << 16n;
	const domain = viommu.allocDomainNested(0, userData(HwptDataType.AMD_GUEST, HwptAmdGuest, { dte }));
	guest.attach(domain);
	const tables = new GuestTables(guest, 0x100, 4, P | RW | US);
	return { driver, device, parent, guest, domain, tables };
}

test("requests without a PASID go through the tables of PASID 0, where GIOV says so", () => {
	const { guest, tables } = setUp();
	guest.setWord(GCR3, BigInt(tables.root) | 1n);
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	expect(guest.write(0x5000n, 3)).toBeUndefined();
	expect(tables.get(0x5000n)).toBe(page(0x203) | A | D);
	const bypassing = setUp({ giov: 0n });
	expect(bypassing.guest.read(0x203000n)).toBe(3);
	expect(faultOf(bypassing.guest.read(0x5000n))).toBe("second stage: not-present");
});

test("each PASID has a root of its own, in a Guest CR3 table of as many levels as GLX says", () => {
	const { guest, tables } = setUp({ glx: 1n });
	const pasid = 513;
	guest.setWord(GCR3 + 8, BigInt(GCR3_BELOW) | 1n);
	guest.setWord(GCR3_BELOW + 8, BigInt(tables.root) | 1n);
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n, pasid)).toBe(3);
	const fault = guest.read(0x5000n, pasid + 1) as DmaFault;
	expect(faultOf(fault)).toBe("first stage: not-present");
	expect(fault.message).toBe(
		"0000:00:03.0 can't read iova 0x5000 with PASID 514: first stage: " +
			"Guest CR3 table entry 2 at guest-physical 0x181010 has no V: nothing is there for PASID 514",
	);
	const oneLevel = setUp();
	expect(faultOf(oneLevel.guest.read(0x5000n, pasid))).toBe("first stage: out-of-range");
	expect(faultOf(oneLevel.guest.read(0x5000n, 1 << 16))).toBe("attachment: blocked");
});

test("what is cached serves until the device is attached anew, or the host's table changes", () => {
	const { guest, tables, domain, parent } = setUp();
	guest.setWord(GCR3, BigInt(tables.root) | 1n);
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	expect([guest.read(0x5000n), guest.events.map(({ kind }) => kind)]).toEqual([3, ["stale"]]);
	guest.attach(parent);
	guest.attach(domain);
	expect(guest.read(0x5000n)).toBe(9);
	tables.set(0x5000n, page(0x20a));
	expect([guest.read(0x5000n), guest.events.length]).toEqual([9, 2]);
	guest.unmap(0x23f);
	expect([guest.read(0x5000n), guest.events.length]).toEqual([10, 2]);
});

test("the host's table permits or not, and must have the guest's tables writable to mark them", () => {
	const { guest, tables } = setUp();
	guest.setWord(GCR3, BigInt(tables.root) | 1n);
	guest.map(0x300, 5, 1, READ);
	tables.set(0x5000n, page(0x300));
	expect(guest.read(0x5000n)).toBe(5);
	const fault = guest.write(0x5000n, 1) as DmaFault;
	expect([faultOf(fault), fault.level]).toEqual(["second stage: permission", 0]);
	expect(fault.reason).toBe("0x300000 would be written, and its level 1 PTE permits reading only");
	const copy = 0x301;
	guest.map(copy, 140, 1);
	guest.setWord(copy * 4096 + 8 * 5, page(0x203));
	guest.unmap(copy);
	guest.map(copy, 140, 1, READ);
	tables.set(0x20_0000n, page(copy), 1);
	expect(faultOf(guest.read(0x20_5000n))).toBe("second stage: permission");
});
