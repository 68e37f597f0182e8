import fc from "fast-check";
import { expect, test } from "vitest";
import { FailNth } from "../faults/fail-nth.js";
import { withFaults } from "../faults/faults.js";
import { MemoryBudget } from "../faults/memory-budget.js";
import { TableMemory } from "./table-memory.js";

test("each table has its own frame from 4 GiB on, and is zeroed, also when it is used again", () => {
	const memory = new TableMemory();
	const first = memory.allocate(12);
	const second = memory.allocate(12);
	expect([first, second]).toEqual([0x100000, 0x100001]);
	memory.tableAt(first)[1023] = 7;
	memory.free(first);
	expect(memory.allocate(12)).toBe(first);
	expect(memory.tableAt(first)[1023]).toBe(0);
	expect(memory.tablesInUse).toBe(2);
	expect(memory.bytesInUse).toBe(8192);
});

test("a table larger than a frame is aligned to its size, and the frames skipped for it are used later", () => {
	const memory = new TableMemory();
	memory.allocate(12);
	const large = memory.allocate(14);
	expect(large).toBe(0x100004);
	expect(memory.tableAt(large).byteLength).toBe(16384);
	const small = [memory.allocate(12), memory.allocate(12), memory.allocate(12), memory.allocate(12)];
	expect(small.sort()).toEqual([0x100001, 0x100002, 0x100003, 0x100008]);
});

test("a table smaller than a frame has a frame of its own", () => {
	const memory = new TableMemory();
	const frame = memory.allocate(11);
	expect(memory.tableAt(frame).byteLength).toBe(2048);
	expect(memory.allocate(11)).toBe(frame + 1);
	memory.free(frame);
	expect(memory.bytesInUse).toBe(2048);
	expect(memory.allocate(11)).toBe(frame);
});

test("memory grows by slabs, and no table lies in two", () => {
	const memory = new TableMemory();
	const frames = Array.from({ length: 1020 }, () => memory.allocate(12));
	expect(memory.slabs).toHaveLength(1);
	expect(memory.allocate(16)).toBe(0x100000 + 1024);
	expect(memory.slabs).toHaveLength(2);
	expect(memory.allocate(12)).toBe(0x100000 + 1020);
	for (const frame of frames) memory.free(frame);
	const again = Array.from({ length: 1020 }, () => memory.allocate(12));
	expect(new Set(again)).toEqual(new Set(frames));
	expect(memory.tablesInUse).toBe(1022);
	expect(memory.slabs).toHaveLength(2);
});

test("a table is a part of its slab", () => {
	const memory = new TableMemory();
	memory.allocate(12);
	const frame = memory.allocate(12);
	memory.tableAt(frame)[3] = 5;
	expect(memory.slabs[0]![1024 + 3]).toBe(5);
});

test("memory may run out", () => {
	const memory = new TableMemory({ baseFrame: 0x400 });
	expect(memory.allocate(12)).toBe(0x400);
	expect(() => withFaults(new FailNth(1), () => memory.allocate(12))).toThrow(
		expect.objectContaining({ code: "ENOMEM" }),
	);
	expect(memory.tablesInUse).toBe(1);
	expect(() => new TableMemory({ baseFrame: 0x401 })).toThrow(RangeError);
});

test("memory ends below 2^39", () => {
	const memory = new TableMemory({ baseFrame: 2 ** 27 - 1024 });
	for (let n = 0; n < 1023; n++) memory.allocate(12);
	expect(() => memory.allocate(13)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
	memory.allocate(12);
	expect(() => memory.allocate(12)).toThrow("page tables have used up their physical memory, which is 4 MiB");
	expect(memory.tablesInUse).toBe(1024);
});

/** What two slabs are charged, and a bit. */
const TWO_SLABS = 9 * 2 ** 20;

test("memory ends with the budget, and what is freed can be had again", () => {
	const budget = new MemoryBudget(TWO_SLABS);
	const memory = new TableMemory({ budget: budget.pageTables });
	const frames = Array.from({ length: 2048 }, () => memory.allocate(12));
	expect(() => memory.allocate(12)).toThrow(/budget is used up.* 8\.\d MiB are in use, most of it for page tables/);
	expect(memory.tablesInUse).toBe(2048);
	memory.free(frames[5]!);
	expect(memory.allocate(12)).toBe(frames[5]);
});

test("a slab without tables is given back, but the last one that became empty", () => {
	const budget = new MemoryBudget(TWO_SLABS);
	const memory = new TableMemory({ budget: budget.pageTables });
	const frames = Array.from({ length: 2048 }, () => memory.allocate(12));
	const full = budget.used;
	for (const frame of frames) {
		memory.tableAt(frame).fill(7);
		memory.free(frame);
	}
	expect(budget.used).toBe(full / 2);
	expect(memory.slabs.map(({ length }) => length)).toEqual([0, 2 ** 20]);
	const again = Array.from({ length: 2048 }, () => memory.allocate(12));
	expect(again).toEqual(frames);
	for (const frame of again) expect(memory.tableAt(frame).every((word) => word === 0)).toBe(true);
	expect(budget.used).toBe(full);
});

test("a slab is given back by the host, where that can", () => {
	const discarded: Uint32Array[] = [];
	const discard = (words: Uint32Array) => {
		discarded.push(words);
		words.fill(0);
		return true;
	};
	const memory = new TableMemory({ discard });
	const frames = Array.from({ length: 1025 }, () => memory.allocate(12));
	for (const frame of frames) memory.tableAt(frame).fill(7);
	for (const frame of frames) memory.free(frame);
	expect(discarded).toEqual([memory.slabs[0]]);
	expect(memory.tableAt(memory.allocate(12)).every((word) => word === 0)).toBe(true);
});

test("random tables are zeroed, aligned, apart from one another, and all given back", () => {
	const size = fc.constantFrom(11, 12, 12, 12, 13, 14, 20, 22);
	const action = fc.oneof(
		size.map((allocate) => ({ allocate })),
		fc.nat().map((free) => ({ free })),
	);
	fc.assert(
		fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
			const budget = new MemoryBudget(100 * 2 ** 20);
			const memory = new TableMemory({ budget: budget.pageTables });
			const tables: { frame: number; lg2: number }[] = [];
			for (const step of actions) {
				if ("allocate" in step) {
					const lg2 = step.allocate;
					let frame: number;
					try {
						frame = memory.allocate(lg2);
					} catch {
						continue;
					}
					const words = memory.tableAt(frame);
					expect(words.byteLength).toBe(2 ** lg2);
					expect(words.every((word) => word === 0)).toBe(true);
					expect(frame % 2 ** Math.max(0, lg2 - 12)).toBe(0);
					words.fill(frame);
					tables.push({ frame, lg2 });
				} else if (tables.length > 0) {
					const { frame } = tables.splice(step.free % tables.length, 1)[0]!;
					expect(memory.tableAt(frame).every((word) => word === frame)).toBe(true);
					memory.free(frame);
				}
				expect(memory.tablesInUse).toBe(tables.length);
			}
			for (const { frame } of tables) {
				expect(memory.tableAt(frame).every((word) => word === frame)).toBe(true);
				memory.free(frame);
			}
			expect([memory.tablesInUse, memory.bytesInUse]).toEqual([0, 0]);
			expect(budget.used).toBeLessThan(5 * 2 ** 20);
		}),
		{ numRuns: 60 },
	);
});
