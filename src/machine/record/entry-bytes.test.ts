// Both forms of recordings, with entries that no run makes.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry } from "../../trace/record.js";
import { binaryOf } from "./blocks.js";
import { anyEntry, aStart } from "./entries.testing.js";
import { LineWriter } from "./json-lines.js";
import { Recording } from "./recording.js";

const someEntries = fc.array(anyEntry, { maxLength: 12 }).map((entries) => [aStart, ...entries]);

function linesOf(entries: readonly Entry[]): Uint8Array {
	const writer = new LineWriter();
	return Buffer.from(entries.map((entry) => `${writer.lineOf(entry)}\n`).join(""));
}

test("what is written is read, whatever it is, in binary form", () => {
	const property = fc.property(someEntries, (entries) => {
		expect([...Recording.parse(binaryOf(entries))]).toEqual(entries);
	});
	fc.assert(property, { numRuns: 1000 });
});

test("what is written is read, whatever it is, as lines", () => {
	const property = fc.property(someEntries, (entries) => {
		expect([...Recording.parse(linesOf(entries))]).toEqual(entries);
	});
	fc.assert(property, { numRuns: 300 });
});

test("a call like the one before takes a few bytes", () => {
	const call = (time: number, iova: number): Entry => ({
		kind: "ioctl",
		time,
		took: 7,
		thread: 4711,
		file: 1,
		memory: 2,
		owner: 3,
		number: 0x3b85,
		argument: 0x7ffc_1234_5678,
		in: new Uint8Array(40).fill(iova, 32, 34),
		out: new Uint8Array(40).fill(iova, 32, 34),
		asked: [{ ask: "pages", memory: 2, page: 0x7f12_3456, count: 1, writable: true, is: [[2, 0x7f12_3456, 1]] }],
		answer: 0,
	});
	const entries = [aStart, ...Array.from({ length: 1001 }, (_, i) => call(100 + 12 * i, i & 0xff))];
	const each = (binaryOf(entries).length - binaryOf(entries.slice(0, 2)).length) / 1000;
	expect(each).toBeLessThan(30);
});
