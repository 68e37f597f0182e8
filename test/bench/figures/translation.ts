// What a device's DMA costs before it comes to the memory: looking up where random IOVAs lead.

import { NO_PASID } from "../../../src/iommu/core/pasid.js";
import { Guest, GuestTables } from "../../../src/iommu/dma/guest.testing.js";
import { Remapping } from "../../../src/iommu/dma/remapping.js";
import { deviceBehind, userData } from "../../../src/iommu/drivers/function.testing.js";
import { VtdRegisters } from "../../../src/iommu/drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../../../src/iommu/drivers/intel-vtd.js";
import { Iotlb } from "../../../src/iommu/translation/iotlb.js";
import { PhysicalMemory } from "../../../src/memory/physical-memory.js";
import { CACHE, READ, WRITE } from "../../../src/pagetable/pagetable.js";
import { TableMemory } from "../../../src/pagetable/table-memory.js";
import { HwptAllocFlags, HwptDataType, HwptVtdS1 } from "../../../src/uapi/iommufd.js";
import { type Figure, type Measurement, noGoal, once, ratio, type Setting } from "../figure.js";
import { newTable } from "../formats.js";

/** As many look-ups a turn, of random pages. */
const LOOKUPS = 100_000;

/** Pages from 0 to count - 1, a power of two: the same sequence as in table.c would do, but any will. */
function randomPages(count: number): number[] {
	let state = 2463534242;
	return Array.from({ length: LOOKUPS }, () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) % count;
	});
}

/** Pages lead to pages in an order without order, as in table.c. */
const scattered = (page: number, count: number): number => (Math.imul(page, 0x9e3779b1) >>> 0) % count;

/** @param lookUp looks all of them up once */
function measure(mode: string, pages: number, setting: Setting, lookUp: () => void): Measurement {
	const each = (): number => once(lookUp) / LOOKUPS;
	const cold = each();
	for (let time = 0; time < 10; time++) each();
	const result = { figure: [] as number[], floor: [] as number[], cold };
	for (let round = 0; round < setting.rounds; round++) {
		result.floor.push(setting.floors.number("table", mode, pages, LOOKUPS));
		result.figure.push(Math.min(each(), each(), each()));
	}
	return result;
}

function oneTable(setting: Setting): Measurement {
	const pages = setting.short ? 2 ** 18 : 2 ** 22;
	const table = newTable("vtd-second-stage");
	for (let page = 0; page < pages; page++)
		table.map(page, 2 ** 24 + scattered(page, pages), 1, READ | WRITE | CACHE, 4096n);
	const asked = randomPages(pages);
	let sum = 0;
	const measured = measure("walk", pages, setting, () => {
		for (const page of asked) sum += table.translate(page);
	});
	return { ...measured, note: `${pages * 4} KiB mapped${Number.isNaN(sum) ? "!" : ""}` };
}

const P = 1n;
const RW = 2n;
const US = 4n;
const A = 32n;
/** CAP_REG.MGAW and SAGAW are for second stages of 48 bits, four levels. */
const REGISTERS = new VtdRegisters(0x19ed008c406f0466n, 0x3ef9ea6f050dfn);

/** A guest whose tables map pages of its memory, in any order, behind a second stage that does the same. */
function nestedGuest() {
	const pages = 2 ** 15;
	const tablePages = 2 ** 10;
	const driver = new IntelVtdDriver(new TableMemory());
	const device = deviceBehind(driver.addIommu(REGISTERS));
	const parent = driver.domainAllocPagingFlags(device, HwptAllocFlags.NEST_PARENT, undefined);
	const guest = new Guest(device, parent, { pages: pages + tablePages });
	guest.map(0, 0, pages + tablePages);
	const tables = new GuestTables(guest, pages, 4, P | RW | US | A);
	for (let page = 0; page < pages; page++)
		tables.set(BigInt(page) << 12n, (BigInt(scattered(page, pages)) << 12n) | P | RW | US | A);
	const data = { pgtblAddr: BigInt(tables.root), addrWidth: 48 };
	const domain = driver.domainAllocNested(device, parent, 0, userData(HwptDataType.VTD_S1, HwptVtdS1, data));
	guest.attach(domain);
	return { pages, guest, device, domain };
}

/** An IOMMU without an IOTLB: nothing is ever in it. */
class NoIotlb extends Iotlb {
	override findLeaf(): boolean {
		return false;
	}
	override findTable(): boolean {
		return false;
	}
	override addLeaf(): void {}
	override addTable(): void {}
}

/**
 * What read and write of a Dma do for each stretch, the copying left out.
 * @param iotlb what is in it: nothing ever, nothing before each look-up, or all pages after the first look
 */
function nested(iotlb: "absent" | "emptied" | "full", setting: Setting): Measurement {
	const { pages, guest, device, domain } = nestedGuest();
	if (iotlb === "absent") Object.assign(domain, { tlb: new NoIotlb() });
	const remapping = new Remapping(new PhysicalMemory(guest.frames));
	const asked = randomPages(pages);
	let total = 0;
	const measured = measure(iotlb === "full" ? "cached" : "nested", pages, setting, () => {
		let sum = 0;
		for (const page of asked) {
			if (iotlb === "emptied") domain.tlb.clear();
			remapping.begin(device, NO_PASID, page, 0, false);
			remapping.translate();
			sum += remapping.physical;
		}
		total += sum;
	});
	return { ...measured, note: `${pages * 4} KiB mapped${Number.isNaN(total) ? "!" : ""}` };
}

/** Whole DMAs of a byte. @param isTraced as in a run: each use of the IOTLB is compared with the guest's tables */
function dma(isTraced: boolean, setting: Setting): Measurement {
	const { pages, guest, device } = nestedGuest();
	if (!isTraced) guest.dma.report = undefined;
	const asked = randomPages(pages).map((page) => BigInt(page) << 12n);
	const byte = new Uint8Array(1);
	const measured = measure(isTraced ? "nested" : "cached", pages, setting, () => {
		for (const iova of asked) guest.dma.read(device, iova, byte);
	});
	return { ...measured, note: `${pages * 4} KiB mapped` };
}

export const translationFigures: readonly Figure[] = [
	{
		name: "translation/table",
		what: "looking up a random IOVA in a page table of four levels",
		against: "four dependent loads in C",
		unit: "ns",
		goal: ratio(6),
		measure: oneTable,
	},
	{
		name: "translation/nested",
		what: "translating a random IOVA through both stages of a nested domain, without an IOTLB",
		against: "24 dependent loads in C",
		unit: "ns",
		goal: ratio(6),
		measure: (setting) => nested("absent", setting),
	},
	{
		name: "translation/nested-iotlb",
		what: "translating a random IOVA through both stages of a nested domain, with the first one in the IOTLB",
		against: "5 dependent loads in C",
		unit: "ns",
		goal: ratio(6),
		measure: (setting) => nested("full", setting),
	},
	{
		name: "translation/nested-miss",
		what: "the same with nothing in the IOTLB, which gets what was found",
		against: "24 dependent loads in C",
		unit: "ns",
		goal: noGoal,
		measure: (setting) => nested("emptied", setting),
	},
	{
		name: "translation/dma",
		what: "a whole DMA of one byte through both stages, with the first one in the IOTLB",
		against: "5 dependent loads in C",
		unit: "ns",
		goal: noGoal,
		measure: (setting) => dma(false, setting),
	},
	{
		name: "translation/dma-compared",
		what: "the same with somebody to tell of stale translations: what the IOTLB has is compared with the tables",
		against: "24 dependent loads in C",
		unit: "ns",
		goal: noGoal,
		measure: (setting) => dma(true, setting),
	},
];
