import { expect, test } from "vitest";
import { flagsIn, mustBeZero, nameIn, u32 } from "./field.js";

const names = { READ: 1, WRITE: 2, FAR: 0x8000_0000 };

test("a value is known by its name, or by its number where it has none", () => {
	expect([1, 2, 3].map((value) => nameIn(names, value))).toEqual(["READ", "WRITE", "0x3"]);
});

test("flags are known by the names of those that are set, and what is left by its number", () => {
	const known = [0, 1, 3, 0x8000_0002, 4, 13, 2n ** 63n + 1n].map((value) => flagsIn(names, value));
	expect(known).toEqual(["0", "READ", "READ|WRITE", "WRITE|FAR", "0x4", "READ|0xc", "READ|0x8000000000000000"]);
});

test("a reserved field is nothing that anybody wants to see", () => {
	expect(mustBeZero(u32)).toMatchObject({ filler: true, forbids: "any bit" });
});
