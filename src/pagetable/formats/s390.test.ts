import { expect, test } from "vitest";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { s390 } from "./s390.js";

const regionThird = { vaBits: 42, paBits: 64, topLevel: 2 };
const regionSecond = { vaBits: 53, paBits: 64, topLevel: 3 };
const regionFirst = { vaBits: 64, paBits: 64, topLevel: 4 };

test("region entries say their type and length, a page entry its address and protection", () => {
	const memory = new TableMemory();
	const table = new PageTable(s390, regionFirst, memory);
	table.map(2 ** 52 - 1, 0x12345, 1, READ);
	table.map(2 ** 52 - 2, 2 ** 52 - 1, 1, READ | WRITE);
	expect(table.explain(2 ** 52 - 1)).toMatchObject([
		{ index: 2047, entry: 0x1_0000_400fn, name: "region-first-table entry" }, // TT=11, TL=3
		{ index: 2047, entry: 0x1_0000_800bn, name: "region-second-table entry" },
		{ index: 2047, entry: 0x1_0000_c007n, name: "region-third-table entry" },
		{ index: 2047, entry: 0x1_0001_0000n, name: "segment-table entry" },
		{ index: 255, entry: 0x1234_5200n, meaning: "4K page at 0x12345000, read (I=0 P=1)" },
	]);
	expect(table.explain(2 ** 52 - 2)[4]?.entry).toBe(0xffff_ffff_ffff_f000n);
	expect(memory.bytesInUse).toBe(4 * 16384 + 2048);
});

test("an empty entry is not zero: a region or segment has I in bit 58, a page in bit 53", () => {
	const table = new PageTable(s390, regionThird, new TableMemory());
	expect(table.explain(0)).toMatchObject([{ entry: 0x20n, meaning: "nothing is mapped here" }]);
	table.map(0, 0, 2, READ);
	table.unmap(0, 1);
	expect(table.explain(0)[2]?.entry).toBe(0x400n);
	expect(table.explain(256)[1]?.entry).toBe(0x20n);
	table.unmap(1, 1);
	table.map(0, 0, 256, READ);
	table.unmap(0, 256);
	expect(table.explain(0)[1]?.entry).toBe(0x20n);
});

test("what is mapped for nothing can be read, for the driver looks at writing only", () => {
	const table = new PageTable(s390, regionThird, new TableMemory());
	table.map(1, 1, 1, 0);
	table.map(2, 2, 1, WRITE);
	expect([1, 2].map((va) => table.protectionOf(va))).toEqual([READ, READ | WRITE]);
});

test("there are only pages of 4 KiB, also for a whole segment", () => {
	const table = new PageTable(s390, regionThird, new TableMemory());
	expect(table.pageSizes).toBe(4096n);
	table.map(0, 0, 256, READ);
	expect([...table.entries()]).toHaveLength(256);
});

test("the table's type says how far it reaches, and beyond is EINVAL as in Linux's driver", () => {
	const last = (config: typeof regionThird) => new PageTable(s390, config, new TableMemory()).lastAddress;
	expect(last(regionThird)).toBe(2n ** 42n - 1n);
	expect(last(regionSecond)).toBe(2n ** 53n - 1n);
	expect(last(regionFirst)).toBe(2n ** 64n - 1n);
	const table = new PageTable(s390, regionThird, new TableMemory());
	expect(() => table.map(2 ** 30, 0, 1, READ)).toThrow(expect.objectContaining({ code: "EINVAL" }));
});

/** Principles of Operation, "Region-Table Entries", "Segment-Table Entries", "Page-Table Entries". */
const specification: Specification = {
	granuleLg2: 12n,
	indexBits: [8n, 11n, 11n, 11n, 11n],
	isPresent: (entry, level) => (entry & (level === 0 ? 0x400n : 0x20n)) === 0n,
	table(entry, level) {
		check(bitsIn(entry, 3, 2) >> 2n === BigInt(level - 1), entry);
		check(bitsIn(entry, 1, 0) === (level === 1 ? 0n : 3n), entry);
		return level === 1 ? bitsIn(entry, 63, 11) : bitsIn(entry, 63, 14);
	},
	leaf(entry, itemBytes) {
		check((entry & 0xdffn) === 0n, entry);
		return {
			pa: bitsIn(entry, 63, 12),
			bytes: itemBytes,
			protection: entry & 0x200n ? READ : READ | WRITE,
			dirty: false,
		};
	},
};

test.each([
	["a region-third table", regionThird],
	["a region-second table", regionSecond],
	["a region-first table", regionFirst],
])(
	"s390 with %s does what the model does",
	(_name, config) => {
		const permits = (protection: number) => protection | READ;
		checkAgainstModel({ format: s390, config, decode: decoder(specification), permits, runs: 25 });
	},
	PATIENCE,
);
