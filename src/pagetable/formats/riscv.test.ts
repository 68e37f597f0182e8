import { expect, test } from "vitest";
import { CACHE, MMIO, NOEXEC } from "../format.js";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { riscv } from "./riscv.js";

const sv39 = { vaBits: 39, paBits: 56, topLevel: 2, signExtend: true };
const sv48 = { vaBits: 48, paBits: 56, topLevel: 3, signExtend: true };
const sv57 = { vaBits: 57, paBits: 56, topLevel: 4, signExtend: true };

const MIB2 = 512;
const all = riscv({ svnapot: true, svpbmt: true });
const plain = riscv();

test("entries are those of the manual: the PPN begins at bit 10, a pointer to a table has only V", () => {
	const table = new PageTable(plain, sv39, new TableMemory());
	table.map(1, 0x12345, 1, READ);
	table.map(2, 0xfffffffffff, 1, READ | WRITE | NOEXEC);
	table.map(3, 1, 1, WRITE);
	table.map(MIB2, 3 * MIB2, MIB2, READ);
	const entries = (va: number) => table.explain(va).map((step) => step.entry);
	expect(entries(1)).toEqual([0x4000_0401n, 0x4000_0801n, (0x12345n << 10n) | 0x5bn]); // V R X U A
	expect(entries(2)[2]).toBe(0x003f_ffff_ffff_fcd7n); // V R W U A D
	expect(entries(3)[2]).toBe(0x4dfn); // V R W X U A D
	expect(entries(MIB2)[1]).toBe(0x18_005bn);
	expect(table.explain(1)[2]?.meaning).toBe("4K page at 0x12345000, read (V R X U A)");
});

test("Svnapot says 64 KiB as N and a PPN that ends with 1000, in all of 16 items", () => {
	const table = new PageTable(all, sv39, new TableMemory());
	table.map(16, 0x50, 16, READ | CACHE);
	for (const va of [16, 21, 31]) expect(table.explain(va)[2]?.entry).toBe((1n << 63n) | (0x58n << 10n) | 0x5bn);
	expect(table.translate(21)).toBe(0x55);
	expect(table.explain(32)[2]?.entry).toBe(0n);
	expect([...table.entries()]).toEqual([{ va: 16, frame: 0x50, frames: 16, level: 0, protection: READ }]);
	expect(new PageTable(plain, sv39, new TableMemory()).pageSizes & (1n << 16n)).toBe(0n);
});

test("Svpbmt says what kind of memory it is: NC in bit 61, IO in bit 62", () => {
	const table = new PageTable(all, sv39, new TableMemory());
	table.map(1, 1, 1, READ | CACHE);
	table.map(2, 2, 1, READ);
	table.map(3, 3, 1, READ | MMIO);
	expect([1, 2, 3].map((va) => table.explain(va)[2]!.entry >> 61n)).toEqual([0n, 1n, 2n]);
	expect(table.explain(3)[2]?.meaning).toBe("4K page at 0x3000, read (V R X U A PBMT=IO)");
});

test("each level has leaves", () => {
	const sizes = (config: typeof sv39) => new PageTable(all, config, new TableMemory()).pageSizes;
	const sv39Sizes = (1n << 12n) | (1n << 16n) | (1n << 21n) | (1n << 30n);
	expect(sizes(sv39)).toBe(sv39Sizes);
	expect(sizes(sv48)).toBe(sv39Sizes | (1n << 39n));
	expect(sizes(sv57)).toBe(sv39Sizes | (1n << 39n) | (1n << 48n));
});

/** Volume II, 12.4, and the chapter "Svnapot". */
const specification: Specification = {
	granuleLg2: 12n,
	indexBits: [9n, 9n, 9n, 9n, 9n],
	isPresent: (entry) => (entry & 1n) !== 0n,
	table(entry) {
		if (entry & 0xen) return undefined;
		check(bitsIn(entry, 9, 0) === 1n && bitsIn(entry, 63, 54) === 0n, entry);
		return bitsIn(entry, 53, 10) << 2n;
	},
	leaf(entry, itemBytes) {
		check((entry & 0x10n) !== 0n && (entry & 6n) !== 4n, entry);
		const protection = Number((entry >> 1n) & 1n) * READ + Number((entry >> 2n) & 1n) * WRITE;
		const ppn = bitsIn(entry, 53, 10) >> 10n;
		if (entry >> 63n === 0n) {
			check((ppn << 12n) % itemBytes === 0n, entry);
			return { pa: ppn << 12n, bytes: itemBytes, protection, dirty: false };
		}
		check((ppn & 0xfn) === 8n && itemBytes === 4096n, entry);
		return { pa: (ppn - 8n) << 12n, bytes: 65536n, protection, dirty: false };
	},
};

const permits = (protection: number) => (protection & WRITE ? READ | WRITE : protection);

test.each([
	["Sv39", all, sv39, 38n],
	["Sv48", plain, sv48, 47n],
	["Sv57", all, sv57, 56n],
])(
	"%s does what the model does",
	(_name, format, config, signBit) => {
		checkAgainstModel({ format, config, decode: decoder({ ...specification, signBit }), permits, runs: 30 });
	},
	PATIENCE,
);
