import { expect, test } from "vitest";
import { ArraySpace } from "../../memory/array-space.js";
import { codeOf } from "../../uapi/errno.js";
import { out, u32 } from "../../uapi/field.js";
import { encode, struct } from "../../uapi/struct.js";
import { carryOutUserData, readUserData, type UserDataArray, writeUserData } from "./user-data.js";

const TYPE = 0xdead;
const AT = 0x10000;
/** As it grew: the second field came later. */
const Data = struct("test_data", { first: u32, second: out(u32) }, "first");

function memory() {
	const space = new ArraySpace();
	return { space, bytes: space.map(AT, 0x1000) };
}

test("a struct is read as long as the caller has it, and its length must be one that it ever had", () => {
	const { space, bytes } = memory();
	bytes.set(encode(Data, { first: 1, second: 2 }));
	const read = (changes: object) =>
		readUserData({ type: TYPE, address: AT, length: 8, memory: space, ...changes }, TYPE, Data);
	expect([read({}).first, read({}).second]).toEqual([1, 2]);
	expect([read({ length: 4 }).first, read({ length: 4 }).second]).toEqual([1, 0]);
	expect(codeOf(() => read({ length: 3 }))).toBe("EINVAL");
	expect(codeOf(() => read({ length: 9 }))).toBe("EINVAL");
	expect(codeOf(() => read({ type: 1 }))).toBe("EINVAL");
	expect(codeOf(() => read({ address: AT + 0xffc }))).toBe("EFAULT");
});

test("a struct is written back as long as the caller has it", () => {
	const { space, bytes } = memory();
	bytes.fill(0xee);
	const view = Data.newView();
	view.first = 1;
	const data = { type: TYPE, address: AT, length: 4, memory: space };
	writeUserData(data, view, Data);
	expect([...bytes.subarray(0, 5)]).toEqual([1, 0, 0, 0, 0xee]);
	expect(codeOf(() => writeUserData({ ...data, address: 0 }, view, Data))).toBe("EFAULT");
});

test("an array is read as a whole before its first entry is carried out", () => {
	const { space, bytes } = memory();
	const array = (changes: Partial<UserDataArray> = {}): UserDataArray => ({
		type: TYPE,
		address: AT,
		entryLength: 8,
		entries: 2,
		memory: space,
		done: 0,
		...changes,
	});
	bytes.set(encode(Data, { first: 1 }));
	bytes.set(encode(Data, { first: 2 }), 8);
	const seen: number[] = [];
	const run = (what: UserDataArray) =>
		codeOf(() => carryOutUserData(what, TYPE, Data, ({ first }) => seen.push(first)));
	const good = array();
	expect([run(good), good.done, seen]).toEqual(["ok", 2, [1, 2]]);
	const bad = array({ address: AT + 0xff8 });
	expect([run(bad), bad.done, seen.length]).toEqual(["EFAULT", 0, 2]);
	expect(run(array({ entries: 0 }))).toBe("EINVAL");
	expect(run(array({ type: 1 }))).toBe("EINVAL");
	// As one entry of 16 bytes it is too long for what is known, unless the rest is zero.
	expect(run(array({ entries: 1, entryLength: 16 }))).toBe("E2BIG");
	expect(run(array({ entries: 1, entryLength: 12, address: AT + 8 }))).toBe("ok");
});

test("an array counts what was carried out before an error", () => {
	const { space } = memory();
	const array = { type: TYPE, address: AT, entryLength: 4, entries: 3, memory: space, done: 0 };
	const failAt = 2;
	expect(() =>
		carryOutUserData(array, TYPE, Data, (_entry, index) => {
			if (index === failAt) throw new Error("no more");
		}),
	).toThrow("no more");
	expect(array.done).toBe(failAt);
});
