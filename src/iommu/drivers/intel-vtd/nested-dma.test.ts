import fc from "fast-check";
import { expect, test } from "vitest";
import { TableMemory } from "../../../pagetable/table-memory.js";
import {
	HwptAllocFlags,
	HwptDataType,
	HwptVtdS1,
	HwptVtdS1Invalidate,
	InvalidateDataType,
} from "../../../uapi/iommufd.js";
import { faultOf, Guest, GuestTables } from "../../dma/guest.testing.js";
import type { DmaFault } from "../../translation/dma-fault.js";
import { deviceBehind, userData, userDataArray } from "../function.testing.js";
import { IntelVtdDriver } from "../intel-vtd.js";
import type { VtdNestedDomain } from "./nested.js";
import { VtdRegisters } from "./registers.js";

const SERVER = { CAP: 0x19ed008c40780c66n, ECAP: 0x3ef9ea6f050dfn };
const { NEST_PARENT, DIRTY_TRACKING } = HwptAllocFlags;
const EVERYTHING = (1n << 64n) - 1n;

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 1n << 5n;
const D = 1n << 6n;
const PS = 1n << 7n;
/** A present entry for a page that users may write. */
const page = (guestPage: number) => (BigInt(guestPage) << 12n) | P | RW | US;

/** Tables from guest page 0x100 on, data from page 0x200 on: 64 pages each, in RAM the other way round. */
function setUp({ flags = 0, levels = 4 } = {}) {
	const driver = new IntelVtdDriver(new TableMemory());
	const device = deviceBehind(driver.addIommu(new VtdRegisters(SERVER.CAP, SERVER.ECAP)));
	const parent = driver.domainAllocPagingFlags(device, NEST_PARENT | flags, undefined);
	const guest = new Guest(device, parent);
	guest.numberPages(64);
	guest.map(0x100, 64, 64);
	guest.map(0x200, 0, 64);
	const tables = new GuestTables(guest, 0x100, levels, P | RW | US);
	const data = { pgtblAddr: BigInt(tables.root), addrWidth: levels === 5 ? 57 : 48 };
	const domain = driver.domainAllocNested(
		device,
		parent,
		0,
		userData(HwptDataType.VTD_S1, HwptVtdS1, data),
	) as VtdNestedDomain;
	guest.attach(domain);
	const invalidate = (...entries: { addr: bigint; npages: bigint; flags?: number }[]) =>
		domain.invalidateCache(userDataArray(InvalidateDataType.VTD_S1, HwptVtdS1Invalidate, entries));
	return { driver, device, parent, guest, tables, domain, invalidate };
}

test("a device reads and writes through both stages, and the first stage gets its accessed and dirty bits", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	expect(tables.get(0x5000n)).toBe(page(0x203) | A);
	expect(tables.get(0x5000n, 3) & (A | D)).toBe(A);
	expect(guest.write(0x5001n, 77)).toBeUndefined();
	expect(guest.ram.bytes[3 * 4096 + 1]).toBe(77);
	expect(tables.get(0x5000n)).toBe(page(0x203) | A | D);
	expect(guest.events).toEqual([]);
});

test("a DMA goes on over pages that lie apart, and stops where there are no more", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203));
	tables.set(0x6000n, page(0x209));
	const data = new Uint8Array(0x3000).fill(0xee);
	const fault = guest.dma.read(guest.device, 0x5000n, data);
	expect([data[0], data[0x1000], data[0x2000]]).toEqual([3, 9, 0xee]);
	expect([faultOf(fault), fault?.request.iova, fault?.level]).toEqual(["first stage: not-present", 0x7000n, 0]);
	expect(fault?.message).toBe(
		"0000:00:03.0 can't read iova 0x7000: first stage: PTE 7 at guest-physical 0x103038, which is 0x0, is not present: P is 0",
	);
});

test("tables have five levels where addr_width is 57, and large pages", () => {
	const { guest, tables } = setUp({ levels: 5 });
	const iova = 0x81_2345_0020_0000n;
	tables.set(iova, page(0x200) | PS, 1);
	expect(guest.read(iova + 0x5000n)).toBe(5);
	expect(faultOf(guest.read(iova + 0x40000n))).toBe("second stage: not-present");
	tables.set(iova, page(0x201) | (1n << 13n) | PS, 1);
	expect(guest.read(iova + 0x6000n)).toBe(6); // cached
	tables.set(iova + 0x20_0000n, page(0x200) | (1n << 13n) | PS, 1);
	expect(faultOf(guest.read(iova + 0x20_0000n))).toBe("first stage: malformed");
});

test("an address that isn't sign-extended can't be translated", () => {
	const { guest, tables } = setUp();
	tables.set(0xffff_8000_0000_5000n, page(0x204));
	expect(guest.read(0xffff_8000_0000_5000n)).toBe(4);
	expect(faultOf(guest.read(0x8000_0000_5000n))).toBe("first stage: out-of-range");
});

test("each stage refuses what it doesn't permit, at every level", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203) & ~RW);
	expect(guest.read(0x5000n)).toBe(3);
	const refused = guest.write(0x5000n, 1) as DmaFault;
	expect([faultOf(refused), refused.reason]).toEqual([
		"first stage: permission",
		"what the IOMMU has cached for 0x5000 permits reading only",
	]);
	tables.set(0x6000n, page(0x203) & ~US);
	expect(faultOf(guest.read(0x6000n))).toBe("first stage: permission");
	tables.set(0x4020_0000n, page(0x203));
	tables.set(0x4020_0000n, tables.get(0x4020_0000n, 2) & ~RW, 2);
	const fault = guest.write(0x4020_0000n, 1) as DmaFault;
	expect([fault.kind, fault.level]).toEqual(["permission", 2]);
	expect(fault.reason).toMatch(/^PDPTE 1 at guest-physical 0x101008, .* permits reading only: R\/W is 0$/);
	tables.set(0x7000n, page(0x300));
	expect(faultOf(guest.read(0x7000n))).toBe("second stage: not-present");
});

test("a table that the second stage doesn't map is a fault of the second stage", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203));
	tables.set(0x5000n, page(0x400), 1);
	const fault = guest.read(0x5000n) as DmaFault;
	expect(faultOf(fault)).toBe("second stage: not-present");
	expect(fault.reason).toMatch(/^0x400028 \(PTE 5\) is not mapped: SS-/);
});

test("what is cached serves until it is invalidated, and the trace says that it is stale", () => {
	const { guest, tables, invalidate } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	expect([guest.read(0x5000n), guest.events.length]).toEqual([3, 1]);
	expect(guest.events[0]).toMatchObject({ kind: "stale", device: "0000:00:03.0", iova: 0x5000n });
	expect(guest.events[0].message).toBe(
		"DMA of 0000:00:03.0 at iova 0x5000 used a cached translation that the table no longer has. " +
			"Cached: guest-physical 0x203000, reading and writing. In the table now: guest-physical 0x209000, reading and writing. " +
			"The change was not invalidated.",
	);
	invalidate({ addr: 0x6000n, npages: 1n });
	expect(guest.read(0x5000n)).toBe(3);
	invalidate({ addr: 0x4000n, npages: 2n });
	guest.events.length = 0;
	expect([guest.read(0x5000n), guest.events]).toEqual([9, []]);
});

test("an entry that becomes present needs no invalidation, one that goes away does", () => {
	const { guest, tables, invalidate } = setUp();
	expect(faultOf(guest.read(0x5000n))).toBe("first stage: not-present");
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, 0n);
	guest.events.length = 0;
	expect(guest.read(0x5000n)).toBe(3);
	expect(guest.events.map(({ kind }) => kind)).toEqual(["stale"]);
	invalidate({ addr: 0n, npages: EVERYTHING });
	expect(faultOf(guest.read(0x5000n))).toBe("first stage: not-present");
});

test("an invalidation of leaves alone keeps the tables above them", () => {
	const { guest, tables, invalidate } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	const other = 0x130;
	guest.setWord(other * 4096 + 8 * 5, page(0x209));
	tables.set(0x5000n, page(other), 1);
	invalidate({ addr: 0x5000n, npages: 1n, flags: 1 });
	expect(guest.read(0x5000n)).toBe(3);
	expect(guest.events.map(({ kind }) => kind)).toEqual(["stale"]);
	invalidate({ addr: 0x5000n, npages: 1n });
	expect(guest.read(0x5000n)).toBe(9);
});

test("an unmap of the second stage flushes what depends on it", () => {
	const { guest, tables } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	guest.unmap(0x220);
	expect([guest.read(0x5000n), guest.events]).toEqual([9, []]);
	guest.unmap(0x209);
	expect(faultOf(guest.read(0x5000n))).toBe("second stage: not-present");
});

test("a device that is attached anew begins with nothing cached", () => {
	const { guest, tables, domain, parent } = setUp();
	tables.set(0x5000n, page(0x203));
	expect(guest.read(0x5000n)).toBe(3);
	tables.set(0x5000n, page(0x209));
	guest.attach(parent);
	expect(guest.read(0x203000n)).toBe(3); // without a first stage
	guest.attach(domain);
	expect([guest.read(0x5000n), guest.events]).toEqual([9, []]);
	guest.device.group.detach();
	expect(faultOf(guest.read(0x5000n))).toBe("attachment: blocked");
});

test("with dirty tracking the second stage knows of writes, those to tables among them", () => {
	const { guest, tables, parent } = setUp({ flags: DIRTY_TRACKING });
	const dirty = () => {
		const pages: number[] = [];
		parent.table.readDirty(0x100, 0x200, true, (first, count) => {
			for (let n = 0; n < count; n++) pages.push(first + n);
		});
		return pages;
	};
	tables.set(0x5000n, page(0x203));
	expect(guest.write(0x5000n, 1)).toBeUndefined();
	expect(dirty()).toEqual([]);
	parent.dirtyTracking?.set(true);
	expect(guest.read(0x5000n)).toBe(1);
	expect(dirty()).toEqual([]);
	expect(guest.write(0x5000n, 1)).toBeUndefined();
	expect(dirty()).toEqual([0x203]);
	tables.set(0x6000n, page(0x204));
	expect(guest.read(0x6000n)).toBe(4);
	expect(dirty()).toEqual([0x103]);
});

test("interrupts are no memory", () => {
	const { guest, tables } = setUp();
	tables.set(0xfedf_f000n, page(0x203));
	tables.set(0xfee0_0000n, page(0x204));
	expect(faultOf(guest.write(0xfee0_0000n, 1))).toBe("attachment: out-of-range");
	const data = new Uint8Array(0x1001);
	expect(guest.dma.read(guest.device, 0xfedf_f000n, data)?.request.iova).toBe(0xfee0_0000n);
	expect(data[0]).toBe(3);
});

test("random first stages over random second stages agree with two maps from page to page", () => {
	const second = fc.uniqueArray(fc.record({ guest: fc.nat(40), ram: fc.nat(63) }), {
		selector: ({ guest }) => guest,
		maxLength: 30,
	});
	const first = fc.uniqueArray(fc.record({ iova: fc.nat(60), guest: fc.nat(40), writable: fc.boolean() }), {
		selector: ({ iova }) => iova,
		maxLength: 40,
	});
	// Some are in other tables than the others.
	const spread = (iova: number) => BigInt(iova % 3) * 0x80_4020_0000n + (BigInt(iova) << 12n);
	const accesses = fc.array(fc.record({ iova: fc.nat(60), write: fc.boolean() }), { maxLength: 30 });
	fc.assert(
		fc.property(second, first, accesses, (seconds, firsts, all) => {
			const { guest, tables } = setUp();
			for (const { guest: at, ram } of seconds) guest.map(0x1000 + at, ram, 1);
			for (const { iova, guest: to, writable } of firsts)
				tables.set(spread(iova), writable ? page(0x1000 + to) : page(0x1000 + to) & ~RW);
			for (const { iova, write } of all) {
				const one = firsts.find((entry) => entry.iova === iova);
				const two = seconds.find((entry) => entry.guest === one?.guest);
				let expected: string | number | undefined = write ? undefined : two?.ram;
				if (one === undefined) expected = "first stage: not-present";
				else if (write && !one.writable) expected = "first stage: permission";
				else if (two === undefined) expected = "second stage: not-present";
				const at = spread(iova);
				expect(faultOf(write ? guest.write(at, two?.ram ?? 0) : guest.read(at))).toBe(expected);
			}
			expect(guest.events.filter(({ kind }) => kind === "stale")).toEqual([]);
		}),
		{ numRuns: 60 },
	);
});
