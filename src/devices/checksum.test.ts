import { expect, test } from "vitest";
import { addWords, crc32, crc32c } from "./checksum.js";

const ascii = (text: string) => new TextEncoder().encode(text);

test("the check values of CRC-32 and CRC-32C", () => {
	expect([crc32(ascii("123456789")), crc32c(ascii("x123456789x"), 1, 10)]).toEqual([0xcbf4_3926, 0xe306_9283]);
});

test("words are added with their carries, as RFC 1071 does it", () => {
	// The example of its chapter 3.
	expect(addWords(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7), 0, 8)).toBe(0xddf2);
	expect([addWords(Uint8Array.of(1, 2, 3), 0, 3), addWords(new Uint8Array(0), 0, 0, 0x1_ffff)]).toEqual([0x0402, 1]);
});

test("a CRC-32C can be worked out in pieces", () => {
	const bytes = ascii("123456789");
	expect(crc32c(bytes, 4, 9, crc32c(bytes, 0, 4))).toBe(0xe306_9283);
});
