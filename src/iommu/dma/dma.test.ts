import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TableMemory } from "../../pagetable/table-memory.js";
import { HwptAllocFlags } from "../../uapi/iommufd.js";
import { DEFAULT_CAPABILITY_HEADER } from "../drivers/amd/registers.js";
import { AmdDriver } from "../drivers/amd.js";
import { deviceBehind } from "../drivers/function.testing.js";
import { VtdRegisters } from "../drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../drivers/intel-vtd.js";
import type { DmaFault } from "../translation/dma-fault.js";
import { faultOf, Guest } from "./guest.testing.js";
import { Located } from "./located.js";

const RW = READ | WRITE;

/** A device behind an AMD IOMMU, which tracks what it writes, and behind a VT-d unit with second stages or first stages. */
function setUp(kind: "amd" | "second" | "first" = "amd", contiguity: "4K" | "as-addresses" = "4K") {
	const memory = new TableMemory();
	if (kind === "amd") {
		const driver = new AmdDriver(memory);
		const device = deviceBehind(
			driver.addIommu({ efr: 0x247577efa2254afan, efr2: 0x18n, capabilityHeader: DEFAULT_CAPABILITY_HEADER }),
			{ pasidBits: 4 },
		);
		const domain = driver.domainAllocPagingFlags(device, HwptAllocFlags.DIRTY_TRACKING, undefined);
		return { guest: new Guest(device, domain, { contiguity, pages: 1024 }), domain };
	}
	const driver = new IntelVtdDriver(memory);
	const unit = driver.addIommu(new VtdRegisters(0x19ed008c40780c66n, 0x3ef9ea6f050dfn));
	const device = deviceBehind(unit, { pasidBits: 4 });
	const flags = kind === "second" ? HwptAllocFlags.NEST_PARENT : 0;
	const domain = driver.domainAllocPagingFlags(device, flags, undefined);
	return { guest: new Guest(device, domain, { contiguity, pages: 1024 }), domain };
}

test("a device that is attached to nothing can do no DMA", () => {
	const { guest } = setUp();
	const fault = guest.read(0x5000n) as DmaFault;
	expect(faultOf(fault)).toBe("attachment: blocked");
	expect(fault.message).toMatch(/^0000:00:03\.0 can't read iova 0x5000: attachment: group \d+ is attached to nothing$/);
	expect(guest.events).toEqual([
		{ kind: "fault", device: "0000:00:03.0", pasid: 0, iova: 0x5000n, message: fault.message },
	]);
});

test("what a page table maps can be reached as it permits, and nothing else", () => {
	for (const kind of ["amd", "second", "first"] as const) {
		const { guest, domain } = setUp(kind);
		guest.attach(domain);
		guest.numberPages(8);
		guest.map(5, 3);
		expect([guest.read(0x5000n), guest.write(0x5fffn, 9), guest.ram.bytes[0x3fff]]).toEqual([3, undefined, 9]);
		const fault = guest.read(0x6000n) as DmaFault;
		expect([faultOf(fault), fault.level]).toEqual(["page table: not-present", 0]);
		expect(faultOf(guest.read(0x00ff_0000_0000_0000n))).toMatch(/^page table: (out-of-range|not-present)$/);
	}
	const { guest, domain } = setUp();
	guest.attach(domain);
	guest.map(5, 3, 1, READ);
	guest.map(6, 4, 1, WRITE);
	expect(faultOf(guest.write(0x5000n, 1))).toBe("page table: permission");
	expect((guest.read(0x6000n) as DmaFault).reason).toBe(
		"0x6000 would be read, and its level 1 PTE permits writing only",
	);
});

test("what is unmapped can't be reached from then on", () => {
	const { guest, domain } = setUp();
	guest.attach(domain);
	guest.map(5, 3);
	expect(guest.write(0x5000n, 1)).toBeUndefined();
	guest.unmap(5);
	expect(faultOf(guest.write(0x5000n, 1))).toBe("page table: not-present");
});

test("a DMA that fails on its way has moved what came before", () => {
	const { guest, domain } = setUp();
	guest.attach(domain);
	guest.map(5, 3, 2);
	const fault = guest.dma.write(guest.device, 0x5800n, new Uint8Array(0x3000).fill(7));
	expect(fault?.request.iova).toBe(0x7000n);
	expect([guest.ram.bytes[0x37ff], guest.ram.bytes[0x3800], guest.ram.bytes[0x4fff]]).toEqual([0, 7, 7]);
});

test("an address that is not that of memory is a fault of memory", () => {
	const { guest, domain } = setUp();
	guest.attach(domain);
	domain.map(9, 0x100, 1, RW, domain.pageSizes);
	expect((guest.read(0x9010n) as DmaFault).message).toBe(
		"0000:00:03.0 can't read iova 0x9010: memory: 0x9010 leads to physical address 0x100010, where there is no memory",
	);
});

test("pages that are written are dirty while that is tracked", () => {
	const { guest, domain } = setUp();
	guest.attach(domain);
	guest.map(0, 0, 8);
	const dirty: number[][] = [];
	const readDirty = () => {
		dirty.length = 0;
		domain.table.readDirty(0, 8, true, (first, count) => dirty.push([first, count]));
		return dirty;
	};
	guest.write(0x1000n, 1);
	expect(readDirty()).toEqual([]);
	domain.dirtyTracking?.set(true);
	guest.read(0x2000n);
	guest.dma.write(guest.device, 0x3ff0n, new Uint8Array(0x20));
	expect(readDirty()).toEqual([[3, 2]]);
	expect(readDirty()).toEqual([]);
});

test("a PASID has its own attachment", () => {
	const { guest, domain } = setUp("first");
	guest.map(5, 3);
	const { group } = guest.device;
	group.attachPasid(domain, 7, {});
	guest.numberPages(8);
	expect(guest.read(0x5000n, 7)).toBe(3);
	expect(faultOf(guest.read(0x5000n))).toBe("attachment: blocked");
	expect(faultOf(guest.read(0x5000n, 6))).toBe("attachment: blocked");
	expect((guest.read(0x5000n, 16) as DmaFault).reason).toBe("the device has the PASIDs 1 to 15");
});

test("random reads and writes agree with memory seen through a map from page to page", () => {
	const maps = fc.uniqueArray(fc.record({ at: fc.nat(40), ram: fc.nat(900), count: fc.integer({ min: 1, max: 20 }) }), {
		selector: ({ at }) => at,
		maxLength: 8,
	});
	const accesses = fc.array(
		fc.record({
			at: fc.nat(70 * 4096),
			length: fc.integer({ min: 1, max: 20000 }),
			byte: fc.nat(255),
			write: fc.boolean(),
		}),
	);
	const contiguity = fc.constantFrom("4K" as const, "as-addresses" as const);
	fc.assert(
		fc.property(contiguity, maps, accesses, (contiguous, all, some) => {
			const { guest, domain } = setUp("amd", contiguous);
			guest.attach(domain);
			const model = new Map<number, number>();
			for (const { at, ram, count } of all) {
				if (Array.from({ length: count }, (_, n) => at + n).some((page) => model.has(page))) continue;
				guest.map(at, ram, count);
				for (let n = 0; n < count; n++) model.set(at + n, ram + n);
			}
			const expected = guest.ram.bytes.slice();
			for (const { at, length, byte, write } of some) {
				const data = new Uint8Array(length).fill(byte);
				const fault = write
					? guest.dma.write(guest.device, BigInt(at), data)
					: guest.dma.read(guest.device, BigInt(at), data);
				let failed: number | undefined;
				for (let n = 0; n < length && failed === undefined; n++) {
					const page = model.get(Math.floor((at + n) / 4096));
					if (page === undefined) failed = at + n;
					else if (write) expected[page * 4096 + ((at + n) % 4096)] = byte;
					else if (data[n] !== expected[page * 4096 + ((at + n) % 4096)]) throw new Error(`byte ${n} of ${at}`);
				}
				expect(fault === undefined ? undefined : Number(fault.request.iova)).toBe(failed);
			}
			expect(Buffer.compare(guest.ram.bytes, expected)).toBe(0);
		}),
		{ numRuns: 60 },
	);
});

describe("where an access leads can be had", () => {
	const located = ({ guest }: ReturnType<typeof setUp>, iova: bigint, write = false, revoked = () => {}) => {
		const into = new Located();
		guest.dma.report = undefined;
		const fault = guest.dma.locate(guest.device, 0, iova, write, revoked, into);
		return { fault: fault && faultOf(fault), into };
	};

	test("with its neighbours, as far as they lie side by side and permit the same", () => {
		const scene = setUp("amd", "as-addresses");
		scene.guest.attach(scene.domain);
		scene.guest.map(0x1fe, 10, 4);
		scene.guest.map(0x202, 14, 2, READ);
		scene.guest.map(0x204, 99, 1);
		const at = (page: number) => {
			const { firstPage, pages, at, protection, backing } = located(scene, BigInt(page * 4096) + 5n).into;
			return [firstPage, pages, at / 4096, protection, backing === scene.guest.ram];
		};
		// A window ends at 0x200.
		expect([at(0x1ff), at(0x201), at(0x203), at(0x204)]).toEqual([
			[0x1fe, 2, 10, RW, true],
			[0x200, 2, 12, RW, true],
			[0x202, 2, 14, READ, true],
			[0x204, 1, 99, RW, true],
		]);
		expect(located(scene, 0x202000n, true).fault).toBe("page table: permission");
		expect(located(scene, 0x300000n).fault).toBe("page table: not-present");
	});

	test("until it doesn't count any more, which is told once", () => {
		const scene = setUp("second");
		const { guest, domain } = scene;
		guest.attach(domain);
		guest.map(5, 3, 2);
		let revocations = 0;
		const revoked = () => revocations++;
		for (let i = 0; i < 3; i++) located(scene, 0x5000n, false, revoked);
		guest.map(9, 9);
		expect(revocations).toBe(0);
		guest.unmap(6);
		expect(revocations).toBe(1);
		guest.unmap(5);
		expect(revocations).toBe(1);
		located(scene, 0x9000n, false, revoked);
		guest.device.group.detach();
		expect(revocations).toBe(2);
	});

	test("of one page at a time while what is written is marked, and a page that was read may not be written yet", () => {
		const scene = setUp("amd", "as-addresses");
		const { guest, domain } = scene;
		guest.attach(domain);
		guest.map(5, 3, 4);
		expect(located(scene, 0x6000n).into).toMatchObject({ firstPage: 5, pages: 4, protection: RW });
		domain.dirtyTracking!.set(true);
		expect(located(scene, 0x6000n).into).toMatchObject({ firstPage: 6, pages: 1, protection: READ });
		expect(located(scene, 0x6000n, true).into).toMatchObject({ firstPage: 6, pages: 1, protection: RW });
		const dirty: number[] = [];
		domain.table.readDirty(5, 4, false, (va) => dirty.push(va));
		expect(dirty).toEqual([6]);
	});

	test("not while somebody looks on", () => {
		const { guest, domain } = setUp("second");
		guest.attach(domain);
		guest.map(5, 3);
		const into = new Located();
		expect(guest.dma.locate(guest.device, 0, 0x5000n, false, () => {}, into)).toBeUndefined();
		expect(into.backing).toBeUndefined();
	});
});
