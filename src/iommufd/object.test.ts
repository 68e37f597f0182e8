import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { IommufdObject, ObjectTable } from "./object.js";

const destroyed: number[] = [];

class Thing extends IommufdObject {
	override readonly kind = "IOAS";
	readonly #base: Thing | undefined;

	constructor(table: ObjectTable, base?: Thing) {
		super(table.reserve("SELFTEST"));
		this.#base = base;
		if (base) base.users++;
		table.install(this);
	}

	override uses(): readonly Thing[] {
		return this.#base === undefined ? [] : [this.#base];
	}

	override destroy(): void {
		destroyed.push(this.id);
		if (this.#base) this.#base.users--;
	}
}

class Other extends Thing {}

test("ids begin at 1, and the lowest free one comes next", () => {
	const table = new ObjectTable();
	const [first, second, third] = [1, 2, 3].map(() => new Thing(table));
	expect([first.id, second.id, third.id]).toEqual([1, 2, 3]);
	table.remove(first);
	table.remove(second);
	expect([new Thing(table).id, new Thing(table).id, new Thing(table).id]).toEqual([1, 2, 4]);
});

test("an id that is only reserved is taken, and can't be found", () => {
	const table = new ObjectTable();
	const id = table.reserve("SELFTEST");
	expect(table.size).toBe(1);
	expect(table.find(id)).toBeUndefined();
	expect(codeOf(() => table.any(id, "id"))).toBe("ENOENT");
	table.cancel(id);
	expect(table.reserve("SELFTEST")).toBe(id);
});

test("an object of another class isn't there, nor is object 0", () => {
	const table = new ObjectTable();
	const thing = new Thing(table);
	expect(table.get(thing.id, Thing, "id")).toBe(thing);
	expect(codeOf(() => table.get(thing.id, Other, "id"))).toBe("ENOENT");
	expect(codeOf(() => table.any(0, "id"))).toBe("ENOENT");
	expect(codeOf(() => table.any(0xffffffff, "id"))).toBe("ENOENT");
});

test("what is in use is busy; all goes in the end, users before what they use", () => {
	const table = new ObjectTable();
	const base = new Thing(table);
	const middle = new Thing(table, base);
	new Thing(table, middle);
	expect(codeOf(() => table.remove(base))).toBe("EBUSY");
	destroyed.length = 0;
	table.removeAll();
	expect(destroyed).toEqual([3, 2, 1]);
	expect(table.size).toBe(0);
});
