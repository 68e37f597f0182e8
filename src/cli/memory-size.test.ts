import { totalmem } from "node:os";
import { expect, test, vi } from "vitest";
import { heapFor, parseMemory, usualMemory } from "./memory-size.js";

test.each([
	["16777216", 2 ** 24],
	["512M", 2 ** 29],
	["4G", 2 ** 32],
	["4g", 2 ** 32],
	["1.5GiB", 1.5 * 2 ** 30],
	["64 mib", 2 ** 26],
	["1T", 2 ** 40],
	["20000kB", 20_000 * 1024],
])("%s is a size", (text, bytes) => {
	expect(parseMemory(text)).toBe(bytes);
});

test.each(["", "much", "-1", "4X", "4GG", "0", "15M", "2000T", "1e9", "0x1000000"])("%j is none", (text) => {
	const exit = vi.spyOn(process, "exit").mockImplementation((code) => {
		throw new Error(`exit ${code}`);
	});
	vi.spyOn(console, "error").mockImplementation(() => {});
	expect(() => parseMemory(text)).toThrow("exit 2");
	exit.mockRestore();
});

test("it is a quarter of the computer's memory at most, shared by those who run at a time", () => {
	expect(usualMemory()).toBeLessThanOrEqual(totalmem() / 4);
	expect(usualMemory(4)).toBeLessThanOrEqual(Math.max(2 ** 24, usualMemory() / 3));
	expect(usualMemory(1e9)).toBe(2 ** 24);
});

test("a container's limit counts", () => {
	const constrained = vi.spyOn(process, "constrainedMemory").mockReturnValue(2 ** 30);
	expect(usualMemory()).toBe(2 ** 28);
	constrained.mockReturnValue(0);
	expect(usualMemory()).toBe(Math.floor(totalmem() / 4));
	constrained.mockRestore();
});

test("the heap has room for all of it, and more", () => {
	expect(heapFor(2 ** 32)).toBeGreaterThan(4096);
	expect(heapFor(2 ** 24)).toBeGreaterThan(256);
});
