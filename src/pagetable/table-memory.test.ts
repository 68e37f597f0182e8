import { expect, test } from "vitest";
import { FailNth } from "../faults/fail-nth.js";
import { withFaults } from "../faults/faults.js";
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
	expect(memory.allocate(12)).toBe(0x100000 + 1023);
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
	expect(() => memory.allocate(12)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
	expect(memory.tablesInUse).toBe(1024);
});

test("memory ends, and what is freed can be had again", () => {
	const memory = new TableMemory({ mostFrames: 2 });
	const frame = memory.allocate(12);
	memory.allocate(12);
	expect(() => memory.allocate(12)).toThrow("page tables have used up their memory, which is 2 frames");
	expect(memory.tablesInUse).toBe(2);
	memory.free(frame);
	expect(memory.allocate(12)).toBe(frame);
});
