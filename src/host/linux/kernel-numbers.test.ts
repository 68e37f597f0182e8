import { expect, test } from "vitest";
import { parseBoolean, parseNumber } from "./kernel-numbers.js";

test("a number is decimal, octal or hexadecimal, with one newline at most", () => {
	expect(["12", "0", "0x1F\n", "010", "-1", "+7"].map(parseNumber)).toEqual([12, 0, 31, 8, -1, 7]);
	for (const text of ["", "\n", "x", "08", "1\n\n", " 1", "1 ", "0x", "--1"]) expect(parseNumber(text)).toBeUndefined();
});

test("a boolean goes by its first letter", () => {
	expect(["y", "Y\n", "1", "on", "true"].map(parseBoolean)).toEqual([true, true, true, true, true]);
	expect(["n", "N\n", "0", "off", "false"].map(parseBoolean)).toEqual([false, false, false, false, false]);
	expect([parseBoolean(""), parseBoolean("maybe")]).toEqual([undefined, undefined]);
});
