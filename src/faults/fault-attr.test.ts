import { expect, test } from "vitest";
import { FaultAttr } from "./fault-attr.js";

/** How it goes for so many places one after the other: "-" for one that is passed. */
function go(attr: FaultAttr, places: number, task?: { failNth: number }): string {
	return Array.from({ length: places }, () => (attr.shouldFail(task, () => 0.5) ? "F" : "-")).join("");
}

test("the nth place of a task fails, once, and what is left is counted down", () => {
	const attr = new FaultAttr("fail_iommufd");
	const task = { failNth: 3 };
	expect(go(attr, 1, task)).toBe("-");
	expect(task.failNth).toBe(2);
	expect(go(attr, 4, task)).toBe("-F--");
	expect(task.failNth).toBe(0);
});

test("allocations fail only where those that can wait may fail, and pages only from the least order on", () => {
	const slab = new FaultAttr("failslab");
	const page = new FaultAttr("fail_page_alloc");
	expect([go(slab, 2, { failNth: 1 }), go(page, 2, { failNth: 1 })]).toEqual(["--", "--"]);
	slab.ignoreGfpWait = false;
	page.ignoreGfpWait = false;
	expect([go(slab, 2, { failNth: 1 }), go(page, 2, { failNth: 1 })]).toEqual(["F-", "--"]);
	page.minOrder = 0;
	expect(go(page, 2, { failNth: 1 })).toBe("F-");
});

test("without a task's own number it goes by probability, interval, times and space", () => {
	const attr = new FaultAttr("fail_iommufd");
	attr.probability = 50;
	expect(go(attr, 3)).toBe("---");
	attr.probability = 51;
	expect(go(attr, 3)).toBe("F--");
	expect(attr.times).toBe(0);
	attr.times = -1;
	attr.interval = 3;
	expect(go(attr, 7)).toBe("--F--F-");
	attr.interval = 1;
	attr.space = 4;
	expect(go(attr, 5)).toBe("---FF");
	attr.taskFilter = true;
	expect(go(attr, 3)).toBe("---");
});
