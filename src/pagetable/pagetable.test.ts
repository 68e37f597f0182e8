import fc from "fast-check";
import { expect, test } from "vitest";
import { withFaults } from "../faults/faults.js";
import { MemoryBudget } from "../faults/memory-budget.js";
import { Errno } from "../uapi/errno.js";
import { amdv1, amdv1Mock } from "./formats/amdv1.js";
import { s390 } from "./formats/s390.js";
import { vtdSecondStage } from "./formats/vtd-second-stage.js";
import { x86_64 } from "./formats/x86-64.js";
import { PageTable, type PageTableConfig, READ, Translation, WRITE } from "./pagetable.js";
import { TableMemory } from "./table-memory.js";

const amd: PageTableConfig = { vaBits: 64, paBits: 52, topLevel: 2, growsTop: true };
const MIB2 = 512;
const GIB = 512 * 512;

function make(config: Partial<PageTableConfig> = {}, memory = new TableMemory()) {
	return { memory, table: new PageTable(amdv1, { ...amd, ...config }, memory) };
}

const leavesOf = (table: PageTable) => [...table.entries()].map(({ va, frame, frames }) => [va, frame, frames]);
const error = (code: string, reason?: RegExp) =>
	expect.objectContaining({ code, reason: expect.stringMatching(reason ?? /./) });

test("a mapping uses the largest pages that fit, growing and shrinking along it", () => {
	const { table } = make();
	table.map(3, MIB2 + 3, 1024, READ | WRITE, (1n << 12n) | (1n << 13n) | (1n << 21n));
	expect(leavesOf(table)).toEqual([
		[3, MIB2 + 3, 1],
		...Array.from({ length: 254 }, (_, n) => [4 + 2 * n, MIB2 + 4 + 2 * n, 2]),
		[512, MIB2 + 512, 512],
		[1024, MIB2 + 1024, 2],
		[1026, MIB2 + 1026, 1],
	]);
});

test("pages that are mapped already stop a mapping, which then maps nothing", () => {
	const { table, memory } = make();
	table.map(1000, 0, 1, READ);
	const before = leavesOf(table);
	const tables = memory.tablesInUse;
	expect(() => table.map(0, 0, 4 * GIB, READ)).toThrow(
		error("EADDRINUSE", /^iova 0x0 is mapped already in this AMDv1 table: unmap it first$/),
	);
	expect(() => table.map(990, 1, 20, READ)).toThrow(error("EADDRINUSE", /iova 0x3e8000 /));
	expect(() => table.map(5, 1, 1, 0)).toThrow(error("EINVAL", /neither/));
	expect(leavesOf(table)).toEqual(before);
	expect(memory.tablesInUse).toBe(tables);
	expect(table.translate(990)).toBe(-1);
});

test("a page inside of a large one is mapped already, and so is a large one over a page", () => {
	const { table } = make();
	table.map(GIB, GIB, GIB, READ);
	expect(() => table.map(GIB + 77, 1, 1, READ)).toThrow(error("EADDRINUSE"));
	table.map(3 * GIB + 77, 1, 1, READ);
	expect(() => table.map(2 * GIB, 2 * GIB, 2 * GIB, READ)).toThrow(error("EADDRINUSE"));
	expect(table.translate(2 * GIB)).toBe(-1);
});

test("a large page replaces the empty tables that are where it goes", () => {
	const { table, memory } = make();
	// Unmapping half of what a table covers leaves the table, empty.
	table.map(0, 1, 5, READ);
	expect(table.unmap(0, 5)).toBe(5);
	expect(memory.tablesInUse).toBe(3);
	table.map(0, 0, GIB, READ);
	expect(leavesOf(table)).toEqual([[0, 0, GIB]]);
	expect(memory.tablesInUse).toBe(1);
});

test("a page of several items replaces the empty tables under all of its items", () => {
	const { table, memory } = make();
	for (let n = 0; n < 4; n++) table.map(n * GIB + 3, 1, 1, READ);
	for (let n = 0; n < 4; n++) table.unmap(n * GIB + 3, 1);
	expect(memory.tablesInUse).toBe(9);
	table.map(0, 0, 4 * GIB, READ);
	expect(memory.tablesInUse).toBe(1);
	expect(leavesOf(table)).toEqual([[0, 0, 4 * GIB]]);
});

test("an unmap frees the tables that it covers as a whole, and only those", () => {
	const { table, memory } = make();
	const small = 1n << 12n;
	table.map(0, 0, 3 * MIB2, READ, small);
	expect(memory.tablesInUse).toBe(5);
	expect(table.unmap(1, 2 * MIB2)).toBe(2 * MIB2);
	expect(memory.tablesInUse).toBe(4);
	expect(table.unmap(0, 1)).toBe(1);
	expect(memory.tablesInUse).toBe(4);
	expect(table.unmap(2 * MIB2 + 1, MIB2 - 1)).toBe(MIB2 - 1);
	expect(memory.tablesInUse).toBe(4);
});

test("an unmap goes from large leaves on to the tables between them", () => {
	const { table, memory } = make();
	table.map(0, 0, 20 * GIB, READ, 1n << 30n);
	table.map(20 * GIB, 1, GIB, READ);
	table.map(21 * GIB, 21 * GIB, 20 * GIB, READ, 1n << 30n);
	expect(table.unmap(0, 41 * GIB)).toBe(41 * GIB);
	expect(leavesOf(table)).toEqual([]);
	expect(memory.tablesInUse).toBe(1);
});

test("a walk finds its way through more tables than one slab of memory holds", () => {
	const { table, memory } = make();
	const frames = 1100 * 512;
	table.map(0, 1, frames, READ, 1n << 12n);
	expect(memory.slabs).toHaveLength(2);
	const probes = [0, 1000 * 512, 1020 * 512, 1023 * 512 + 5, frames - 1];
	expect(probes.map((va) => table.translate(va))).toEqual(probes.map((va) => va + 1));
});

test("an unmap that ends inside of a leaf takes all of it", () => {
	const { table } = make();
	table.map(0, 0, 3 * GIB, READ, 1n << 30n);
	expect(table.unmap(0, GIB + 1)).toBe(2 * GIB);
	expect(leavesOf(table)).toEqual([[2 * GIB, 2 * GIB, GIB]]);
	table.map(16, 16, 16, READ);
	expect(table.unmap(16, 1)).toBe(16);
});

test("an unmap that starts inside of a leaf does nothing", () => {
	const { table } = make();
	table.map(GIB, GIB, 2 * GIB, READ, 1n << 30n);
	expect(table.unmap(GIB + 1, GIB)).toBe(0);
	table.map(16, 16, 16, READ);
	expect(table.unmap(17, 15)).toBe(0);
	expect(leavesOf(table)).toHaveLength(3);
});

test("an unmap stops at the first hole", () => {
	const { table } = make();
	table.map(0, 1, 10, READ);
	table.map(11, 1, 10, READ);
	expect(table.unmap(0, 21)).toBe(10);
	expect(table.unmap(0, 21)).toBe(0);
	expect(table.unmap(11, 10)).toBe(10);
	expect(table.unmap(0, 0)).toBe(0);
	expect(table.unmap(2 ** 52 - 1, 2)).toBe(0);
});

test("lengths and addresses that can't be are refused, in Linux's order", () => {
	const { table } = make({ vaBits: 48, paBits: 48 });
	expect(() => table.map(0, 0, 0, READ)).toThrow(error("EINVAL"));
	expect(() => table.map(2 ** 36, 2 ** 36, 1, READ)).toThrow(error("ERANGE", /physical address/));
	expect(() => table.map(2 ** 36, 0, 1, READ)).toThrow(
		error("ERANGE", /iova 0x1000000000000 to .* outside the 48 bits/),
	);
	expect(() => table.map(2 ** 36 - 1, 0, 2, READ)).toThrow(error("ERANGE"));
	expect(() => table.map(2 ** 52 - 1, 0, 2, READ)).toThrow(error("EOVERFLOW"));
	expect(() => table.map(0, 2 ** 36 - 1, 2, READ)).toThrow(error("ERANGE"));
	expect(() => table.map(1, 0, 512, READ, 1n << 21n)).toThrow(error("ENXIO"));
	expect(() => table.map(512, 0, 512 + 1, READ, 1n << 21n)).toThrow(error("ENXIO"));
	expect(leavesOf(table)).toEqual([]);
});

test("a caller may allow fewer page sizes than the table has", () => {
	const { table } = make();
	table.map(0, 0, MIB2, READ, 1n << 12n);
	expect(leavesOf(table)).toHaveLength(MIB2);
	table.map(MIB2, 0, MIB2, READ, (1n << 12n) | (1n << 20n));
	expect(leavesOf(table)).toHaveLength(MIB2 + 2);
	table.map(2 * MIB2, 0, MIB2, READ);
	expect(leavesOf(table)).toHaveLength(MIB2 + 3);
});

test("a lookup says where a leaf is and what it permits", () => {
	const { table } = make();
	table.map(GIB, 7 * GIB, GIB, WRITE);
	const found = new Translation();
	expect(table.lookup(GIB + 5, found)).toBe(true);
	expect(found).toEqual({ frame: 7 * GIB + 5, leafVa: GIB, leafFrames: GIB, protection: WRITE });
	expect(table.lookup(0, found)).toBe(false);
	expect(table.translate(GIB - 1)).toBe(-1);
	expect(table.translate(2 ** 51)).toBe(-1);
	expect(table.protectionOf(GIB + 5)).toBe(WRITE);
	expect(table.protectionOf(0)).toBe(0);
});

test("a walk explains itself in the specification's words", () => {
	const { table } = make();
	table.map(GIB, 7 * GIB, 2 * MIB2, READ | WRITE);
	table.setDirty(GIB);
	table.setAccessed(GIB);
	expect(table.explain(GIB)).toEqual([
		{
			level: 2,
			name: "level 3 PTE",
			tableAddress: 0x1_0000_0000n,
			index: 1,
			entry: 0x6000_0001_0000_1401n,
			meaning: "next table at 0x100001000 (PR NextLevel=2 IR IW)",
		},
		{
			level: 1,
			name: "level 2 PTE",
			tableAddress: 0x1_0000_1000n,
			index: 0,
			entry: 0x6000_0001_c01f_fe61n,
			meaning: "4M page at 0x1c0000000, read and write (PR A D NextLevel=7 IR IW)",
		},
	]);
	expect(table.explain(0).at(-1)?.meaning).toBe("nothing is mapped here");
	expect(table.explain(2 ** 50)).toEqual([]);
});

test("dirty leaves are reported as stretches, whole, and made clean if asked", () => {
	const { table } = make();
	const read = (va: number, count: number, clear: boolean) => {
		const stretches: number[][] = [];
		table.readDirty(va, count, clear, (first, frames) => stretches.push([first, frames]));
		return stretches;
	};
	table.map(0, 1, 1024, READ | WRITE);
	table.map(GIB, 0, 16, READ | WRITE);
	for (const va of [3, 4, 5, 9, 511, 512]) expect(table.setDirty(va)).toBe(true);
	expect(table.setDirty(GIB + 7)).toBe(true);
	expect(table.setDirty(GIB - 1)).toBe(false);
	const all = [
		[3, 3],
		[9, 1],
		[511, 2],
		[GIB, 16],
	];
	expect(read(0, 2 * GIB, false)).toEqual(all);
	expect(read(4, 505, false)).toEqual([
		[4, 2],
		[9, 1],
	]);
	// Any part of the leaf stands for all of it, although the hardware marked only its eighth item.
	expect(read(GIB + 2, 1, false)).toEqual([[GIB, 16]]);
	expect(read(GIB + 9, 2, true)).toEqual([[GIB, 16]]);
	expect(read(0, 2 * GIB, true)).toEqual(all.slice(0, 3));
	expect(read(0, 2 * GIB, true)).toEqual([]);
	expect(() => table.readDirty(2 ** 51, 1, false, () => {})).toThrow(error("ERANGE"));
	expect(() => table.readDirty(0, 0, false, () => {})).toThrow(error("EINVAL"));
	expect(() => table.readDirty(2 ** 52 - 1, 2, false, () => {})).toThrow(error("EOVERFLOW"));
});

test("a large leaf of several items is reported dirty once", () => {
	const { table } = make();
	table.map(0, 0, 4 * MIB2, READ | WRITE);
	table.setDirty(2 * MIB2 + 3);
	for (const clear of [false, true]) {
		const stretches: number[][] = [];
		table.readDirty(0, 4 * MIB2, clear, (first, frames) => stretches.push([first, frames]));
		expect(stretches).toEqual([[0, 4 * MIB2]]);
	}
});

test("dirty pages of the upper half of a sign-extended space are reported where they are", () => {
	const table = new PageTable(
		vtdSecondStage,
		{ vaBits: 48, paBits: 52, topLevel: 3, signExtend: true },
		new TableMemory(),
	);
	const upper = 2 ** 52 - 2 ** 35;
	table.map(upper, 0, 4, READ | WRITE);
	table.setDirty(upper + 2);
	const stretches: number[][] = [];
	table.readDirty(upper, 4, true, (first, frames) => stretches.push([first, frames]));
	expect(stretches).toEqual([[upper + 2, 1]]);
});

test("a table that can't be is refused", () => {
	const memory = new TableMemory();
	const of = (config: Partial<PageTableConfig>) => () => new PageTable(amdv1, { ...amd, ...config }, memory);
	expect(of({ vaBits: 65 })).toThrow(error("EINVAL", /up to 64 bits of iova, not 65/));
	expect(of({ vaBits: 0 })).toThrow(error("EINVAL"));
	expect(of({ paBits: 53 })).toThrow(error("EINVAL", /up to 52 bits of address, not 53/));
	expect(of({ topLevel: 0 })).toThrow(error("EINVAL", /level 1 to 5, not 0/));
	expect(of({ topLevel: 6 })).toThrow(error("EINVAL"));
	expect(of({ signExtend: true })).toThrow(error("EINVAL"));
	expect(memory.tablesInUse).toBe(0);
});

test.each([
	["AMDv1", amdv1, amd],
	["x86-64", x86_64, { vaBits: 48, paBits: 52, topLevel: 3 }],
	["s390", s390, { vaBits: 42, paBits: 64, topLevel: 2 }],
])(
	"whatever is mapped and unmapped, %s translates each frame as a map from frame to frame does",
	(_name, format, config) => {
		const frames = 4096;
		const area = fc.record({
			va: fc.nat(frames - 1),
			pa: fc.nat(frames - 1),
			count: fc.oneof(fc.nat(16), fc.nat(2000)),
			alike: fc.boolean(),
			unmap: fc.nat(3),
		});
		const property = fc.property(fc.array(area, { maxLength: 30 }), (areas) => {
			const table = new PageTable(format, config, new TableMemory());
			const model = new Map<number, number>();
			const mapped: { va: number; count: number }[] = [];
			for (const { va, pa, count, alike, unmap } of areas) {
				const end = Math.min(frames, va + count + 1);
				const to = alike ? va + 4096 : pa;
				const isFree = Array.from({ length: end - va }, (_, n) => va + n).every((frame) => !model.has(frame));
				if (isFree) {
					table.map(va, to, end - va, READ);
					mapped.push({ va, count: end - va });
					for (let frame = va; frame < end; frame++) model.set(frame, to + (frame - va));
				} else {
					expect(() => table.map(va, to, end - va, READ)).toThrow(error("EADDRINUSE"));
				}
				// Like iommufd, unmap what was mapped in one piece in one piece.
				if (unmap !== 0) continue;
				const gone = mapped.shift();
				if (gone === undefined) continue;
				expect(table.unmap(gone.va, gone.count)).toBe(gone.count);
				for (let frame = gone.va; frame < gone.va + gone.count; frame++) model.delete(frame);
			}
			const translated = Array.from({ length: frames }, (_, frame) => table.translate(frame));
			expect(translated).toEqual(Array.from({ length: frames }, (_, frame) => model.get(frame) ?? -1));
		});
		fc.assert(property, { numRuns: 60 });
	},
);

/** Does something with memory for so many tables. */
function withMemoryFor<T>(tables: number, action: () => T): T {
	let left = tables;
	return withFaults({ shouldFail: () => left-- <= 0 }, action);
}

/** The sum of what the table memory can hand out, one fewer each time, until the action needs no more. */
function failingEachAllocation(action: (table: PageTable) => void, prepare: (table: PageTable) => void) {
	for (let allowed = 0; ; allowed++) {
		const memory = new TableMemory();
		const table = new PageTable(amdv1, { ...amd, topLevel: 1 }, memory);
		prepare(table);
		const before = [...table.entries()];
		const tables = memory.tablesInUse;
		const { topLevel } = table;
		let failed: unknown;
		try {
			withMemoryFor(allowed, () => action(table));
		} catch (error) {
			failed = error;
		}
		if (failed !== undefined) {
			expect(failed).toBeInstanceOf(Errno);
			expect(failed).toEqual(error("ENOMEM"));
			expect([...table.entries()]).toEqual(before);
			// A top that grew stays, as in Linux; nothing else does.
			expect(memory.tablesInUse).toBeLessThanOrEqual(tables + table.topLevel - topLevel);
		}
		if (failed !== undefined) action(table);
		table.free();
		expect(memory.tablesInUse).toBe(0);
		expect(memory.bytesInUse).toBe(0);
		if (failed === undefined) return allowed;
	}
}

test("whichever allocation fails, a mapping leaves the table as it was, and succeeds when there is memory again", () => {
	const small = 1n << 12n;
	const prepared = (table: PageTable) => {
		table.map(4 * MIB2 + 7, 1, 3, READ);
		table.map(6 * MIB2, 1, 1, READ);
		table.unmap(6 * MIB2, 1); // an empty table
	};
	expect(failingEachAllocation((table) => table.map(5, 5, 3 * MIB2, READ, small), prepared)).toBe(4);
	expect(failingEachAllocation((table) => table.map(2 ** 52 - 700, 5, 700, READ, small), prepared)).toBe(4 + 5 + 1);
	expect(failingEachAllocation((table) => table.map(GIB - 3, GIB - 3, GIB + 8, READ), prepared)).toBe(1 + 2 + 1);
});

test("a mapping that runs out of memory gives back what it took, table by table", () => {
	const memory = new TableMemory();
	const table = new PageTable(amdv1Mock, { vaBits: 56, paBits: 51, topLevel: 2 }, memory);
	const map = () => withMemoryFor(2, () => table.map(0, 1, 4 * MIB2, READ));
	expect(map).toThrow(error("ENOMEM", /there is no memory for a page table/));
	expect(memory.tablesInUse).toBe(1);
	expect(leavesOf(table)).toEqual([]);
});

test("a new page table for which there is no memory is none", () => {
	expect(() => withMemoryFor(0, () => make())).toThrow(error("ENOMEM"));
});

test("1 TiB in pages of 1 GiB is one table, and is gone as quickly", () => {
	const { table, memory } = make({ topLevel: 3 });
	table.map(0, 0, 1024 * GIB, READ | WRITE, 1n << 30n);
	expect(memory.tablesInUse).toBe(3);
	expect(table.translate(1024 * GIB - 1)).toBe(1024 * GIB - 1);
	expect(table.unmap(0, 1024 * GIB)).toBe(1024 * GIB);
	expect(memory.tablesInUse).toBe(1);
});

test("what can't have its entries is refused before it is begun, whatever the tables take already", () => {
	const { pageTables } = new MemoryBudget(64 * 2 ** 20);
	const { table } = make({}, new TableMemory({ budget: pageTables }));
	const sizes = (1n << 12n) | (1n << 21n) | (1n << 30n);
	const tib = 2 ** 28;
	// A terabyte in pages of 4 KiB takes 2 GiB of entries, in pages of 2 MiB 4 MiB.
	expect(() => table.requireRoom(tib, 4096, sizes)).toThrow(error("ENOMEM", /budget/));
	expect(() => table.requireRoom(tib, Number.POSITIVE_INFINITY, 1n << 12n)).toThrow(error("ENOMEM"));
	table.requireRoom(tib, 2 ** 21, sizes);
	table.requireRoom(tib, Number.POSITIVE_INFINITY, sizes);
	// The same that was mapped can be mapped again, in the tables that there are.
	table.map(0, 0, 7 * GIB, READ, 1n << 12n);
	table.requireRoom(7 * GIB, 4096, sizes);
});
