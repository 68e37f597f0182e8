import { expect, test } from "vitest";
import { inWords, MemoryBudget } from "./memory-budget.js";

const MIB = 2 ** 20;

test("what is charged is in use until it is given back, whichever share it is for", () => {
	const budget = new MemoryBudget(10 * MIB);
	budget.pageTables.charge(4 * MIB);
	budget.areas.charge(6 * MIB);
	expect([budget.used, budget.pageTables.used, budget.areas.used]).toEqual([10 * MIB, 4 * MIB, 6 * MIB]);
	expect(() => budget.areas.charge(1)).toThrow(expect.objectContaining({ code: "ENOMEM" }));
	expect([budget.used, budget.areas.used]).toEqual([10 * MIB, 6 * MIB]);
	budget.pageTables.uncharge(4 * MIB);
	budget.areas.charge(1);
	expect(budget.used).toBe(6 * MIB + 1);
});

test("the reason names the budget, the option, who has most of it, and who wanted more", () => {
	const budget = new MemoryBudget(1536 * MIB);
	budget.pageTables.charge(1400 * MIB);
	budget.events.charge(MIB);
	expect(() => budget.areas.charge(200 * MIB)).toThrow(
		"the memory budget is used up: of 1.5 GiB (the option --memory) 1.4 GiB are in use, most of it for page tables (1.4 GiB), and 200 MiB for areas don't fit",
	);
});

test.each([
	[0, "0 bytes"],
	[1, "1 byte"],
	[4096, "4 KiB"],
	[1.5 * 2 ** 30, "1.5 GiB"],
	[2 ** 50, "1024 TiB"],
])("%i bytes are %s", (bytes, words) => {
	expect(inWords(bytes)).toBe(words);
});
