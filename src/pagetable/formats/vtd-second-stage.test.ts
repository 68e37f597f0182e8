import { expect, test } from "vitest";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { FORCE_COHERENCE, PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { vtdSecondStage, vtdSecondStageForceWriteable } from "./vtd-second-stage.js";

const levels3 = { vaBits: 39, paBits: 52, topLevel: 2 };
const levels4 = { vaBits: 48, paBits: 52, topLevel: 3 };
const levels5 = { vaBits: 57, paBits: 52, topLevel: 4 };

const MIB2 = 512;
const GIB = 512 * 512;

test("entries are those of the manual: permissions in bits 0 and 1, snoop in bit 11", () => {
	const table = new PageTable(vtdSecondStage, levels3, new TableMemory());
	table.map(1, 0x12345, 1, READ);
	table.map(2, 0xffffffffff, 1, WRITE | FORCE_COHERENCE);
	table.map(MIB2, 3 * MIB2, MIB2, READ | WRITE);
	table.map(GIB, 5 * GIB, GIB, READ);
	const entries = (va: number) => table.explain(va).map((step) => step.entry);
	expect(entries(1)).toEqual([0x1_0000_1003n, 0x1_0000_2003n, 0x1234_5001n]);
	expect(entries(2)[2]).toBe(0x000f_ffff_ffff_f802n);
	expect(entries(MIB2)[1]).toBe(0x60_0083n);
	expect(entries(GIB)).toEqual([0x1_4000_0081n]);
	expect(table.explain(GIB)[0]?.name).toBe("SS-PDPTE");
	expect(table.protectionOf(1)).toBe(READ);
	expect(table.protectionOf(2)).toBe(WRITE);
});

test("the hardware marks pages accessed in bit 8 and dirty in bit 9", () => {
	const table = new PageTable(vtdSecondStage, levels4, new TableMemory());
	table.map(MIB2, MIB2, MIB2, READ | WRITE);
	expect(table.setAccessed(MIB2 + 5)).toBe(true);
	expect(table.setDirty(MIB2 + 6)).toBe(true);
	expect(table.explain(MIB2).at(-1)?.entry).toBe(0x20_0383n);
	const stretches: number[][] = [];
	table.readDirty(MIB2 + 1, 1, true, (va, frames) => stretches.push([va, frames]));
	expect(stretches).toEqual([[MIB2, MIB2]]);
	expect(table.explain(MIB2).at(-1)?.entry).toBe(0x20_0183n);
});

test("the parent of a nested domain maps nothing read-only where the hardware would write it", () => {
	const table = new PageTable(vtdSecondStageForceWriteable, levels4, new TableMemory());
	expect(() => table.map(0, 0, 1, READ)).toThrow(
		expect.objectContaining({ code: "EINVAL", reason: expect.stringContaining("erratum 772415") }),
	);
	table.map(0, 0, 1, READ | WRITE);
	expect(table.protectionOf(0)).toBe(READ | WRITE);
});

test("the page sizes depend on the levels, and the aperture is all there is", () => {
	const of = (config: typeof levels3) => new PageTable(vtdSecondStage, config, new TableMemory());
	const sizes = (1n << 12n) | (1n << 21n) | (1n << 30n);
	expect([levels3, levels4, levels5].map((config) => of(config).pageSizes)).toEqual([sizes, sizes, sizes]);
	expect(of(levels5).lastAddress).toBe(2n ** 57n - 1n);
	expect(() => of({ ...levels3, topLevel: 1 })).toThrow(expect.objectContaining({ code: "EOPNOTSUPP" }));
});

/** VT-d specification, 9.8. */
const specification: Specification = {
	granuleLg2: 12n,
	indexBits: [9n, 9n, 9n, 9n, 9n],
	isPresent: (entry) => (entry & 3n) !== 0n,
	table(entry, level) {
		if (level <= 2 && entry & 0x80n) return undefined;
		check(bitsIn(entry, 11, 0) === 3n && bitsIn(entry, 63, 52) === 0n, entry);
		return bitsIn(entry, 51, 12);
	},
	leaf(entry, itemBytes) {
		const pa = bitsIn(entry, 51, 12);
		check(pa % itemBytes === 0n && bitsIn(entry, 63, 52) === 0n, entry);
		const protection = Number(entry & 1n) * READ + Number((entry >> 1n) & 1n) * WRITE;
		return { pa, bytes: itemBytes, protection, dirty: (entry & 0x200n) !== 0n };
	},
};

test.each([
	["3 levels", levels3],
	["4 levels", levels4],
	["5 levels", levels5],
])(
	"VT-d's second stage with %s does what the model does",
	(_name, config) => {
		checkAgainstModel({ format: vtdSecondStage, config, decode: decoder(specification), runs: 30 });
	},
	PATIENCE,
);
