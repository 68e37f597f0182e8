import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { discard } from "./discard.js";

/** What this process has in memory, in KiB. */
function resident(): number {
	return Number(readFileSync("/proc/self/status", "latin1").match(/^VmRSS:\s+(\d+)/m)![1]);
}

test("what is given back reads as zeroes, and is in memory no longer", () => {
	const words = new Uint32Array(2 ** 24).fill(7);
	const before = resident();
	expect(discard(words)).toBe(true);
	expect(before - resident()).toBeGreaterThan(60 * 1024);
	expect(words.findIndex((word) => word !== 0)).toBe(-1);
	words[5] = 1;
	expect(words[5]).toBe(1);
});

test("only the array itself is given back, wherever it begins and ends", () => {
	const all = new Uint32Array(2 ** 16).fill(7);
	const part = all.subarray(3, 2 ** 16 - 5);
	expect(discard(part)).toBe(true);
	expect(part.every((word) => word === 0)).toBe(true);
	expect([...all.subarray(0, 3), ...all.subarray(2 ** 16 - 5)]).toEqual(Array(8).fill(7));
});

test("what has no whole page can't be given back", () => {
	expect(discard(new Uint32Array(10))).toBe(false);
});
