import { expect, test } from "vitest";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { FORCE_COHERENCE, PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { amdv1, amdv1Mock } from "./amdv1.js";

/** As drivers/iommu/amd/iommu.c makes one on hardware with six levels. */
function amdTable(memory = new TableMemory()) {
	return new PageTable(amdv1, { vaBits: 64, paBits: 52, topLevel: 2, growsTop: true }, memory);
}

/** As drivers/iommu/iommufd/selftest.c makes one. */
function mockTable(memory = new TableMemory()) {
	return new PageTable(amdv1Mock, { vaBits: 56, paBits: 51, topLevel: 2 }, memory);
}

const entriesOf = (table: PageTable, va: number) => table.explain(va).map((step) => step.entry);

test("a 4 KiB page is present, with its address in bits 51:12 and its permissions in bits 61 and 62", () => {
	const table = amdTable();
	table.map(0, 0x12345, 1, READ | WRITE);
	expect(entriesOf(table, 0)).toEqual([
		0x6000_0001_0000_1401n, // PR, Next Level 2, IR, IW, address 0x1_0000_1000
		0x6000_0001_0000_2201n, // PR, Next Level 1, IR, IW, address 0x1_0000_2000
		0x6000_0000_1234_5001n, // PR, Next Level 0, IR, IW, address 0x12345000
	]);
	table.map(1, 0xfffffffff, 1, READ | FORCE_COHERENCE);
	table.map(2, 1, 1, WRITE);
	expect(entriesOf(table, 1)[2]).toBe(0x3000_ffff_ffff_f001n);
	expect(entriesOf(table, 2)[2]).toBe(0x4000_0000_0000_1001n);
});

test.each([
	// Table 14 "Example Page Size Encodings" of 48882: the address bits below the size are 0111...1.
	["8 KiB", 2 ** 1, 0, 0x0000_0000_0000_0e01n, 2],
	["64 KiB", 2 ** 4, 0, 0x0000_0000_0000_7e01n, 16],
	["1 MiB", 2 ** 8, 0, 0x0000_0000_0007_fe01n, 256],
	["2 MiB", 2 ** 9, 1, 0x0000_0000_0000_0001n, 1],
	["4 MiB", 2 ** 10, 1, 0x0000_0000_001f_fe01n, 2],
	["1 GiB", 2 ** 18, 2, 0x0000_0000_0000_0001n, 1],
	["4 GiB", 2 ** 20, 2, 0x0000_0000_7fff_fe01n, 4],
	["8 GiB", 2 ** 21, 2, 0x0000_0000_ffff_fe01n, 8],
	["256 GiB", 2 ** 26, 2, 0x0000_001f_ffff_fe01n, 256],
	["1 TiB", 2 ** 28, 3, 0x0000_007f_ffff_fe01n, 2],
	["2 PiB", 2 ** 39, 4, 0x0003_ffff_ffff_fe01n, 8],
])("a page of %s is encoded as the specification's table says", (_name, frames, level, encoding, items) => {
	const table = amdTable();
	const at = frames * 2;
	table.map(at, 0, frames, READ);
	const leaves = [...table.entries()];
	expect(leaves).toEqual([{ va: at, frame: 0, frames, level, protection: READ }]);
	for (const item of [0, items - 1]) {
		const step = table.explain(at + item * (frames / items)).at(-1)!;
		expect(step.entry).toBe(encoding | (1n << 61n));
		expect(step.level).toBe(level);
	}
	expect(table.explain(at + frames).at(-1)?.entry).toBe(0n);
});

test("all powers of two from 4 KiB on are page sizes, without 512 GiB and above 2 PiB", () => {
	const sizes = (1n << 52n) - (1n << 12n) - (1n << 39n);
	expect(amdTable().pageSizes).toBe(sizes);
	expect(amdTable().firstAddress).toBe(0n);
	expect(amdTable().lastAddress).toBe(2n ** 64n - 1n);
});

test("the mock's table translates 38 bits, as three levels of a granule of 2 KiB do", () => {
	const table = mockTable();
	expect(table.lastAddress).toBe(2n ** 38n - 1n);
	expect(table.pageSizes).toBe((1n << 37n) - (1n << 11n));
	expect(() => table.map(2 ** 27, 0, 1, READ)).toThrow(expect.objectContaining({ code: "ERANGE" }));
});

test("the mock's entries count addresses in granules, those of tables too", () => {
	const table = mockTable();
	table.map(0, 3, 1, READ);
	expect(entriesOf(table, 0)).toEqual([
		0x6000_0002_0000_2401n, // table at 0x1_0000_1000
		0x6000_0002_0000_4201n, // table at 0x1_0000_2000
		0x2000_0000_0000_3001n, // memory at 0x1800
	]);
});

test("the table grows upwards when an address needs it, and keeps what it has at item 0", () => {
	const memory = new TableMemory();
	const table = amdTable(memory);
	table.map(5, 7, 1, READ);
	table.map(2 ** 52 - 1, 8, 1, WRITE);
	expect(table.topLevel).toBe(5);
	expect(table.translate(5)).toBe(7);
	expect(table.translate(2 ** 52 - 1)).toBe(8);
	expect(table.explain(2 ** 52 - 1).map((step) => step.index)).toEqual([127, 511, 511, 511, 511, 511]);
	expect(table.explain(5).map((step) => step.index)).toEqual([0, 0, 0, 0, 0, 5]);
	table.free();
	expect(memory.tablesInUse).toBe(0);
});

test("the table grows to the level that a page of its first size needs, and the driver is told", () => {
	let told = 0;
	const config = { vaBits: 64, paBits: 52, topLevel: 1, growsTop: true, topChanged: () => told++ };
	const table = new PageTable(amdv1, config, new TableMemory());
	table.map(0, 0, 2 ** 18, READ);
	expect(table.topLevel).toBe(2);
	expect(told).toBe(1);
});

/** 48882, figures 9 to 11 and table 14, with the granule as the unit of the address field. */
function specification(granuleLg2: bigint): Specification {
	const address = (entry: bigint) => bitsIn(entry, 51, 12) >> 12n;
	const nextLevel = (entry: bigint) => bitsIn(entry, 11, 9) >> 9n;
	return {
		granuleLg2,
		indexBits: [9n, 9n, 9n, 9n, 9n, 7n],
		isPresent: (entry) => (entry & 1n) !== 0n,
		table(entry, level) {
			if (nextLevel(entry) === 0n || nextLevel(entry) === 7n) return undefined;
			check(nextLevel(entry) === BigInt(level) && entry >> 61n === 3n, entry);
			return address(entry) << granuleLg2;
		},
		leaf(entry, itemBytes) {
			const protection = Number((entry >> 61n) & 1n) * READ + Number((entry >> 62n) & 1n) * WRITE;
			const dirty = (entry & 0x40n) !== 0n;
			if (nextLevel(entry) === 0n) return { pa: address(entry) << granuleLg2, bytes: itemBytes, protection, dirty };
			let ones = 0n;
			while ((address(entry) >> ones) & 1n) ones++;
			const bytes = 1n << (granuleLg2 + ones + 1n);
			return { pa: (address(entry) << granuleLg2) & -bytes, bytes, protection, dirty };
		},
	};
}

test(
	"AMDv1 does what the model does, up to the last byte of the 64-bit space",
	() => {
		checkAgainstModel({
			format: amdv1,
			config: { vaBits: 64, paBits: 52, topLevel: 2, growsTop: true },
			decode: decoder(specification(12n)),
		});
	},
	PATIENCE,
);

test(
	"AMDv1 that starts with two levels and may grow to 48 bits does what the model does",
	() => {
		checkAgainstModel({
			format: amdv1,
			config: { vaBits: 48, paBits: 48, topLevel: 1, growsTop: true },
			decode: decoder(specification(12n)),
		});
	},
	PATIENCE,
);

test(
	"the mock's AMDv1 does what the model does",
	() => {
		checkAgainstModel({
			format: amdv1Mock,
			config: { vaBits: 56, paBits: 51, topLevel: 2 },
			decode: decoder(specification(11n)),
		});
	},
	PATIENCE,
);
