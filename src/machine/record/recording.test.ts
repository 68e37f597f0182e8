// Recordings from anywhere: what is wrong with one is said, and nothing else comes of it.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printable } from "../../trace/printable.js";
import type { RecordLine } from "../../trace/record.js";
import { checkMachineDescription, MachineDescriptionError } from "../description.js";
import { Machine } from "../machine.js";
import { parseRecording, RecordedRun, RecordingError } from "./recording.js";
import { recordOfDma, recordOfSelftest } from "./recordings.testing.js";

const recordings = [recordOfSelftest(), recordOfDma(readFileSync("machines/intel.json", "utf8"))];

function textOf(lines: readonly unknown[]): string {
	return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Replays a text. "same", "different", or what is wrong with it. @throws everything else */
function outcomeOf(text: string): string {
	try {
		const recording = parseRecording(text);
		const run = new RecordedRun(recording, new Machine(checkMachineDescription(recording.start.machine, "the test")));
		const difference = recording.lines.findIndex((_, i) => run.replay(i + 1) !== undefined);
		return difference === -1 ? "same" : "different";
	} catch (error) {
		if (error instanceof RecordingError) return printable(`${error.line}: ${error.message}`);
		if (error instanceof MachineDescriptionError) return printable(error.message);
		throw error;
	}
}

test("what we record is a recording, and is answered as it was", () => {
	for (const lines of recordings) expect(outcomeOf(textOf(lines))).toBe("same");
	const asks = new Set(
		recordings.flat().flatMap((line) => ("asked" in line ? (line.asked ?? []) : []).map(({ ask }) => ask)),
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

describe("what is wrong with a line is said, with its number", () => {
	const [selftest] = recordings;
	/** The first line of a kind, with something changed. */
	function changed(kind: RecordLine["kind"], change: object): string {
		const at = selftest.findIndex((line) => line.kind === kind);
		return outcomeOf(textOf(selftest.map((line, i) => (i === at ? { ...line, ...change } : line))));
	}

	test.each([
		["ioctl", { asked: 7 }, /^\d+: asked: a list is expected here/],
		["ioctl", { answer: null }, /^\d+: answer: a number is expected here, or why there is none/],
		["ioctl", { kind: {} }, /^\d+: kind: /],
		["ioctl", { argument: "12" }, /^\d+: argument: "0x" and hexadecimal digits/],
		["ioctl", { in: "0" }, /^\d+: in: two hexadecimal digits a byte/],
		["ioctl", { aswer: 0 }, /^\d+: unknown field "aswer": did you mean "answer"\?/],
		["ioctl", { file: 4711 }, /^\d+: file 4711 is used before it is opened/],
		["ioctl", { memory: 4711 }, /^\d+: there is no memory 4711/],
		["ioctl", { owner: 4711 }, /^\d+: there is no owner 4711/],
		["read", { file: 1 }, /^\d+: file 1, an open of \/dev\/iommu, is no queue/],
		["release", { what: 4711 }, /^\d+: file 4711 is used/],
		["start", { version: 1 }, /^1: this is of version 1, and this ioasis reads version \d+/],
		["start", { kind: "end" }, /^1: this is not a recording/],
		["start", { machine: { name: "x" } }, /the field "description" is missing/],
	] as const)("%s with %j", (kind, change, message) => {
		expect(changed(kind, change)).toMatch(message);
	});

	test("a question that doesn't fit together", () => {
		const pages = { ask: "pages", memory: 3, page: 1, count: 2, writable: true, is: [[4, 1, 3]] };
		expect(changed("ioctl", { asked: [pages] })).toMatch(/^\d+: asked\.0: there are 3 pages, and count is 2/);
		const read = { ask: "read", memory: 3, at: "0x0", length: 1, bytes: "0000" };
		expect(changed("ioctl", { asked: [read] })).toMatch(/^\d+: asked\.0: there are more bytes than were asked for/);
		const write = { ask: "write", memory: 3, at: "0x0", bytes: "00", done: 2 };
		expect(changed("ioctl", { asked: [write] })).toMatch(/^\d+: asked\.0: more is done than there are bytes/);
	});

	test("a name that is given twice", () => {
		const at = selftest.findIndex(({ kind }) => kind === "memory");
		const twice = [...selftest.slice(0, at + 1), ...selftest.slice(at)];
		expect(outcomeOf(textOf(twice))).toMatch(new RegExp(`^${at + 2}: there is a memory \\d+ already`));
	});

	test("what isn't JSON is quoted, but not so that a terminal would obey it", () => {
		const outcome = outcomeOf(`${textOf(selftest.slice(0, 2))}\x1b[2J\n`);
		expect(outcome).toMatch(/^3: this is not JSON: [\x20-\x7e]+$/);
	});

	test("an empty file", () => {
		expect(outcomeOf("")).toBe("1: this is not a recording: it has no line");
	});
});

test("a recording that ends in the middle of a line is good up to there", () => {
	const text = textOf(recordings[0]);
	const end = text.lastIndexOf("\n", text.length - 2);
	const { lines, isCut } = parseRecording(text.slice(0, end + 20));
	expect([lines.length, isCut]).toEqual([recordings[0].length - 1, true]);
	expect(parseRecording(text).isCut).toBe(false);
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
): string {
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
	let text = textOf(changed);
	for (const one of mutations)
		if ("text" in one) {
			const at = one.at % text.length;
			text = text.slice(0, at) + one.text + text.slice(at + one.length);
		}
	return text;
}

test("whatever is changed in a recording, it is replayed or refused in a line", () => {
	const property = fc.property(
		fc.constantFrom(...recordings),
		fc.array(mutation, { minLength: 1, maxLength: 4 }),
		(lines, mutations) => {
			expect(outcomeOf(mutate(lines, mutations))).toMatch(/^(same|different|(\d+|the test): [^\n]+)$/);
		},
	);
	fc.assert(property, { numRuns: 1000 });
});
