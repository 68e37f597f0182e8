// What the lines of a recording as JSON may be: the entries of trace/record.ts as a schema. A recording comes from anywhere, so nothing in it
// is believed that isn't here. Lines of version 2 are those of version 3 without times, threads and what devices did.

import * as v from "valibot";
import type { Entry, Question, Start } from "../../trace/record.js";
import { type ErrnoCode, errnoNumbers } from "../../uapi/errno.js";
import { explain, messageOf } from "../errors.js";
import { integer } from "../values.js";
import { RECORD_VERSION } from "./blocks.js";
import { fromHex } from "./hex-bytes.js";
import {
	BadEntry,
	LAST_ADDRESS,
	LAST_EXACT,
	LAST_INT,
	LAST_STRUCT,
	LAST_TIME,
	LAST_U32,
	whatDoesntFit,
} from "./limits.js";

/** The oldest lines that we read. */
const OLDEST = 2;

const name = integer(1, LAST_EXACT);
const count = integer(1, LAST_EXACT);
const page = integer(0, LAST_EXACT);
/** No call transfers more: MAX_RW_COUNT. */
const length = integer(0, LAST_INT);
/** Addresses near the end of 64 bits are rounded to 2^64, which has 17 digits. */
const digits = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,17}$/, `"0x" and hexadecimal digits are expected here`));
const hex = v.pipe(
	digits,
	v.transform(Number),
	v.check((address) => address <= LAST_ADDRESS, "an address has 64 bits, and this is more"),
);
const hex64 = v.pipe(
	digits,
	v.transform((text) => BigInt(text)),
	v.check((address) => address < 1n << 64n, "an address has 64 bits, and this is more"),
);
const bytes = v.pipe(
	v.string(),
	v.check(
		(text) => text.length % 2 === 0 && !/[^0-9a-f]/.test(text),
		"two hexadecimal digits a byte are expected here",
	),
	v.transform(fromHex),
);
const struct = v.pipe(
	bytes,
	v.check(({ length }) => length <= LAST_STRUCT, `a struct has ${LAST_STRUCT} bytes at most`),
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
		is: v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LAST_ADDRESS))),
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

const time = v.exactOptional(integer(0, LAST_TIME));
const asked = v.exactOptional(v.array(question));
const answer = numberOrFailure(integer(-LAST_EXACT, LAST_EXACT));
/** A file or a mapping that there is from then on. */
const newName = numberOrFailure(name);

const thread = integer(0, LAST_INT);
const timed = { time, took: v.exactOptional(integer(0, LAST_EXACT)) };
const called = { ...timed, thread: v.exactOptional(thread), asked };
const named = { id: name, name: v.string() };
const transfer = { ...called, file: name, memory: name, at: hex, length, answer };
const access = { ...transfer, position: hex };
const told = {
	time,
	device: v.exactOptional(v.string()),
	pasid: v.exactOptional(integer(0, LAST_U32)),
	iova: v.exactOptional(hex64),
	message: v.string(),
};

const line = v.variant("kind", [
	v.strictObject({
		kind: v.literal("start"),
		version: v.number(),
		machine: v.unknown(),
		policy: v.string(),
		memory: v.exactOptional(integer(0, LAST_EXACT)),
		ioasis: v.exactOptional(v.string()),
		program: v.exactOptional(v.array(v.string())),
		began: v.exactOptional(integer(0, LAST_TIME)),
	}),
	v.strictObject({ kind: v.literal("memory"), ...named }),
	v.strictObject({ kind: v.literal("backing"), ...named }),
	v.strictObject({ kind: v.literal("owner"), ...named }),
	v.strictObject({ kind: v.literal("open"), ...called, path: v.string(), answer: newName }),
	v.strictObject({ kind: v.literal("store"), ...called, path: v.string(), text: v.string(), answer }),
	v.strictObject({
		kind: v.literal("ioctl"),
		...timed,
		thread,
		file: name,
		memory: name,
		owner: name,
		number: v.pipe(
			hex,
			v.check((number) => number <= LAST_U32, "an ioctl's number has 32 bits"),
		),
		/** For people: it follows from the file and the number. */
		command: v.exactOptional(v.string()),
		argument: hex,
		in: v.exactOptional(struct),
		out: v.exactOptional(struct),
		asked,
		answer,
	}),
	v.strictObject({ kind: v.literal("read"), ...transfer }),
	v.strictObject({ kind: v.literal("write"), ...transfer }),
	v.strictObject({ kind: v.literal("pread"), ...access }),
	v.strictObject({ kind: v.literal("pwrite"), ...access }),
	v.strictObject({
		kind: v.literal("mmap"),
		...called,
		file: name,
		offset: hex,
		length: integer(0, LAST_EXACT),
		answer: newName,
	}),
	v.strictObject({ kind: v.literal("release"), time, what: name }),
	v.strictObject({ kind: v.literal("aside"), time, asked: v.array(question) }),
	v.strictObject({ kind: v.literal("parked"), time, thread, reason: v.string() }),
	v.strictObject({
		kind: v.literal("dma"),
		time,
		device: v.string(),
		pasid: integer(0, LAST_U32),
		iova: hex64,
		length,
		isWrite: v.boolean(),
		fault: v.exactOptional(v.string()),
	}),
	v.strictObject({ kind: v.literal("stale"), ...told }),
	v.strictObject({ kind: v.literal("interrupt"), ...told }),
	v.strictObject({ kind: v.literal("device"), ...told }),
	v.strictObject({ kind: v.literal("remark"), ...told }),
] satisfies v.GenericSchema<unknown, Entry>[]);

/** @param value what JSON.parse() made of a line @throws BadEntry */
export function checkLine(value: unknown): Entry {
	const result = v.safeParse(line, value, { message: messageOf });
	if (result.success) {
		if ("command" in result.output) delete result.output.command;
		return result.output;
	}
	throw new BadEntry(explain(result.issues, line));
}

/** The first entry, of a recording that we can read. @throws BadEntry */
export function checkStart(value: unknown): Start {
	const { kind, version } = (value ?? {}) as { kind?: unknown; version?: unknown };
	if (kind !== "start") throw new BadEntry("this is not a recording: it doesn't begin as one");
	if (typeof version === "number" && (version < OLDEST || version > RECORD_VERSION))
		throw new BadEntry(`this is of version ${version}, and this ioasis reads versions ${OLDEST} to ${RECORD_VERSION}`);
	return checkLine(value) as Start;
}
