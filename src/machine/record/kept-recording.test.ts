// Recordings that people have kept: round trips alone would not notice that both ways have changed.

import { expect, test } from "vitest";
import { type Entry, isCall } from "../../trace/record.js";
import { LineWriter } from "./json-lines.js";
import { keptBinary, keptLines } from "./kept-recording.testing.js";
import { Recording } from "./recording.js";

const fromLines = [...Recording.parse(Buffer.from(keptLines))];

test("a kept recording's lines are what they were", () => {
	const writer = new LineWriter();
	expect(fromLines.map((entry) => `${writer.lineOf(entry)}\n`).join("")).toBe(keptLines);
});

test("a kept recording in binary form says what its lines say", () => {
	expect([...Recording.parse(Buffer.from(keptBinary, "base64"))]).toEqual(fromLines);
});

test("a kept recording has each kind of entry and of question that there was", () => {
	const asked = (entry: Entry) => (isCall(entry) ? (entry.asked ?? []) : []);
	expect(new Set(fromLines.map(({ kind }) => kind)).size).toBe(20);
	expect(new Set(fromLines.flatMap(asked).map(({ ask }) => ask)).size).toBe(15);
});
