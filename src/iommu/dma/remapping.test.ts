import fc from "fast-check";
import { expect, test } from "vitest";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { PhysicalMemory } from "../../memory/physical-memory.js";
import { READ, WRITE } from "../../pagetable/pagetable.js";
import { TableMemory } from "../../pagetable/table-memory.js";
import { HwptAllocFlags, HwptArmSmmuV3, HwptDataType, HwptVtdS1, ViommuType } from "../../uapi/iommufd.js";
import type { ViommuCore } from "../core/iommu.js";
import { NO_PASID } from "../core/pasid.js";
import type { VSmmu } from "../drivers/arm-smmu-v3/nested.js";
import { ArmSmmuV3Driver } from "../drivers/arm-smmu-v3.js";
import { deviceBehind, userData } from "../drivers/function.testing.js";
import { VtdRegisters } from "../drivers/intel-vtd/registers.js";
import { IntelVtdDriver } from "../drivers/intel-vtd.js";
import { DmaFault } from "../translation/dma-fault.js";
import type { TwoStageDomain } from "../translation/two-stage-domain.js";
import { Guest } from "./guest.testing.js";
import { Remapping } from "./remapping.js";

// The guest's tables are on the first pages from here on, the top on the first of all. The others are to be mapped.
const ROOT = 0x200;
const PAGES = 12;
const TABLES = 4;
const LEVELS = 4;

/** What an entry is, by the specification's text. */
interface NaiveEntry {
	readonly fault?: string;
	readonly isLeaf: boolean;
	readonly permits: number;
	/** As it is after an access. */
	readonly marked: bigint;
}

interface Architecture {
	readonly nest: () => { guest: Guest; domain: TwoStageDomain };
	/** How many of the pages may be written. An erratum of VT-d's keeps Linux from having others there. */
	readonly writable: number;
	/** Bits that an entry may have besides its address, each with or without the others. */
	readonly bits: readonly bigint[];
	/** Those that most have: of a table, and of a page that may be written. */
	readonly usual: bigint;
	readonly read: (entry: bigint, level: number, write: boolean) => NaiveEntry;
}

const has = (entry: bigint, bit: number): boolean => (entry & (1n << BigInt(bit))) !== 0n;

const vtd: Architecture = {
	nest() {
		const driver = new IntelVtdDriver(new TableMemory());
		const device = deviceBehind(driver.addIommu(new VtdRegisters(0x19ed008c40780c66n, 0x3ef9ea6f050dfn)));
		const parent = driver.domainAllocPagingFlags(device, HwptAllocFlags.NEST_PARENT, undefined);
		const guest = new Guest(device, parent);
		const data = { pgtblAddr: BigInt(ROOT * PAGE_SIZE), addrWidth: 48 };
		const domain = driver.domainAllocNested(device, parent, 0, userData(HwptDataType.VTD_S1, HwptVtdS1, data));
		return { guest, domain };
	},
	writable: PAGES,
	// P, R/W, U/S, A, D, PS, one that is reserved in large pages, one that is ignored
	bits: [0, 1, 2, 5, 6, 7, 13, 55].map((bit) => 1n << BigInt(bit)),
	usual: 0x7n,
	read(entry, level, write) {
		const isLeaf = level === 0 || has(entry, 7);
		const low = level === 1 ? 21n : 30n;
		let fault: string | undefined;
		if (!has(entry, 0)) fault = "not-present";
		else if (level === 3 && has(entry, 7)) fault = "malformed";
		else if (level > 0 && isLeaf && (entry & ((1n << low) - (1n << 13n))) !== 0n) fault = "malformed";
		const permits = has(entry, 2) ? (has(entry, 1) ? READ | WRITE : READ) : 0;
		const marked = entry | (1n << 5n) | (isLeaf && write ? 1n << 6n : 0n);
		return { ...(fault && { fault }), isLeaf, permits, marked };
	},
};

const smmu: Architecture = {
	nest() {
		const driver = new ArmSmmuV3Driver(new TableMemory());
		const idr = [0xd44101b | (2 << 6), 0x2730010 | (20 << 6), 0, 0x1514, 0, 0x74];
		const unit = driver.addIommu({ idr, iidr: 0, aidr: 1 }, { rootComplex: { ats: false, canwbs: false }, sva: false });
		const device = deviceBehind(unit, { pasidBits: 8 });
		const parent = driver.domainAllocPagingFlags(device, HwptAllocFlags.NEST_PARENT, undefined);
		const guest = new Guest(device, parent);
		const core = { findDevice: () => device, virtualIdOf: () => 7n } as unknown as ViommuCore;
		const viommu = driver.viommuInit(core, device, ViommuType.ARM_SMMUV3, parent) as VSmmu;
		// The context descriptor is on guest page 0x180. HA and HD: the SMMU keeps AF and AP[2].
		guest.map(0x180, 255);
		guest.setWord(0x180000, (1n << 31n) | (1n << 41n) | (3n << 42n) | (1n << 30n) | (5n << 32n) | 16n | (9n << 48n));
		guest.setWord(0x180008, BigInt(ROOT * PAGE_SIZE));
		const ste = BigUint64Array.of(1n | (5n << 1n) | 0x180000n, 0n);
		const domain = viommu.allocDomainNested(0, userData(HwptDataType.ARM_SMMUV3, HwptArmSmmuV3, { ste }));
		return { guest, domain };
	},
	writable: PAGES - 1,
	// bits 0 and 1, AP[1], AP[2], AF, nG, DBM, APTable
	bits: [0, 1, 6, 7, 10, 11, 51, 61, 62].map((bit) => 1n << BigInt(bit)),
	usual: 0xc43n,
	read(entry, level, write) {
		const isLeaf = level === 0 || !has(entry, 1);
		let fault: string | undefined;
		if (!has(entry, 0) || (level === 0 && !has(entry, 1))) fault = "not-present";
		else if (level === 3 && isLeaf) fault = "malformed";
		const isClean = has(entry, 51) && has(entry, 7);
		let permits = has(entry, 7) && !isClean ? READ : READ | WRITE;
		if (!has(entry, 6)) permits = 0;
		let marked = entry | (1n << 10n);
		if (write && isClean) marked &= ~(1n << 7n);
		if (!isLeaf) {
			permits = has(entry, 61) ? 0 : has(entry, 62) ? READ : READ | WRITE;
			marked = entry;
		}
		return { ...(fault && { fault }), isLeaf, permits, marked };
	},
};

const hasMemory = (page: number): boolean => page >= ROOT && page < ROOT + PAGES;

/** Where an access leads, or what refuses it at which level; marks entries on the way. */
function naive(guest: Guest, { read, writable }: Architecture, iova: bigint, write: boolean): string {
	const wanted = write ? WRITE : READ;
	const way: { at: number; level: number; entry: NaiveEntry }[] = [];
	let table = ROOT;
	for (let level = LEVELS - 1; ; level--) {
		if (!hasMemory(table)) return "second stage: not-present";
		const at = table * PAGE_SIZE + 8 * Number((iova >> BigInt(12 + 9 * level)) & 511n);
		const word = guest.word(at);
		const entry = read(word, level, write);
		way.push({ at, level, entry });
		if (entry.fault !== undefined) return `first stage: ${entry.fault} at ${level}`;
		table = Number((word & 0xffff_ffff_f000n) >> 12n);
		if (!entry.isLeaf) continue;
		const refusing = way.find((step) => !(step.entry.permits & wanted));
		if (refusing !== undefined) return `first stage: permission at ${refusing.level}`;
		for (const step of way) {
			if (guest.word(step.at) === step.entry.marked) continue;
			if (Math.floor(step.at / PAGE_SIZE) >= ROOT + writable) return "second stage: permission";
			guest.setWord(step.at, step.entry.marked);
		}
		const below = 9 * level;
		const page = (table >> below) * 2 ** below + Number((iova >> 12n) & ((1n << BigInt(below)) - 1n));
		if (!hasMemory(page)) return "second stage: not-present";
		if (write && page >= ROOT + writable) return "second stage: permission";
		return `page ${page}`;
	}
}

function translated(remapping: Remapping, guest: Guest, iova: bigint, write: boolean): string {
	try {
		remapping.begin(guest.device, NO_PASID, Number(iova >> 12n), 0x123, write);
		remapping.translate();
	} catch (fault) {
		if (!(fault instanceof DmaFault)) throw fault;
		const level = fault.stage === "first stage" ? ` at ${fault.level}` : "";
		return `${fault.stage}: ${fault.kind}${level}`;
	}
	expect(remapping.length).toBe(PAGE_SIZE - 0x123);
	const { backing, page } = guest.frames.locate(Math.floor(remapping.physical / PAGE_SIZE))!;
	expect([backing, remapping.physical % PAGE_SIZE]).toEqual([guest.ram, 0x123]);
	return `page ${ROOT + page}`;
}

test.each([
	["VT-d", vtd],
	["SMMUv3", smmu],
])("a walk comes to what a naive one comes to, whatever is in a guest's tables: %s", (_, architecture) => {
	// So few tables and indexes that most walks go far, and often in circles.
	const entry = fc.record({
		target: fc.oneof(
			{ weight: 6, arbitrary: fc.nat(TABLES - 1) },
			{ weight: 3, arbitrary: fc.nat(PAGES - 1) },
			{ weight: 1, arbitrary: fc.nat(0x200) },
		),
		changed: fc.oneof(
			{ weight: 3, arbitrary: fc.constant<bigint[]>([]) },
			{ weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...architecture.bits), { maxLength: 2 }) },
		),
	});
	const entries = fc.array(entry, { minLength: TABLES * 2, maxLength: TABLES * 2 });
	const index = fc.nat(1);
	const access = fc.record({ indexes: fc.tuple(index, index, index, index), write: fc.boolean() });
	fc.assert(
		fc.property(entries, fc.array(access, { maxLength: 12 }), (all, accesses) => {
			const { guest, domain } = architecture.nest();
			const { writable } = architecture;
			guest.map(ROOT, 0, writable);
			if (writable < PAGES) guest.map(ROOT + writable, writable, PAGES - writable, READ);
			guest.attach(domain);
			const remapping = new Remapping(new PhysicalMemory(guest.frames));
			const stale: string[] = [];
			remapping.reportStale = (_request, message) => stale.push(message);
			for (const [n, { target, changed }] of all.entries()) {
				const bits = changed.reduce((sum, bit) => sum ^ bit, architecture.usual);
				guest.setWord((ROOT + (n >> 1)) * PAGE_SIZE + 8 * (n & 1), (BigInt(ROOT + target) << 12n) | bits);
			}
			for (const { indexes, write } of accesses) {
				const iova = indexes.reduce((all, index, level) => all | (BigInt(index) << BigInt(12 + 9 * level)), 0n);
				domain.tlb.clear();
				const before = guest.ram.bytes.slice();
				const expected = naive(guest, architecture, iova, write);
				const marked = guest.ram.bytes.slice();
				guest.ram.bytes.set(before);
				expect(translated(remapping, guest, iova, write)).toBe(expected);
				expect(Buffer.compare(guest.ram.bytes, marked)).toBe(0);
				// By what is cached now it comes to the same, maybe by an entry of another level.
				const again = translated(remapping, guest, iova, write);
				expect(again.replace(/ at .*/, "")).toBe(expected.replace(/ at .*/, ""));
				expect(Buffer.compare(guest.ram.bytes, marked)).toBe(0);
				expect(stale).toEqual([]);
			}
		}),
		{ numRuns: 300 },
	);
});
