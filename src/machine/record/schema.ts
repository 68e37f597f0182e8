// What a recording's lines may be, for those who read one: the format of trace/record.ts as a schema. A recording comes from anywhere, so
// nothing in it is believed that isn't here.

import * as v from "valibot";
import { type Question, RECORD_VERSION, type RecordLine, type Start } from "../../trace/record.js";
import { type ErrnoCode, errnoNumbers } from "../../uapi/errno.js";
import { explain, messageOf } from "../errors.js";
import { integer } from "../values.js";

const LAST_EXACT = Number.MAX_SAFE_INTEGER;
const LAST_U32 = 2 ** 32 - 1;
const LAST_INT = 2 ** 31 - 1;

const name = integer(1, LAST_EXACT);
const count = integer(1, LAST_EXACT);
const page = integer(0, LAST_EXACT);
/** No call transfers more: MAX_RW_COUNT. */
const length = integer(0, LAST_INT);
/** Addresses near the end of 64 bits are rounded to 2^64, which has 17 digits. */
const hex = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,17}$/, `"0x" and hexadecimal digits are expected here`));
const bytes = v.pipe(
	v.string(),
	v.check(
		(text) => text.length % 2 === 0 && !/[^0-9a-f]/.test(text),
		"two hexadecimal digits a byte are expected here",
	),
);
const failed = v.strictObject({
	errno: v.picklist(Object.keys(errnoNumbers) as ErrnoCode[], "the name of an errno is expected here"),
	reason: v.string(),
});

/** A number, or why there is none. */
function numberOrFailure<S extends v.GenericSchema<unknown, number>>(number: S) {
	return v.union([number, failed], "a number is expected here, or why there is none: { errno, reason }");
}

/** Where bytes were read from or written to. */
const ofMemory = { memory: name, at: hex, bytes };
const ofBacking = { backing: name, at: hex, bytes };
const readEntries = { length, bytes };
const writeEntries = { done: v.exactOptional(integer(0, LAST_INT)) };

const questions = v.variant("ask", [
	v.strictObject({ ask: v.literal("read"), ...ofMemory, ...readEntries }),
	v.strictObject({ ask: v.literal("write"), ...ofMemory, ...writeEntries }),
	v.strictObject({
		ask: v.literal("pages"),
		memory: name,
		page,
		count,
		writable: v.boolean(),
		is: v.union(
			[v.array(v.strictTuple([name, page, count])), failed],
			"a list of [backing, page, count] is expected here, or { errno, reason }",
		),
	}),
	v.strictObject({ ask: v.literal("alive"), memory: name, is: v.boolean() }),
	v.strictObject({ ask: v.literal("locked"), memory: name, is: integer(0, LAST_EXACT) }),
	v.strictObject({ ask: v.literal("capable"), of: v.string(), is: v.boolean() }),
	v.strictObject({
		ask: v.literal("limit"),
		owner: name,
		is: v.nullable(v.pipe(v.number(), v.finite(), v.minValue(0))),
	}),
	v.strictObject({ ask: v.literal("uid"), owner: name, is: integer(0, LAST_U32) }),
	v.strictObject({
		ask: v.literal("fd"),
		fd: integer(-LAST_INT - 1, LAST_INT),
		is: v.union(
			[v.strictObject({ file: name }), v.strictObject({ backing: name }), v.picklist(["eventfd", "other", "not open"])],
			'{ file }, { backing }, "eventfd", "other" or "not open" is expected here',
		),
	}),
	v.strictObject({ ask: v.literal("size"), backing: name, is: integer(0, LAST_EXACT) }),
	v.strictObject({ ask: v.literal("may write"), backing: name, is: v.literal(false) }),
	v.strictObject({
		ask: v.literal("install"),
		file: name,
		path: v.string(),
		is: numberOrFailure(integer(0, LAST_INT)),
		lost: v.exactOptional(v.literal(true)),
	}),
	v.strictObject({ ask: v.literal("closed"), nth: integer(0, LAST_INT), is: v.array(name) }),
	v.strictObject({ ask: v.literal("dma read"), ...ofBacking, ...readEntries }),
	v.strictObject({ ask: v.literal("dma write"), ...ofBacking, ...writeEntries }),
] satisfies v.GenericSchema<unknown, Question>[]);

const question = v.pipe(
	questions,
	v.rawCheck(({ dataset, addIssue }) => {
		const problem = dataset.typed ? whatDoesntFit(dataset.value) : undefined;
		if (problem !== undefined) addIssue({ message: problem });
	}),
);

const asked = v.exactOptional(v.array(question));
const answer = numberOrFailure(integer(-LAST_EXACT, LAST_EXACT));
/** A file or a mapping that there is from then on. */
const newName = numberOrFailure(name);

const named = { id: name, name: v.string() };
const transfer = { file: name, memory: name, at: hex, length, asked, answer };
const access = { ...transfer, position: hex };

const line = v.variant("kind", [
	v.strictObject({
		kind: v.literal("start"),
		version: v.number(),
		machine: v.unknown(),
		policy: v.string(),
		memory: v.exactOptional(integer(0, LAST_EXACT)),
	}),
	v.strictObject({ kind: v.literal("memory"), ...named }),
	v.strictObject({ kind: v.literal("backing"), ...named }),
	v.strictObject({ kind: v.literal("owner"), ...named }),
	v.strictObject({ kind: v.literal("open"), path: v.string(), asked, answer: newName }),
	v.strictObject({ kind: v.literal("store"), path: v.string(), text: v.string(), asked, answer }),
	v.strictObject({
		kind: v.literal("ioctl"),
		thread: integer(0, LAST_INT),
		file: name,
		memory: name,
		owner: name,
		number: v.pipe(
			hex,
			v.check((text) => Number(text) <= LAST_U32, "an ioctl's number has 32 bits"),
		),
		command: v.exactOptional(v.string()),
		argument: hex,
		in: v.exactOptional(bytes),
		out: v.exactOptional(bytes),
		asked,
		answer,
	}),
	v.strictObject({ kind: v.literal("read"), ...transfer }),
	v.strictObject({ kind: v.literal("write"), ...transfer }),
	v.strictObject({ kind: v.literal("pread"), ...access }),
	v.strictObject({ kind: v.literal("pwrite"), ...access }),
	v.strictObject({ kind: v.literal("mmap"), file: name, offset: hex, length: integer(0, LAST_EXACT), answer: newName }),
	v.strictObject({ kind: v.literal("release"), what: name }),
	v.strictObject({ kind: v.literal("aside"), asked: v.array(question) }),
] satisfies v.GenericSchema<unknown, RecordLine>[]);

/** What is wrong with a line: in words, and without the line's place. */
export class BadLine extends Error {}

/** @param value what JSON.parse() made of it @throws BadLine */
export function checkLine(value: unknown): RecordLine {
	const result = v.safeParse(line, value, { message: messageOf });
	if (result.success) return result.output;
	throw new BadLine(explain(result.issues, line));
}

/** The first line, of a recording that we can read. @throws BadLine */
export function checkStart(value: unknown): Start {
	const { kind, version } = (value ?? {}) as { kind?: unknown; version?: unknown };
	if (kind !== "start") throw new BadLine("this is not a recording: it doesn't begin as one");
	if (typeof version === "number" && version !== RECORD_VERSION)
		throw new BadLine(`this is of version ${version}, and this ioasis reads version ${RECORD_VERSION}`);
	return checkLine(value) as Start;
}

/** What a question has that can't be together; undefined for nothing. */
function whatDoesntFit(question: Question): string | undefined {
	switch (question.ask) {
		case "read":
		case "dma read":
			return question.bytes.length / 2 > question.length ? "there are more bytes than were asked for" : undefined;
		case "write":
		case "dma write":
			return (question.done ?? 0) > question.bytes.length / 2 ? "more is done than there are bytes" : undefined;
		case "pages": {
			if ("errno" in question.is) return undefined;
			const pages = question.is.reduce((sum, [, , count]) => sum + count, 0);
			return pages === question.count ? undefined : `there are ${pages} pages, and count is ${question.count}`;
		}
		default:
			return undefined;
	}
}
