import { expect, test } from "vitest";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { x86_64 } from "./x86-64.js";

/** As VT-d's first stage with 4 and with 5 levels, and as AMD's guest tables, whose top bit is unused. */
const vtd4 = { vaBits: 48, paBits: 52, topLevel: 3, signExtend: true };
const vtd5 = { vaBits: 57, paBits: 52, topLevel: 4, signExtend: true };
const amd4 = { vaBits: 47, paBits: 52, topLevel: 3 };

const MIB2 = 512;
const GIB = 512 * 512;

function make(config: typeof amd4 | typeof vtd4) {
	return new PageTable(x86_64, config, new TableMemory());
}

test("entries are those of the manual: user and accessed, and writable ones dirty from the start", () => {
	const table = make(vtd4);
	table.map(1, 0x12345, 1, READ);
	table.map(2, 0xffffffffff, 1, READ | WRITE);
	table.map(MIB2, 3 * MIB2, MIB2, READ | WRITE);
	table.map(GIB, 5 * GIB, GIB, WRITE);
	const entries = (va: number) => table.explain(va).map((step) => step.entry);
	expect(entries(1)).toEqual([0x1_0000_1027n, 0x1_0000_2027n, 0x1_0000_3027n, 0x1234_5025n]);
	expect(entries(2)[3]).toBe(0x000f_ffff_ffff_f067n);
	expect(entries(MIB2)).toEqual([0x1_0000_1027n, 0x1_0000_2027n, 0x60_00e7n]);
	expect(entries(GIB)).toEqual([0x1_0000_1027n, 0x1_4000_00e7n]);
	expect(table.explain(GIB).at(-1)?.meaning).toBe("1G page at 0x140000000, read and write (P R/W U/S A D PS)");
	expect(table.explain(GIB).map((step) => step.name)).toEqual(["PML4E", "PDPTE"]);
});

test("the page sizes are 4 KiB, 2 MiB and 1 GiB, the aperture is the lower half", () => {
	expect(make(vtd5).pageSizes).toBe((1n << 12n) | (1n << 21n) | (1n << 30n));
	expect(make(vtd4).lastAddress).toBe(2n ** 47n - 1n);
	expect(make(vtd5).lastAddress).toBe(2n ** 56n - 1n);
	expect(make(amd4).lastAddress).toBe(2n ** 47n - 1n);
});

test("a sign-extended table has an upper half too, and nothing between", () => {
	const table = make(vtd4);
	const upper = 2 ** 52 - 2 ** 35;
	table.map(upper, 7, 1, READ);
	table.map(2 ** 52 - 1, 8, 1, READ);
	expect([...table.entries()].map((leaf) => leaf.va)).toEqual([upper, 2 ** 52 - 1]);
	expect(table.translate(2 ** 52 - 1)).toBe(8);
	expect(table.explain(upper).map((step) => step.index)).toEqual([256, 0, 0, 0]);
	const outside = expect.objectContaining({ code: "ERANGE", reason: expect.stringContaining("sign-extended") });
	expect(() => table.map(2 ** 35, 0, 1, READ)).toThrow(outside);
	expect(() => table.map(upper - 1, 0, 2, READ)).toThrow(outside);
	expect(() => table.map(2 ** 35 - 1, 0, 2, READ)).toThrow(outside);
	expect(table.translate(upper - 1)).toBe(-1);
	expect(() => make(amd4).map(upper, 7, 1, READ)).toThrow(expect.objectContaining({ code: "ERANGE" }));
});

test("Linux doesn't track dirty pages with it", () => {
	const table = make(vtd4);
	table.map(0, 0, 1, READ | WRITE);
	expect(table.setDirty(0)).toBe(false);
	expect(table.setAccessed(0)).toBe(true);
	expect(() => table.readDirty(0, 1, false, () => {})).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
});

test("a top too low for the address space is refused", () => {
	expect(() => make({ ...amd4, topLevel: 2 })).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
	expect(() => make({ ...amd4, vaBits: 57 })).toThrow(
		expect.objectContaining({ code: "EOPNOTSUPP", reason: expect.stringContaining("covers 48 bits of iova, not 57") }),
	);
	expect(() => make({ ...amd4, vaBits: 58 })).toThrow(expect.objectContaining({ code: "EINVAL" }));
});

/** SDM volume 3, tables 4-14 to 4-20. */
const specification: Specification = {
	granuleLg2: 12n,
	indexBits: [9n, 9n, 9n, 9n, 9n],
	isPresent: (entry) => (entry & 1n) !== 0n,
	table(entry, level) {
		if (level <= 2 && entry & 0x80n) return undefined;
		check(bitsIn(entry, 11, 0) === 0x27n && bitsIn(entry, 63, 52) === 0n, entry);
		return bitsIn(entry, 51, 12);
	},
	leaf(entry, itemBytes) {
		const pa = bitsIn(entry, 51, 12);
		check(pa % itemBytes === 0n && bitsIn(entry, 63, 52) === 0n, entry);
		return { pa, bytes: itemBytes, protection: entry & 2n ? READ | WRITE : READ, dirty: false };
	},
};

const permits = (protection: number) => protection | READ;

test.each([
	["VT-d's first stage with 4 levels", vtd4, { signBit: 47n }],
	["VT-d's first stage with 5 levels", vtd5, { signBit: 56n }],
	["AMD's guest table with 4 levels", amd4, {}],
	["AMD's guest table with 5 levels", { vaBits: 56, paBits: 48, topLevel: 4 }, {}],
])(
	"%s does what the model does",
	(_name, config, sign) => {
		checkAgainstModel({ format: x86_64, config, decode: decoder({ ...specification, ...sign }), permits, runs: 30 });
	},
	PATIENCE,
);
