import { expect, test } from "vitest";
import { crc32 } from "./crc32.js";

const bytes = new TextEncoder().encode("123456789");

test("it is the one that everybody has", () => {
	expect(crc32(bytes)).toBe(0xcbf4_3926);
	expect(crc32(new Uint8Array(0))).toBe(0);
});

test("it goes on from the bytes before", () => {
	expect(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4)))).toBe(0xcbf4_3926);
});
