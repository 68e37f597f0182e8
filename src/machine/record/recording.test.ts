// Recordings from anywhere: what is wrong with one is said, and nothing else comes of it.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printable } from "../../trace/printable.js";
import { type Entry, isCall } from "../../trace/record.js";
import { checkMachineDescription, MachineDescriptionError } from "../description.js";
import { Machine } from "../machine.js";
import { BlockWriter, binaryOf, EntryFrames, FileInMemory } from "./blocks.js";
import { LineWriter } from "./json-lines.js";
import { RecordedRun } from "./recorded-run.js";
import { Recording, RecordingError } from "./recording.js";
import { recordOfDma, recordOfSelftest } from "./recordings.testing.js";

const recordings = [recordOfSelftest(), recordOfDma(readFileSync("machines/intel.json", "utf8"))];

/** Lines as objects, for tests to change. */
function linesOf(entries: readonly Entry[]): Record<string, unknown>[] {
	const writer = new LineWriter();
	return entries.map((entry) => JSON.parse(writer.lineOf(entry)));
}

function textOf(lines: readonly unknown[]): Uint8Array {
	return Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** Replays a file. "same", "different", or what is wrong with it. @throws everything else */
function outcomeOf(file: Uint8Array): string {
	try {
		const recording = Recording.parse(file);
		const machine = new Machine(checkMachineDescription(recording.start.machine, "the test"));
		return new RecordedRun(recording, machine).forward(recording.length) ? "same" : "different";
	} catch (error) {
		if (error instanceof RecordingError) return printable(`${error.place}: ${error.message}`);
		if (error instanceof MachineDescriptionError) return printable(error.message);
		throw error;
	}
}

test("what we record is a recording in both forms, and is answered as it was", () => {
	for (const entries of recordings) {
		expect(outcomeOf(textOf(linesOf(entries)))).toBe("same");
		expect(outcomeOf(binaryOf(entries))).toBe("same");
	}
	const asks = new Set(
		recordings.flat().flatMap((entry) => (isCall(entry) ? (entry.asked ?? []) : []).map(({ ask }) => ask)),
	);
	expect([...asks].sort()).toEqual([
		"capable",
		"closed",
		"dma read",
		"fd",
		"install",
		"limit",
		"pages",
		"read",
		"size",
		"uid",
		"write",
	]);
});

test("each form says the same", () => {
	for (const entries of recordings) {
		expect([...Recording.parse(textOf(linesOf(entries)))]).toEqual(entries);
		expect([...Recording.parse(binaryOf(entries))]).toEqual(entries);
	}
});

test("a recording of version 2, without times, is one", () => {
	const newer = new Set(["time", "took", "began", "ioasis", "program"]);
	const lines = linesOf(recordings[0]).map((line) => {
		const old = Object.fromEntries(Object.entries(line).filter(([field]) => !newer.has(field)));
		return line.kind === "start" ? { ...old, version: 2 } : old;
	});
	expect(outcomeOf(textOf(lines))).toBe("same");
});

describe("what is wrong with a line is said, with its number", () => {
	const selftest = linesOf(recordings[0]);
	/** The first line of a kind, with something changed. */
	function changed(kind: Entry["kind"], change: object): string {
		const at = selftest.findIndex((line) => line.kind === kind);
		return outcomeOf(textOf(selftest.map((line, i) => (i === at ? { ...line, ...change } : line))));
	}

	test.each([
		["ioctl", { asked: 7 }, /^:\d+: asked: a list is expected here/],
		["ioctl", { answer: null }, /^:\d+: answer: a number is expected here, or why there is none/],
		["ioctl", { kind: {} }, /^:\d+: kind: /],
		["ioctl", { argument: "12" }, /^:\d+: argument: "0x" and hexadecimal digits/],
		["ioctl", { in: "0" }, /^:\d+: in: two hexadecimal digits a byte/],
		["ioctl", { aswer: 0 }, /^:\d+: unknown field "aswer": did you mean "answer"\?/],
		["ioctl", { file: 4711 }, /^:\d+: file 4711 is used before it is opened/],
		["ioctl", { memory: 4711 }, /^:\d+: there is no memory 4711/],
		["ioctl", { owner: 4711 }, /^:\d+: there is no owner 4711/],
		["read", { file: 1 }, /^:\d+: file 1, an open of \/dev\/iommu, is no queue/],
		["release", { what: 4711 }, /^:\d+: file 4711 is used/],
		["start", { version: 1 }, /^:1: this is of version 1, and this ioasis reads versions 2 to \d+/],
		["start", { kind: "end" }, /^:1: this is not a recording/],
		["start", { machine: { name: "x" } }, /the field "description" is missing/],
	] as const)("%s with %j", (kind, change, message) => {
		expect(changed(kind, change)).toMatch(message);
	});

	test("a question that doesn't fit together", () => {
		const pages = { ask: "pages", memory: 3, page: 1, count: 2, writable: true, is: [[4, 1, 3]] };
		expect(changed("ioctl", { asked: [pages] })).toMatch(/^:\d+: asked\.0: there are 3 pages, and count is 2/);
		const read = { ask: "read", memory: 3, at: "0x0", length: 1, bytes: "0000" };
		expect(changed("ioctl", { asked: [read] })).toMatch(/^:\d+: asked\.0: there are more bytes than were asked for/);
		const write = { ask: "write", memory: 3, at: "0x0", bytes: "00", done: 2 };
		expect(changed("ioctl", { asked: [write] })).toMatch(/^:\d+: asked\.0: more is done than there are bytes/);
	});

	test("a name that is given twice", () => {
		const at = selftest.findIndex(({ kind }) => kind === "memory");
		const twice = [...selftest.slice(0, at + 1), ...selftest.slice(at)];
		expect(outcomeOf(textOf(twice))).toMatch(new RegExp(`^:${at + 2}: there is a memory \\d+ already`));
	});

	test("what isn't JSON is quoted, but not so that a terminal would obey it", () => {
		const outcome = outcomeOf(Buffer.concat([textOf(selftest.slice(0, 2)), Buffer.from("\x1b[2J\n")]));
		expect(outcome).toMatch(/^:3: this is not JSON: [\x20-\x7e]+$/);
	});

	test("an empty file", () => {
		expect(outcomeOf(new Uint8Array(0))).toBe(":1: this is not a recording: it has no line");
	});
});

test("a recording that ends in the middle of a line is good up to there", () => {
	const file = textOf(linesOf(recordings[0]));
	const end = file.lastIndexOf(0x0a, file.length - 2);
	const recording = Recording.parse(file.subarray(0, end + 20));
	expect([recording.length, recording.isCut]).toEqual([recordings[0].length - 1, true]);
	expect(Recording.parse(file).isCut).toBe(false);
});

/** In binary form, each block of so many entries; the last one not ended. */
function unfinished(entries: readonly Entry[], perBlock: number): Uint8Array {
	const file = new FileInMemory();
	const blocks = new BlockWriter(file);
	for (let at = 0; at < entries.length; at += perBlock) {
		const frames = new EntryFrames((bytes, length) => blocks.add(bytes.subarray(0, length)));
		for (const entry of entries.slice(at, at + perBlock)) frames.write(entry);
		if (at + perBlock < entries.length) blocks.finish();
		else blocks.flush();
	}
	return file.bytes;
}

describe("in binary form", () => {
	test("a run that was killed leaves all entries that are whole, wherever it ends", () => {
		const [entries] = recordings;
		const file = unfinished(entries, 10);
		const whole = Recording.parse(file);
		expect([...whole]).toEqual(entries);
		expect(whole.isCut).toBe(false);
		for (let end = Math.floor(file.length * 0.9); end < file.length; end++) {
			const recording = Recording.parse(file.subarray(0, end));
			expect([...recording]).toEqual(entries.slice(0, recording.length));
			expect(recording.length).toBeGreaterThan(entries.length / 2);
		}
	});

	test("each call is found by its number", () => {
		for (const perBlock of [1, 3, 1000]) {
			const [entries] = recordings;
			const recording = Recording.parse(unfinished(entries, perBlock));
			const indices = entries.flatMap((entry, index) => (isCall(entry) ? [index] : []));
			expect(recording.calls).toBe(indices.length);
			expect(indices.map((_, i) => recording.indexOfCall(i + 1))).toEqual(indices);
		}
	});

	test("a byte that has changed is found by its block's checksum", () => {
		const file = binaryOf(recordings[0]);
		file[file.length - 7] ^= 4;
		expect(outcomeOf(file)).toMatch(/^: block 1 isn't what was written: its checksum is another$/);
	});

	test("one of another version is refused", () => {
		const file = binaryOf(recordings[0]);
		file[8] = 77;
		expect(outcomeOf(file)).toMatch(/^: this is of version 77, and this ioasis reads version \d+$/);
	});
});

/** Any value that JSON can have, and those that recordings do have. */
const anyValue = fc.oneof(
	fc.jsonValue(),
	fc.constantFrom(-1, 0, 0.5, 1, 2, 3, 2 ** 31, 2 ** 53, 1e308, "", "0x0", "0xffffffffffffffff", "ff", [], {}, null),
	fc.constantFrom({ errno: "EFAULT", reason: "\x1b" }, { file: 1 }, { backing: 1 }, { __proto__: null }, "__proto__"),
);

/** All places in a value, as paths. */
function placesIn(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
	if (typeof value !== "object" || value === null) return [path];
	const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
	return [path, ...entries.flatMap(([key, inside]) => placesIn(inside, [...path, key]))];
}

/** With the value at a place replaced, or taken out where there is none. */
function withAt(value: unknown, path: readonly (string | number)[], instead: unknown): unknown {
	if (path.length === 0) return instead;
	const [key, ...rest] = path;
	const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
	const inside = withAt(copy[key], rest, instead);
	if (inside === undefined) {
		if (Array.isArray(copy)) copy.splice(key as number, 1);
		else delete copy[key];
	} else copy[key] = inside;
	return copy;
}

/** A mutation: of a value in a line, of the lines, or of the text. */
const mutation = fc.oneof(
	fc.record({ line: fc.nat(), place: fc.nat(), value: fc.option(anyValue, { nil: undefined }) }),
	fc.record({ from: fc.nat(), to: fc.nat(), kind: fc.constantFrom("take", "swap", "repeat") }),
	fc.record({ at: fc.nat(), length: fc.integer({ min: 0, max: 5 }), text: fc.string() }),
);

function mutate(
	lines: readonly unknown[],
	mutations: readonly (typeof mutation extends fc.Arbitrary<infer M> ? M : never)[],
): Uint8Array {
	const changed = [...lines];
	for (const one of mutations) {
		if ("place" in one) {
			const at = one.line % changed.length;
			const places = placesIn(changed[at]);
			changed[at] = withAt(changed[at], places[one.place % places.length], one.value) ?? null;
		} else if ("kind" in one) {
			const [from, to] = [one.from % changed.length, one.to % changed.length];
			if (one.kind === "swap") [changed[from], changed[to]] = [changed[to], changed[from]];
			else if (one.kind === "repeat") changed.splice(to, 0, changed[from]);
			else if (changed.length > 1) changed.splice(from, 1);
		}
	}
	let text = Buffer.from(textOf(changed)).toString();
	for (const one of mutations)
		if ("text" in one) {
			const at = one.at % text.length;
			text = text.slice(0, at) + one.text + text.slice(at + one.length);
		}
	return Buffer.from(text);
}

/** What becomes of any file. */
const OUTCOME = /^(same|different|((:| entry) ?\d+)?: [^\n]+|the test: [^\n]+|: entry \d+: [^\n]+)$/;

test("whatever is changed in the lines of a recording, it is replayed or refused in a line", () => {
	const property = fc.property(
		fc.constantFrom(...recordings.map(linesOf)),
		fc.array(mutation, { minLength: 1, maxLength: 4 }),
		(lines, mutations) => {
			expect(outcomeOf(mutate(lines, mutations))).toMatch(OUTCOME);
		},
	);
	fc.assert(property, { numRuns: 1000 });
});

/** Bytes that are changed, taken out or put in. */
const byteMutation = fc.record({
	at: fc.nat(),
	length: fc.integer({ min: 0, max: 3 }),
	bytes: fc.oneof(
		fc.uint8Array({ maxLength: 3 }),
		fc.constantFrom(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), Uint8Array.of(0x80, 0)),
	),
});

test("whatever is changed in the bytes of a recording, it is replayed or refused in a line, and what is decoded is what lines may have", () => {
	// Not ended, so that no checksum stands in the way.
	const files = recordings.flatMap((entries) => [unfinished(entries, 1000), binaryOf(entries)]);
	const property = fc.property(
		fc.constantFrom(...files),
		fc.array(byteMutation, { minLength: 1, maxLength: 4 }),
		(file, mutations) => {
			let changed = Buffer.from(file);
			for (const { at, length, bytes } of mutations) {
				const from = at % changed.length;
				changed = Buffer.concat([changed.subarray(0, from), bytes, changed.subarray(from + length)]);
			}
			expect(outcomeOf(changed)).toMatch(OUTCOME);
			const decoded = entriesOf(changed);
			if (decoded === undefined) return;
			const again = Recording.parse(textOf(linesOf(decoded)));
			expect([...again].slice(1)).toEqual(decoded.slice(1));
		},
	);
	fc.assert(property, { numRuns: 1500 });
});

function entriesOf(file: Uint8Array): Entry[] | undefined {
	try {
		return [...Recording.parse(file)];
	} catch (error) {
		if (error instanceof RecordingError) return undefined;
		throw error;
	}
}
