import { expect, test } from "vitest";
import { TABLE_FRAME_LG2, TableMemory } from "../../../pagetable/table-memory.js";
import { codeOf } from "../../../uapi/errno.js";
import { CdTable } from "./cd-table.js";

const descriptor = BigUint64Array.of(0x1111_2222_3333_4444n, 5n, 6n, 7n, 8n, 9n, 10n, 11n);

function wordsAt(memory: TableMemory, address: bigint): Uint32Array {
	return memory.tableAt(Number(address >> BigInt(TABLE_FRAME_LG2)));
}

test("a linear table has a descriptor of 64 bytes for each number", () => {
	const memory = new TableMemory();
	const table = new CdTable(5, false, memory);
	expect([table.address, table.format, table.sizeLg2]).toEqual([0n, 0, 5]);
	table.set(3, descriptor);
	const words = wordsAt(memory, table.address);
	expect([...words.subarray(3 * 16, 3 * 16 + 3)]).toEqual([0x3333_4444, 0x1111_2222, 5]);
	expect(codeOf(() => table.set(32, descriptor))).toBe("ENOMEM");
});

test("without two levels there are 1024 descriptors at most", () => {
	expect(new CdTable(20, false, new TableMemory()).sizeLg2).toBe(10);
	expect(new CdTable(20, true, new TableMemory()).sizeLg2).toBe(20);
});

test("with two levels the upper one points to tables of 1024 descriptors", () => {
	const memory = new TableMemory();
	const table = new CdTable(20, true, memory);
	expect(table.format).toBe(2);
	table.set(5 * 1024 + 2, descriptor);
	const upper = wordsAt(memory, table.address);
	const pointer = BigInt(upper[10]) + (BigInt(upper[11]) << 32n);
	expect(pointer & 1n).toBe(1n);
	expect(wordsAt(memory, pointer & ~0xfffn)[2 * 16 + 2]).toBe(5);
	expect(memory.tablesInUse).toBe(2);
});

test("the tables go when the last descriptor has gone", () => {
	const memory = new TableMemory();
	const table = new CdTable(20, true, memory);
	table.set(0, descriptor);
	table.set(4711, descriptor);
	expect(table.usesOthersThan(0)).toBe(true);
	table.clear(4711);
	table.freeUnused();
	expect([table.usesOthersThan(0), memory.tablesInUse]).toEqual([false, 3]);
	table.clear(0);
	table.freeUnused();
	expect([table.address, memory.tablesInUse]).toEqual([0n, 0]);
});
