import { expect, test } from "vitest";
import { serveOthers } from "../../uapi/slices.js";
import { CACHE, MMIO, NOEXEC, PRIV } from "../format.js";
import { bitsIn, check, checkAgainstModel, decoder, PATIENCE, type Specification } from "../model.testing.js";
import { PageTable, READ, WRITE } from "../pagetable.js";
import { TableMemory } from "../table-memory.js";
import { type Armv8Options, armv8 } from "./armv8.js";

function make(options: Partial<Armv8Options> = {}, memory = new TableMemory()) {
	const { format, config } = armv8({ stage: 1, granuleLg2: 12, inputBits: 48, outputBits: 48, ...options });
	return new PageTable(format, config, memory);
}

const leafEntry = (table: PageTable, va: number) => table.explain(va).at(-1)!.entry;

test("stage 1 descriptors: AP[2] takes writing away, MAIR indexes say the memory type", () => {
	const table = make();
	table.map(1, 0x12345, 1, READ | CACHE);
	table.map(2, 2, 1, READ | WRITE | CACHE);
	table.map(3, 3, 1, READ | WRITE);
	table.map(4, 4, 1, READ | WRITE | MMIO | NOEXEC);
	table.map(5, 5, 1, READ | WRITE | CACHE | PRIV);
	expect(table.explain(1).map((step) => step.entry)).toEqual([
		0x1_0000_1003n,
		0x1_0000_2003n,
		0x1_0000_3003n,
		0x1234_5fc7n, // page, AttrIndx=1, AP=11, inner shareable, AF, nG
	]);
	expect(leafEntry(table, 2)).toBe(0x2f47n);
	expect(leafEntry(table, 3)).toBe(0x3e43n); // AttrIndx=0, outer shareable
	expect(leafEntry(table, 4)).toBe(0x0060_0000_0000_4e4bn); // AttrIndx=2, XN
	expect(leafEntry(table, 5)).toBe(0x5f07n);
	expect(table.explain(1).map((step) => step.name)).toEqual([
		"level 0 descriptor",
		"level 1 descriptor",
		"level 2 descriptor",
		"level 3 page descriptor",
	]);
	expect(table.explain(1)[3]?.meaning).toBe(
		"4K page at 0x12345000, read (page descriptor AP[2]=read-only AP[1]=unprivileged nG AttrIndx=1 SH=inner AF)",
	);
});

test("stage 2 descriptors: S2AP and MemAttr", () => {
	const table = make({ stage: 2, inputBits: 44, outputBits: 44 });
	table.map(1, 0x12345, 1, READ | CACHE);
	table.map(2, 2, 1, WRITE);
	table.map(3, 3, 1, READ | WRITE | MMIO);
	expect(leafEntry(table, 1)).toBe(0x1234_577fn); // page, MemAttr=1111, S2AP=01, inner shareable, AF
	expect(leafEntry(table, 2)).toBe(0x2697n); // MemAttr=0101, S2AP=10, outer shareable
	expect(leafEntry(table, 3)).toBe(0x36c7n); // MemAttr=0001, S2AP=11
	expect([1, 2, 3].map((va) => table.protectionOf(va))).toEqual([READ, WRITE, READ | WRITE]);
	const forced = make({ stage: 2, forceWriteBack: true });
	forced.map(1, 1, 1, READ | CACHE);
	expect(leafEntry(forced, 1)).toBe(0x175bn); // MemAttr=0110
});

test("a mapping that is neither readable nor writable is EINVAL", () => {
	for (const stage of [1, 2] as const)
		expect(() => make({ stage }).map(1, 1, 1, CACHE)).toThrow(expect.objectContaining({ code: "EINVAL" }));
});

test("blocks have type 01", () => {
	const table = make();
	table.map(2 ** 18, 2 ** 19, 2 ** 18 + 512, READ | WRITE | CACHE);
	expect(leafEntry(table, 2 ** 18)).toBe(0x8000_0f45n);
	expect(leafEntry(table, 2 ** 19)).toBe(0xc000_0f45n);
	expect(table.explain(2 ** 18).at(-1)?.meaning).toContain("1G page at 0x80000000, read and write (block descriptor ");
});

test("DBM: hardware clears AP[2] of a page that may be written, Linux sets it again", () => {
	const table = make({ hardwareDirty: true });
	table.map(0, 0, 4, READ | WRITE | CACHE);
	table.map(4, 4, 1, READ | CACHE);
	expect(leafEntry(table, 0)).toBe(0x0008_0000_0000_0f47n);
	const read = (clear: boolean) => {
		const stretches: number[][] = [];
		table.readDirty(0, 5, clear, (va, frames) => stretches.push([va, frames]));
		return stretches;
	};
	expect(read(true)).toEqual([[0, 4]]); // so begins every page
	expect(leafEntry(table, 0)).toBe(0x0008_0000_0000_0fc7n);
	expect(table.protectionOf(0)).toBe(READ | WRITE);
	expect(read(true)).toEqual([]);
	expect(table.setDirty(2)).toBe(true);
	expect(table.setDirty(4)).toBe(false);
	expect(read(false)).toEqual([[2, 1]]);
});

test("dirty pages of a range that begins inside of a block are said to begin there, and the last of them isn't looked at", () => {
	const table = make({ hardwareDirty: true });
	table.map(0, 0, 3 * 512, READ | WRITE | CACHE);
	const read = (va: number, count: number, clear: boolean) => {
		const stretches: number[][] = [];
		table.readDirty(va, count, clear, (first, frames) => stretches.push([first, frames]));
		return stretches;
	};
	expect(read(0, 3 * 512, false)).toEqual([[0, 3 * 512]]); // what may be written begins its life dirty
	expect(read(0, 3 * 512, true)).toEqual([[0, 3 * 512]]);
	table.setDirty(5);
	expect(read(256, 512, false)).toEqual([[256, 512]]);
	table.setDirty(600);
	expect(read(256, 512, true)).toEqual([[256, 512]]);
	expect(read(0, 3 * 512, true)).toEqual([[512, 512]]);
});

test("pages that follow the block in which a range begins are passed over, as far as the range's beginning lies in it", () => {
	const table = make({ hardwareDirty: true });
	table.map(0, 0, 2 * 512, READ | WRITE | CACHE);
	table.map(2 * 512, 2 * 512 + 1, 512, READ | WRITE | CACHE); // in pages
	table.map(3 * 512, 3 * 512, 512, READ | WRITE | CACHE);
	const read = (va: number, count: number) => {
		const stretches: number[][] = [];
		table.readDirty(va, count, true, (first, frames) => stretches.push([first, frames]));
		return stretches;
	};
	expect(read(100, 4 * 512 - 100)).toEqual([[100, 2 * 512 - 100 + 412 + 100 + 512]]);
	expect(read(0, 4 * 512)).toEqual([[2 * 512, 100]]);
	table.setDirty(2 * 512 + 50);
	table.setDirty(2 * 512 + 150);
	expect(read(100, 4 * 512 - 100)).toEqual([[2 * 512 + 150, 1]]);
});

test("dirty pages are read with a break in each table, also from inside of a block on", () => {
	const table = make({ hardwareDirty: true });
	table.map(0, 0, 2 * 512, READ | WRITE | CACHE);
	table.map(2 * 512, 2 * 512 + 1, 3 * 512, READ | WRITE | CACHE); // in pages
	let breaks = 0;
	const breaksIn = (va: number, count: number) => {
		breaks = 0;
		serveOthers(() => breaks++, 1);
		table.readDirty(va, count, false, () => {});
		serveOthers(undefined);
		return breaks;
	};
	expect(breaksIn(100, 5 * 512 - 100)).toBe(breaksIn(0, 5 * 512));
	expect(breaks).toBeGreaterThan(3);
});

test("a page that is mapped already is EEXIST here", () => {
	const table = make();
	table.map(1, 1, 1, READ);
	expect(() => table.map(0, 0, 4, READ)).toThrow(expect.objectContaining({ code: "EEXIST" }));
});

test.each([
	// Linux's arm_lpae_alloc_pgtable() and arm_lpae_concat_mandatory()
	[{ stage: 1, granuleLg2: 12, inputBits: 48, outputBits: 48 }, 3, 48, 12],
	[{ stage: 1, granuleLg2: 12, inputBits: 52, outputBits: 44 }, 3, 48, 12],
	[{ stage: 1, granuleLg2: 12, inputBits: 39, outputBits: 39 }, 2, 39, 12],
	[{ stage: 1, granuleLg2: 12, inputBits: 32, outputBits: 32 }, 2, 32, 12],
	[{ stage: 2, granuleLg2: 12, inputBits: 40, outputBits: 40 }, 2, 40, 13],
	[{ stage: 2, granuleLg2: 12, inputBits: 42, outputBits: 42 }, 2, 42, 15],
	[{ stage: 2, granuleLg2: 12, inputBits: 44, outputBits: 44 }, 3, 44, 12],
	[{ stage: 2, granuleLg2: 14, inputBits: 40, outputBits: 40 }, 1, 40, 18],
	[{ stage: 2, granuleLg2: 14, inputBits: 48, outputBits: 48 }, 2, 48, 15],
	[{ stage: 1, granuleLg2: 14, inputBits: 48, outputBits: 48 }, 3, 48, 12],
	[{ stage: 1, granuleLg2: 16, inputBits: 52, outputBits: 52 }, 2, 52, 13],
] as const)(
	"a table for %o has its top where Linux's has it, and as large",
	(options, topLevel, vaBits, topBytesLg2) => {
		const memory = new TableMemory();
		const table = make(options, memory);
		expect(table.topLevel).toBe(topLevel);
		expect(table.lastAddress).toBe(2n ** BigInt(vaBits) - 1n);
		expect(memory.bytesInUse).toBe(2 ** topBytesLg2);
	},
);

test("the page sizes are those of the granule", () => {
	const sizes = (options: Partial<Armv8Options>) => make(options).pageSizes;
	expect(sizes({})).toBe((1n << 12n) | (1n << 21n) | (1n << 30n));
	expect(sizes({ granuleLg2: 14 })).toBe((1n << 14n) | (1n << 25n));
	expect(sizes({ granuleLg2: 16 })).toBe((1n << 16n) | (1n << 29n));
	expect(sizes({ granuleLg2: 16, inputBits: 52, outputBits: 52 })).toBe((1n << 16n) | (1n << 29n) | (1n << 42n));
});

test("with a granule of 64 KiB, bits 51:48 of an address are bits 15:12 of its entry", () => {
	const table = make({ granuleLg2: 16, inputBits: 52, outputBits: 52 });
	table.map(0, 2 ** 32 - 3, 6, READ | CACHE);
	expect(leafEntry(table, 2)).toBe(0xffff_ffff_0fc7n);
	expect(leafEntry(table, 3)).toBe(0x1fc7n);
	expect([0, 2, 3, 5].map((va) => table.translate(va))).toEqual([2 ** 32 - 3, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 2]);
	table.map(2 ** 26, 15 * 2 ** 32, 2 ** 26, READ);
	expect(leafEntry(table, 2 ** 26)).toBe(0xfec1n);
	expect(table.translate(2 ** 26 + 77)).toBe(15 * 2 ** 32 + 77);
});

/** Arm ARM, D8.3.1 and D8.3.2: where the address stands, by granule. */
function specification(
	granule: number,
	leafBits: (entry: bigint) => { protection: number; dirty: boolean },
): Specification {
	const bits = BigInt(granule - 3);
	const address = (entry: bigint) =>
		granule < 16 ? bitsIn(entry, 47, granule) : bitsIn(entry, 47, 16) | (bitsIn(entry, 15, 12) << 36n);
	return {
		granuleLg2: BigInt(granule),
		indexBits: [bits, bits, bits, bits],
		isPresent: (entry) => (entry & 1n) !== 0n,
		table(entry) {
			if ((entry & 3n) === 1n) return undefined;
			check((entry & 3n) === 3n && entry >> 48n === 0n && bitsIn(entry, 11, 2) === 0n, entry);
			return address(entry);
		},
		leaf(entry, itemBytes) {
			check((entry & 3n) === (itemBytes === 1n << BigInt(granule) ? 3n : 1n), entry);
			check((entry & 0x400n) !== 0n, entry);
			check(address(entry) % itemBytes === 0n, entry);
			return { pa: address(entry), bytes: itemBytes, ...leafBits(entry) };
		},
	};
}

const stage1 = (entry: bigint) => {
	const readOnly = (entry & 0x80n) !== 0n;
	const dbm = (entry & (1n << 51n)) !== 0n;
	return { protection: readOnly && !dbm ? READ : READ | WRITE, dirty: dbm && !readOnly };
};

const stage2 = (entry: bigint) => ({
	protection: Number((entry >> 6n) & 1n) * READ + Number((entry >> 7n) & 1n) * WRITE,
	dirty: false,
});

test.each([
	["stage 1, 4 KiB", { stage: 1, granuleLg2: 12, inputBits: 48, outputBits: 48 }],
	["stage 1, 4 KiB, dirty state", { stage: 1, granuleLg2: 12, inputBits: 39, outputBits: 44, hardwareDirty: true }],
	["stage 1, 16 KiB", { stage: 1, granuleLg2: 14, inputBits: 48, outputBits: 48, hardwareDirty: true }],
	["stage 1, 64 KiB, 52 bits", { stage: 1, granuleLg2: 16, inputBits: 52, outputBits: 52, hardwareDirty: true }],
	["stage 2, 4 KiB, 8 concatenated tables", { stage: 2, granuleLg2: 12, inputBits: 42, outputBits: 42 }],
	["stage 2, 16 KiB, 16 concatenated tables", { stage: 2, granuleLg2: 14, inputBits: 40, outputBits: 40 }],
	["stage 2, 64 KiB", { stage: 2, granuleLg2: 16, inputBits: 48, outputBits: 48 }],
] as const)(
	"ARMv8 %s does what the model does",
	(_name, options: Armv8Options) => {
		const { format, config } = armv8(options);
		const hardwareDirty = options.hardwareDirty ?? false;
		checkAgainstModel({
			format,
			config,
			decode: decoder(specification(options.granuleLg2, options.stage === 1 ? stage1 : stage2)),
			permits:
				options.stage === 1 ? (protection) => (protection & WRITE ? READ | WRITE : protection) : (asked) => asked,
			bornDirty: hardwareDirty,
			runs: 25,
		});
	},
	PATIENCE,
);
