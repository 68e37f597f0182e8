import * as v from "valibot";
import { expect, test } from "vitest";
import { byteCount, flag, integer, list } from "./options.js";

/** What a value becomes, or why it doesn't. */
function parse<T>(schema: v.GenericSchema<unknown, T>, value: unknown): T | string {
	const { success, output, issues } = v.safeParse(schema, value);
	return success ? output : issues[0].message;
}

test("a size is a number of bytes, with a binary suffix if one likes", () => {
	expect([4096, "4096", "64K", "512m", "1GiB", "2TB"].map((value) => parse(byteCount, value))).toEqual([
		4096,
		4096,
		65536,
		2 ** 29,
		2 ** 30,
		2 ** 41,
	]);
	expect(["", "1Q", "-1", "1.5G", "99999999999999999T", -4096].map((value) => parse(byteCount, value))).toEqual(
		['""', '"1Q"', '"-1"', '"1.5G"', '"99999999999999999T"', "-4096"].map(
			(value) => `${value} is no size: write it as 4096, 64K, 512M, 1G or 1T`,
		),
	);
	expect(parse(byteCount, true)).toBe("a size is expected here, as in 512M");
});

test("a number is within its range", () => {
	const schema = integer(1, 64);
	expect(["1", 64, "0x20"].map((value) => parse(schema, value))).toEqual([1, 64, 32]);
	expect(["0", 65, "", "many", 1.5].map((value) => parse(schema, value))).toEqual(
		['"0"', "65", '""', '"many"', "1.5"].map((value) => `${value} is no number from 1 to 64`),
	);
});

test("a flag is on when it is named", () => {
	expect(["", "on", true, "off", false, "0"].map((value) => parse(flag, value))).toEqual([
		true,
		true,
		true,
		false,
		false,
		false,
	]);
	expect(parse(flag, "perhaps")).toBe('"perhaps" is neither on nor off');
});

test("a list is split at colons, or is one already", () => {
	const schema = list(byteCount, 3);
	expect([parse(schema, "1K:2K"), parse(schema, ["1K", 5]), parse(schema, 7)]).toEqual([[1024, 2048], [1024, 5], [7]]);
	expect(parse(schema, "1K:x")).toBe('"x" is no size: write it as 4096, 64K, 512M, 1G or 1T');
	expect(parse(schema, [])).toBe("a value is expected here");
	expect(parse(schema, "1:2:3:4")).toBe("at most 3 values are expected here");
});
