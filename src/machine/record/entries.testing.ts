// Random entries of recordings, for tests. They are what the types allow, not what any run does.

import fc from "fast-check";
import type { Entry, Question, Start } from "../../trace/record.js";
import { errnoNumbers } from "../../uapi/errno.js";
import { RECORD_VERSION } from "./blocks.js";

const name = fc.oneof(
	fc.integer({ min: 1, max: 9 }),
	fc.maxSafeNat().map((value) => Math.max(1, value)),
);
const count = fc.integer({ min: 1, max: 1000 });
const int = fc.oneof(fc.nat(9), fc.nat());
const page = fc.oneof(fc.nat(1000), fc.maxSafeNat());
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
/** Exact ones, one after the other, and those that a double rounds. */
const address = fc.oneof(fc.nat(0x4000), fc.maxSafeNat(), u64.map(Number), fc.constant(2 ** 64));
const bytes = fc.uint8Array({ maxLength: 40 });
const text = fc.oneof(fc.constantFrom("/dev/iommu", "0000:00:02.0"), fc.string({ unit: "binary", maxLength: 40 }));
const failed = fc.record({
	errno: fc.constantFrom(...(Object.keys(errnoNumbers) as (keyof typeof errnoNumbers)[])),
	reason: text,
});
const answer = fc.oneof(
	fc.constant(0),
	fc.maxSafeInteger().map((value) => value || 0),
	failed,
);
const newName = fc.oneof(name, failed);

const place = { memory: name, at: address };
const ofBacking = { backing: name, at: address };

const stretches = fc.array(fc.tuple(name, page, count), { minLength: 1, maxLength: 3 });
const pages: fc.Arbitrary<Question> = fc
	.tuple(fc.record({ memory: name, page, writable: fc.boolean() }), count, fc.oneof(failed, stretches))
	.map(([question, one, is]) => {
		const all = "errno" in is ? one : is.reduce((sum, [, , pages]) => sum + pages, 0);
		return { ask: "pages", ...question, count: all, is };
	});

const question: fc.Arbitrary<Question> = fc.oneof(
	fc
		.record({ ask: fc.constant("read" as const), ...place, bytes })
		.chain((one) => fc.nat(9).map((more) => ({ ...one, length: one.bytes.length + more }))),
	fc.record({ ask: fc.constant("write" as const), ...place, bytes }),
	fc.record({ ask: fc.constant("write" as const), ...place, bytes, done: fc.constant(0) }),
	pages,
	fc.record({ ask: fc.constant("alive" as const), memory: name, is: fc.boolean() }),
	fc.record({ ask: fc.constant("locked" as const), memory: name, is: fc.maxSafeNat() }),
	fc.record({ ask: fc.constant("capable" as const), of: text, is: fc.boolean() }),
	fc.record({ ask: fc.constant("limit" as const), owner: name, is: fc.option(address) }),
	fc.record({ ask: fc.constant("uid" as const), owner: name, is: fc.nat(2 ** 32 - 1) }),
	fc.record({
		ask: fc.constant("fd" as const),
		fd: fc.integer(),
		is: fc.oneof(
			fc.record({ file: name }),
			fc.record({ backing: name }),
			fc.constantFrom("eventfd" as const, "other" as const, "not open" as const),
		),
	}),
	fc.record({ ask: fc.constant("may write" as const), backing: name, is: fc.constant(false as const) }),
	fc.record({ ask: fc.constant("size" as const), backing: name, is: fc.maxSafeNat() }),
	fc.record(
		{
			ask: fc.constant("install" as const),
			file: name,
			path: text,
			is: fc.oneof(int, failed),
			lost: fc.constant(true as const),
		},
		{ requiredKeys: ["ask", "file", "path", "is"] },
	),
	fc.record({ ask: fc.constant("closed" as const), nth: int, is: fc.array(name, { maxLength: 3 }) }),
	fc.record({ ask: fc.constant("dma read" as const), ...ofBacking, length: fc.constant(40), bytes }),
	fc.record({ ask: fc.constant("dma write" as const), ...ofBacking, bytes }),
);
const questions = fc.array(question, { minLength: 1, maxLength: 4 });

const time = fc.oneof(fc.nat(10_000), fc.maxSafeNat());
const timed = { time, took: int };
const called = { ...timed, thread: int, asked: questions };
type Optional = "time" | "took" | "thread" | "asked" | "in" | "out";

/** With and without what an entry needn't have. */
function entry<K extends Entry["kind"], T extends object>(kind: K, model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) {
	const optional: readonly string[] = [
		"time",
		"took",
		"asked",
		"in",
		"out",
		"fault",
		"device",
		"pasid",
		"iova",
	] satisfies (Optional | "fault" | "device" | "pasid" | "iova")[];
	const isDma = kind === "dma";
	const isIoctl = kind === "ioctl" || kind === "parked";
	const required = Object.keys(model).filter((key) => {
		if (isDma && ["device", "pasid", "iova"].includes(key)) return true;
		if (key === "thread") return isIoctl;
		return !optional.includes(key) || (kind === "aside" && key === "asked");
	});
	return fc
		.record(model as Record<string, fc.Arbitrary<unknown>>, { requiredKeys: required })
		.map((fields) => ({ kind, ...fields }) as unknown as Entry);
}

/** Of any ioctl; often the same one once more, with a struct that is a little different. */
const ioctl = entry("ioctl", {
	...timed,
	thread: int,
	file: name,
	memory: name,
	owner: name,
	number: fc.oneof(fc.constantFrom(0x3b81, 0x3b85), fc.nat(2 ** 32 - 1)),
	argument: fc.oneof(fc.constant(0x7ffc_0010), address),
	in: fc.oneof(fc.uint8Array({ minLength: 12, maxLength: 12, max: 2 }), bytes),
	out: fc.oneof(fc.uint8Array({ minLength: 12, maxLength: 12, max: 2 }), bytes),
	asked: questions,
	answer,
});

const transfer = { ...called, file: name, memory: name, at: address, length: int, answer };
const named = { id: name, name: text };
const told = { time, device: text, pasid: fc.nat(2 ** 20), iova: u64, message: text };

export const anyEntry: fc.Arbitrary<Entry> = fc.oneof(
	{ arbitrary: ioctl, weight: 5 },
	entry("memory", named),
	entry("backing", named),
	entry("owner", named),
	entry("open", { ...called, path: text, answer: newName }),
	entry("store", { ...called, path: text, text, answer }),
	entry("read", transfer),
	entry("write", transfer),
	entry("pread", { ...transfer, position: address }),
	entry("pwrite", { ...transfer, position: address }),
	entry("mmap", { ...called, file: name, offset: address, length: fc.maxSafeNat(), answer: newName }),
	entry("release", { time, what: name }),
	entry("aside", { time, asked: questions }),
	entry("parked", { time, thread: int, reason: text }),
	entry("dma", {
		time,
		device: text,
		pasid: fc.nat(2 ** 20),
		iova: u64,
		length: int,
		isWrite: fc.boolean(),
		fault: text,
	}),
	entry("stale", told),
	entry("interrupt", told),
	entry("device", told),
	entry("remark", told),
);

export const aStart: Start = {
	kind: "start",
	version: RECORD_VERSION,
	machine: { name: "x" },
	policy: "mainline",
	program: ["./vmm", "-x"],
};
