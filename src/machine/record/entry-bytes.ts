// An entry of a recording as bytes: the binary form, which takes 10 to 30 bytes for a call. docs/record.md describes it for people.
//
// What is as it was in an entry before takes a bit, or a byte. Entries know of each other only within a block: who writes is told by clear()
// that another begins, and each has a reader of its own. What was asked while a call was answered is in question-bytes.ts.

import { BadBytes, type ByteReader, type ByteWriter } from "../../trace/bytes.js";
import type { Call, DmaDone, Entry, Failed, Ioctl, Name, Named, Question, Start, Told } from "../../trace/record.js";
import { LAST_INT, LAST_STRUCT, LAST_TIME, LAST_U32 } from "./limits.js";
import { QuestionReader, QuestionWriter } from "./question-bytes.js";
import { ValueReader, ValueWriter } from "./value-bytes.js";

/** While it is read. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** By their numbers in the file: what stands here never changes its place. */
const KINDS = [
	...["start", "memory", "backing", "owner", "open", "ioctl", "read", "write", "pread", "pwrite", "mmap", "store"],
	...["release", "aside", "parked", "dma", "stale", "interrupt", "device", "remark"],
] as readonly Entry["kind"][];

const kindNumbers = Object.fromEntries(KINDS.map((kind, number) => [kind, number])) as Record<Entry["kind"], number>;

/** In an entry's first byte, beside its kind. */
const KIND = 0x1f;
const HAS_TIME = 0x20;
/** Of a call. */
const HAS_ASKED = 0x40;
const HAS_FAILED = 0x80;
/** Of a DMA. */
const IS_WRITE = 0x40;

/** In a call's second byte. */
const HAS_TOOK = 0x01;
const HAS_THREAD = 0x02;
/** The thread that made the call before, with the same file, and where the call has them the same memory and owner. */
const SAME_CALLER = 0x04;
const HAS_IN = 0x08;
const HAS_OUT = 0x10;
const ANSWER_IS_0 = 0x20;
const SAME_ARGUMENT = 0x40;
/** The struct after is no longer and no shorter than the one before. */
const OUT_IS_DIFFERENCE = 0x80;

/** What stays the same from one ioctl to the next of its kind. */
interface Shape {
	readonly number: number;
	readonly length: number;
	readonly index: number;
	argument: number;
	before: Uint8Array;
}

/** What is known of the entries before, on both sides. */
class Before {
	time = 0;
	thread = 0;
	file: Name = 0;
	memory: Name = 0;
	owner: Name = 0;
	readonly shapes = new Map<number, Shape>();
	readonly shapeList: Shape[] = [];

	clear(): void {
		this.time = this.thread = this.file = this.memory = this.owner = 0;
		this.shapes.clear();
		this.shapeList.length = 0;
	}

	/** @param length of the struct before */
	shape(number: number, length: number): Shape | undefined {
		return this.shapes.get(number * (LAST_STRUCT + 1) + length);
	}

	addShape(number: number, length: number): Shape {
		const shape = { number, length, index: this.shapeList.length + 1, argument: 0, before: new Uint8Array(length) };
		this.shapes.set(number * (LAST_STRUCT + 1) + length, shape);
		this.shapeList.push(shape);
		return shape;
	}
}

/** Whether an entry is a call, by its first byte. */
export function isCallByte(first: number): boolean {
	const kind = first & KIND;
	return kind >= kindNumbers.open && kind <= kindNumbers.store;
}

export class EntryWriter {
	readonly #writer: ByteWriter;
	readonly #values: ValueWriter;
	readonly #questions: QuestionWriter;
	readonly #before = new Before();

	constructor(writer: ByteWriter) {
		this.#writer = writer;
		this.#values = new ValueWriter(writer);
		this.#questions = new QuestionWriter(this.#values);
	}

	/** A block begins. */
	clear(): void {
		this.#before.clear();
		this.#values.clear();
		this.#questions.clear();
	}

	/** @param entry of which nothing is kept */
	write(entry: Entry): void {
		const writer = this.#writer;
		switch (entry.kind) {
			case "start":
				writer.u8(kindNumbers.start);
				writer.text(JSON.stringify({ ...entry, kind: undefined }));
				break;
			case "memory":
			case "backing":
			case "owner":
				writer.u8(kindNumbers[entry.kind]);
				writer.number(entry.id);
				writer.text(entry.name);
				break;
			case "ioctl":
				this.#ioctl(entry);
				break;
			case "open":
			case "read":
			case "write":
			case "pread":
			case "pwrite":
			case "mmap":
			case "store":
				this.#call(entry);
				break;
			case "release":
				this.#head(entry);
				writer.number(entry.what);
				break;
			case "aside":
				this.#head(entry);
				this.#questions.write(entry.asked);
				break;
			case "parked":
				this.#head(entry);
				writer.number(entry.thread);
				this.#values.text(entry.reason);
				break;
			case "dma":
				this.#dma(entry);
				break;
			default:
				this.#told(entry);
		}
	}

	#head(entry: { readonly kind: Entry["kind"]; readonly time?: number }, flags = 0): void {
		this.#writer.u8(kindNumbers[entry.kind] | flags | (entry.time === undefined ? 0 : HAS_TIME));
		this.#time(entry.time);
	}

	#time(time: number | undefined): void {
		if (time === undefined) return;
		this.#writer.signed(time - this.#before.time);
		this.#before.time = time;
	}

	/** The two bytes that each call begins with, and what they say is there. */
	#callHead(call: Call, flags: number): void {
		const writer = this.#writer;
		const { kind, time, took, thread, asked, answer } = call;
		let first = kindNumbers[kind];
		if (time !== undefined) first |= HAS_TIME;
		if (asked !== undefined) first |= HAS_ASKED;
		if (typeof answer !== "number") first |= HAS_FAILED;
		let second = flags;
		if (took !== undefined) second |= HAS_TOOK;
		if (thread !== undefined) second |= HAS_THREAD;
		if (answer === 0) second |= ANSWER_IS_0;
		writer.u8(first);
		writer.u8(second);
		this.#time(time);
		if (took !== undefined) writer.number(took);
	}

	#callEnd({ asked, answer }: Call): void {
		if (asked !== undefined) this.#questions.write(asked);
		if (typeof answer !== "number") this.#values.failed(answer);
		else if (answer !== 0) this.#writer.signed(answer);
	}

	#ioctl(call: Ioctl): void {
		const writer = this.#writer;
		const before = this.#before;
		const { thread, file, memory, owner, number, argument, in: struct, out } = call;
		const length = struct?.length ?? 0;
		const known = before.shape(number, length);
		const shape = known ?? before.addShape(number, length);
		const isSame =
			thread === before.thread && file === before.file && memory === before.memory && owner === before.owner;
		let flags = isSame ? SAME_CALLER : 0;
		if (struct !== undefined) flags |= HAS_IN;
		if (out !== undefined) flags |= HAS_OUT;
		if (out?.length === length) flags |= OUT_IS_DIFFERENCE;
		if (argument === shape.argument) flags |= SAME_ARGUMENT;
		this.#callHead(call, flags);
		if (!isSame) {
			writer.number(thread);
			writer.number(file);
			writer.number(memory);
			writer.number(owner);
			before.thread = thread;
			before.file = file;
			before.memory = memory;
			before.owner = owner;
		}
		writer.number(known?.index ?? 0);
		if (known === undefined) {
			writer.number(number);
			if (struct !== undefined) writer.number(length);
		}
		if (argument !== shape.argument) writer.number(argument);
		shape.argument = argument;
		if (struct !== undefined) {
			writer.difference(struct, shape.before);
			shape.before.set(struct);
		}
		if (out?.length === length) writer.difference(out, shape.before);
		else if (out !== undefined) writer.block(out);
		this.#callEnd(call);
	}

	#call(call: Exclude<Call, Ioctl>): void {
		const writer = this.#writer;
		this.#callHead(call, 0);
		if (call.thread !== undefined) writer.number(call.thread);
		switch (call.kind) {
			case "open":
				this.#values.text(call.path);
				break;
			case "store":
				this.#values.text(call.path);
				writer.text(call.text);
				break;
			case "mmap":
				writer.number(call.file);
				writer.number(call.offset);
				writer.number(call.length);
				break;
			default:
				writer.number(call.file);
				writer.number(call.memory);
				writer.number(call.at);
				writer.number(call.length);
				if ("position" in call) writer.number(call.position);
		}
		this.#callEnd(call);
	}

	#dma(entry: DmaDone): void {
		const writer = this.#writer;
		this.#head(entry, entry.isWrite ? IS_WRITE : 0);
		this.#values.text(entry.device);
		writer.number(entry.pasid);
		writer.u64(entry.iova);
		writer.number(entry.length);
		this.#optionalText(entry.fault);
	}

	#told(entry: Told): void {
		const writer = this.#writer;
		this.#head(entry);
		this.#optionalText(entry.device);
		writer.number(entry.pasid === undefined ? 0 : entry.pasid + 1);
		writer.u8(entry.iova === undefined ? 0 : 1);
		if (entry.iova !== undefined) writer.u64(entry.iova);
		this.#values.text(entry.message);
	}

	#optionalText(text: string | undefined): void {
		this.#writer.u8(text === undefined ? 0 : 1);
		if (text !== undefined) this.#values.text(text);
	}
}

/** Everything of what it reads is a copy: nothing of the reader's bytes is referred to. */
export class EntryReader {
	readonly #values: ValueReader;
	readonly #questions: QuestionReader;
	readonly #before = new Before();
	readonly #reader: ByteReader;

	/** @param reader of a block's entries: it begins with the first of them */
	constructor(reader: ByteReader) {
		this.#reader = reader;
		this.#values = new ValueReader(reader);
		this.#questions = new QuestionReader(this.#values);
	}

	/** @throws BadBytes for what is no entry that limits.ts allows */
	read(): Entry {
		const reader = this.#reader;
		const first = reader.u8();
		const kind = KINDS[first & KIND];
		switch (kind) {
			case undefined:
				throw new BadBytes(`there is no kind of entry ${first & KIND}`);
			case "start":
				return this.#start();
			case "memory":
			case "backing":
			case "owner":
				return { kind, id: this.#values.name(), name: reader.text() } satisfies Named;
			case "ioctl":
				return this.#ioctl(first);
			case "open":
			case "read":
			case "write":
			case "pread":
			case "pwrite":
			case "mmap":
			case "store":
				return this.#call(kind, first);
			case "release":
				return { kind, ...this.#time(first), what: this.#values.name() };
			case "aside":
				return { kind, ...this.#time(first), asked: this.#questions.read() };
			case "parked":
				return { kind, ...this.#time(first), thread: reader.count(LAST_INT), reason: this.#values.text() };
			case "dma":
				return this.#dma(first);
			default:
				return this.#told(kind, first);
		}
	}

	#start(): Start {
		const text = this.#reader.text();
		try {
			const value = JSON.parse(text);
			if (typeof value === "object" && value !== null) return { ...value, kind: "start" };
		} catch {
			// What it is in its place is of no use.
		}
		throw new BadBytes("what it begins with is not JSON");
	}

	#time(first: number): { time?: number } {
		if ((first & HAS_TIME) === 0) return {};
		const time = this.#before.time + this.#reader.signed();
		if (time < 0 || time > LAST_TIME) throw new BadBytes(`${time} is no time`);
		this.#before.time = time;
		return { time };
	}

	#callHead(first: number): { second: number; head: { time?: number; took?: number } } {
		const second = this.#reader.u8();
		const head: { time?: number; took?: number } = this.#time(first);
		if ((second & HAS_TOOK) !== 0) head.took = this.#reader.count();
		return { second, head };
	}

	#asked(first: number): { asked?: Question[] } {
		return (first & HAS_ASKED) === 0 ? {} : { asked: this.#questions.read() };
	}

	#answer(first: number, second: number): number | Failed {
		if ((first & HAS_FAILED) !== 0) return this.#values.failed();
		return (second & ANSWER_IS_0) === 0 ? this.#reader.signed() : 0;
	}

	/** Of a call that makes something. */
	#newName(first: number, second: number): Name | Failed {
		const answer = this.#answer(first, second);
		if (typeof answer === "number" && answer < 1) throw new BadBytes("a name is a number from 1 on");
		return answer;
	}

	#ioctl(first: number): Ioctl {
		const reader = this.#reader;
		const before = this.#before;
		const { second, head } = this.#callHead(first);
		if ((second & SAME_CALLER) === 0) {
			before.thread = reader.count(LAST_INT);
			before.file = this.#values.name();
			before.memory = this.#values.name();
			before.owner = this.#values.name();
		} else if (before.file === 0) throw new BadBytes("there is no caller before it");
		const { thread, file, memory, owner } = before;
		const shape = this.#shape((second & HAS_IN) !== 0);
		if ((second & SAME_ARGUMENT) === 0) shape.argument = reader.number();
		const { number, argument } = shape;
		const call: Mutable<Ioctl> = { kind: "ioctl", thread, file, memory, owner, number, argument, answer: 0 };
		if (head.time !== undefined) call.time = head.time;
		if (head.took !== undefined) call.took = head.took;
		if ((second & HAS_IN) !== 0) {
			shape.before = reader.difference(shape.before);
			call.in = shape.before;
		}
		if ((second & HAS_OUT) !== 0)
			call.out = (second & OUT_IS_DIFFERENCE) === 0 ? this.#struct() : reader.difference(shape.before);
		if ((first & HAS_ASKED) !== 0) call.asked = this.#questions.read();
		call.answer = this.#answer(first, second);
		return call;
	}

	#struct(): Uint8Array {
		return this.#reader.raw(this.#reader.count(LAST_STRUCT)).slice();
	}

	#shape(hasStruct: boolean): Shape {
		const reader = this.#reader;
		const index = reader.number();
		if (index > 0) {
			const shape = this.#before.shapeList[index - 1];
			if (shape === undefined) throw new BadBytes(`there is no ioctl ${index} before it`);
			if (!hasStruct && shape.length > 0) throw new BadBytes("an ioctl with a struct comes without it");
			return shape;
		}
		const number = reader.count(LAST_U32);
		const length = hasStruct ? reader.count(LAST_STRUCT) : 0;
		return this.#before.addShape(number, length);
	}

	#call(kind: Exclude<Call, Ioctl>["kind"], first: number): Exclude<Call, Ioctl> {
		const reader = this.#reader;
		const { second, head: times } = this.#callHead(first);
		const head = (second & HAS_THREAD) === 0 ? times : { ...times, thread: reader.count(LAST_INT) };
		if (kind === "open") {
			const path = this.#values.text();
			return { kind, ...head, path, ...this.#asked(first), answer: this.#newName(first, second) };
		}
		if (kind === "store") {
			const what = { path: this.#values.text(), text: reader.text() };
			return { kind, ...head, ...what, ...this.#asked(first), answer: this.#answer(first, second) };
		}
		const file = this.#values.name();
		if (kind === "mmap") {
			const place = { offset: reader.number(), length: reader.count() };
			return { kind, ...head, file, ...place, ...this.#asked(first), answer: this.#newName(first, second) };
		}
		const memory = this.#values.name();
		const place = { file, memory, at: reader.number(), length: reader.count(LAST_INT) };
		if (kind === "read" || kind === "write")
			return { kind, ...head, ...place, ...this.#asked(first), answer: this.#answer(first, second) };
		const position = reader.number();
		return { kind, ...head, ...place, position, ...this.#asked(first), answer: this.#answer(first, second) };
	}

	#dma(first: number): DmaDone {
		const reader = this.#reader;
		const time = this.#time(first);
		const device = this.#values.text();
		const pasid = reader.count(LAST_U32);
		const iova = reader.u64();
		const length = reader.count(LAST_INT);
		const fault = this.#optionalText();
		const isWrite = (first & IS_WRITE) !== 0;
		return { kind: "dma", ...time, device, pasid, iova, length, isWrite, ...(fault !== undefined && { fault }) };
	}

	#told(kind: Told["kind"], first: number): Told {
		const reader = this.#reader;
		const time = this.#time(first);
		const device = this.#optionalText();
		const pasid = reader.count(LAST_U32 + 1);
		const iova = reader.u8() === 0 ? undefined : reader.u64();
		return {
			kind,
			...time,
			...(device !== undefined && { device }),
			...(pasid > 0 && { pasid: pasid - 1 }),
			...(iova !== undefined && { iova }),
			message: this.#values.text(),
		};
	}

	#optionalText(): string | undefined {
		return this.#reader.u8() === 0 ? undefined : this.#values.text();
	}
}
