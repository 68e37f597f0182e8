// An entry of a recording as bytes: the binary form, which takes some 30 bytes for a call. docs/record.md describes it for people.
//
// What is as it was in an entry before takes a bit, or a byte. Entries know of each other only within a block: whoever begins one calls
// clear() on both sides, so that a reader can begin there.

import { BadBytes, type ByteReader, ByteWriter, TextsReceived, TextsSent } from "../../trace/bytes.js";
import type {
	Call,
	DmaDone,
	Entry,
	Extent,
	Failed,
	FdMeaning,
	Ioctl,
	Name,
	Named,
	Question,
	Start,
	Told,
} from "../../trace/record.js";
import { type ErrnoCode, errnoNumbers } from "../../uapi/errno.js";
import { LAST_EXACT, LAST_INT, LAST_STRUCT, LAST_TIME, LAST_U32, whatDoesntFit } from "./limits.js";

/** While it is read. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** By their numbers in the file: what stands here never changes its place. */
const KINDS = [
	...["start", "memory", "backing", "owner", "open", "ioctl", "read", "write", "pread", "pwrite", "mmap", "store"],
	...["release", "aside", "parked", "dma", "stale", "interrupt", "device", "remark"],
] as readonly Entry["kind"][];
const ASKS = [
	...["read", "write", "pages", "alive", "locked", "capable", "limit", "uid", "fd", "size", "install", "closed"],
	...["dma read", "dma write", "may write"],
] as readonly Question["ask"][];

const kindNumbers = Object.fromEntries(KINDS.map((kind, number) => [kind, number])) as Record<Entry["kind"], number>;
const askNumbers = Object.fromEntries(ASKS.map((ask, number) => [ask, number])) as Record<Question["ask"], number>;
const errnoCodes = new Map<number, ErrnoCode>(
	Object.entries(errnoNumbers).map(([code, number]) => [number, code as ErrnoCode]),
);

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

/** In a question's first byte, beside what is asked. */
const ASK = 0x0f;
/** The memory, or the backing, that the question before was about. */
const SAME_PLACE = 0x10;
const IS_TRUE = 0x20;
const IS_FAILED = 0x40;
/** Of pages: one stretch of them. Of bytes that are written: not all of them were. Of an install: it is lost. */
const IS_SPECIAL = 0x80;

const FD_MEANINGS = ["eventfd", "other", "not open"] as const;

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
	/** The memory or the backing that the last question was about. */
	place: Name = 0;
	/** Where the next page would be, or the next byte. */
	page = 0;
	address = 0;
	readonly shapes = new Map<number, Shape>();
	readonly shapeList: Shape[] = [];

	clear(): void {
		this.time = this.thread = this.file = this.memory = this.owner = this.place = this.page = this.address = 0;
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
	readonly #before = new Before();
	readonly #texts = new TextsSent();

	constructor(writer: ByteWriter = new ByteWriter()) {
		this.#writer = writer;
	}

	/** A block begins. */
	clear(): void {
		this.#before.clear();
		this.#texts.clear();
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
				this.#questions(entry.asked);
				break;
			case "parked":
				this.#head(entry);
				writer.number(entry.thread);
				this.#texts.write(writer, entry.reason);
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
		if (asked !== undefined) this.#questions(asked);
		if (typeof answer !== "number") this.#failed(answer);
		else if (answer !== 0) this.#writer.signed(answer);
	}

	#failed({ errno, reason }: Failed): void {
		this.#writer.number(errnoNumbers[errno]);
		this.#texts.write(this.#writer, reason);
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
				this.#texts.write(writer, call.path);
				break;
			case "store":
				this.#texts.write(writer, call.path);
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
		this.#texts.write(writer, entry.device);
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
		this.#texts.write(writer, entry.message);
	}

	#optionalText(text: string | undefined): void {
		this.#writer.u8(text === undefined ? 0 : 1);
		if (text !== undefined) this.#texts.write(this.#writer, text);
	}

	#questions(asked: readonly Question[]): void {
		this.#writer.number(asked.length);
		for (const question of asked) this.#question(question);
	}

	#question(question: Question): void {
		const writer = this.#writer;
		switch (question.ask) {
			case "read":
			case "dma read":
				this.#place(question, 0);
				this.#address(question.at);
				writer.number(question.length);
				writer.block(question.bytes);
				break;
			case "write":
			case "dma write":
				this.#place(question, question.done === undefined ? 0 : IS_SPECIAL);
				this.#address(question.at);
				writer.block(question.bytes);
				if (question.done !== undefined) writer.number(question.done);
				break;
			case "pages":
				this.#pages(question);
				break;
			case "may write":
				this.#place(question, 0);
				break;
			case "alive":
				this.#place(question, question.is ? IS_TRUE : 0);
				break;
			case "locked":
				this.#place(question, 0);
				writer.number(question.is);
				break;
			case "capable":
				writer.u8(askNumbers.capable | (question.is ? IS_TRUE : 0));
				this.#texts.write(writer, question.of);
				break;
			case "limit":
				writer.u8(askNumbers.limit | (question.is === null ? 0 : IS_TRUE));
				writer.number(question.owner);
				if (question.is !== null) writer.number(question.is);
				break;
			case "uid":
				writer.u8(askNumbers.uid);
				writer.number(question.owner);
				writer.number(question.is);
				break;
			case "fd":
				writer.u8(askNumbers.fd);
				writer.signed(question.fd);
				this.#meaning(question.is);
				break;
			case "size":
				this.#place(question, 0);
				writer.number(question.is);
				break;
			case "install":
				writer.u8(
					askNumbers.install |
						(typeof question.is === "number" ? 0 : IS_FAILED) |
						(question.lost === undefined ? 0 : IS_SPECIAL),
				);
				writer.number(question.file);
				this.#texts.write(writer, question.path);
				if (typeof question.is === "number") writer.number(question.is);
				else this.#failed(question.is);
				break;
			case "closed":
				writer.u8(askNumbers.closed);
				writer.number(question.nth);
				writer.number(question.is.length);
				for (const name of question.is) writer.number(name);
				break;
		}
	}

	/** What is asked, and of which memory or backing. */
	#place(question: Extract<Question, { memory: Name } | { backing: Name }>, flags: number): void {
		const place = "memory" in question ? question.memory : question.backing;
		const isSame = place === this.#before.place;
		this.#writer.u8(askNumbers[question.ask] | flags | (isSame ? SAME_PLACE : 0));
		if (!isSame) this.#writer.number(place);
		this.#before.place = place;
	}

	/** By how far it is from the one before, where that is exact: 0 says that it isn't. */
	#address(address: number): void {
		const by = address - this.#before.address;
		const isExact = address <= LAST_EXACT && Math.abs(by) < LAST_EXACT;
		this.#writer.signed(isExact ? (by >= 0 ? by + 1 : by) : 0);
		if (!isExact) this.#writer.number(address);
		this.#before.address = isExact ? address : 0;
	}

	#pages(question: Extract<Question, { ask: "pages" }>): void {
		const writer = this.#writer;
		const { page, count, writable, is } = question;
		const isFailed = "errno" in is;
		const isOne = !isFailed && is.length === 1 && is[0][2] === count;
		this.#place(question, (writable ? IS_TRUE : 0) | (isFailed ? IS_FAILED : 0) | (isOne ? IS_SPECIAL : 0));
		writer.signed(page - this.#before.page);
		writer.number(count);
		this.#before.page = page;
		if (isFailed) {
			this.#failed(is);
			return;
		}
		if (!isOne) writer.number(is.length);
		for (const [backing, first, pages] of is) {
			writer.number(backing);
			writer.signed(first - page);
			if (!isOne) writer.number(pages);
		}
	}

	#meaning(is: FdMeaning): void {
		const writer = this.#writer;
		if (typeof is === "string") writer.u8(FD_MEANINGS.indexOf(is));
		else {
			writer.u8(FD_MEANINGS.length + ("file" in is ? 0 : 1));
			writer.number("file" in is ? is.file : is.backing);
		}
	}
}

/** Everything of what it reads is a copy: nothing of the reader's bytes is referred to. */
export class EntryReader {
	readonly #before = new Before();
	readonly #texts = new TextsReceived();
	#reader!: ByteReader;

	/** A block begins. */
	clear(): void {
		this.#before.clear();
		this.#texts.clear();
	}

	/** @throws BadBytes for what is no entry that limits.ts allows */
	read(reader: ByteReader): Entry {
		this.#reader = reader;
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
				return { kind, id: this.#name(), name: reader.text() } satisfies Named;
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
				return { kind, ...this.#time(first), what: this.#name() };
			case "aside":
				return { kind, ...this.#time(first), asked: this.#questions() };
			case "parked":
				return { kind, ...this.#time(first), thread: reader.count(LAST_INT), reason: this.#text() };
			case "dma":
				return this.#dma(first);
			default:
				return this.#told(kind, first);
		}
	}

	#name(): Name {
		const name = this.#reader.count();
		if (name === 0) throw new BadBytes("a name is a number from 1 on");
		return name;
	}

	#text(): string {
		return this.#texts.read(this.#reader);
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
		return (first & HAS_ASKED) === 0 ? {} : { asked: this.#questions() };
	}

	#answer(first: number, second: number): number | Failed {
		if ((first & HAS_FAILED) !== 0) return this.#failed();
		return (second & ANSWER_IS_0) === 0 ? this.#reader.signed() : 0;
	}

	/** Of a call that makes something. */
	#newName(first: number, second: number): Name | Failed {
		const answer = this.#answer(first, second);
		if (typeof answer === "number" && answer < 1) throw new BadBytes("a name is a number from 1 on");
		return answer;
	}

	#failed(): Failed {
		const number = this.#reader.number();
		const errno = errnoCodes.get(number);
		if (errno === undefined) throw new BadBytes(`there is no errno ${number}`);
		return { errno, reason: this.#text() };
	}

	#ioctl(first: number): Ioctl {
		const reader = this.#reader;
		const before = this.#before;
		const { second, head } = this.#callHead(first);
		if ((second & SAME_CALLER) === 0) {
			before.thread = reader.count(LAST_INT);
			before.file = this.#name();
			before.memory = this.#name();
			before.owner = this.#name();
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
		if ((first & HAS_ASKED) !== 0) call.asked = this.#questions();
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
			const path = this.#text();
			return { kind, ...head, path, ...this.#asked(first), answer: this.#newName(first, second) };
		}
		if (kind === "store") {
			const what = { path: this.#text(), text: reader.text() };
			return { kind, ...head, ...what, ...this.#asked(first), answer: this.#answer(first, second) };
		}
		const file = this.#name();
		if (kind === "mmap") {
			const place = { offset: reader.number(), length: reader.count() };
			return { kind, ...head, file, ...place, ...this.#asked(first), answer: this.#newName(first, second) };
		}
		const memory = this.#name();
		const place = { file, memory, at: reader.number(), length: reader.count(LAST_INT) };
		if (kind === "read" || kind === "write")
			return { kind, ...head, ...place, ...this.#asked(first), answer: this.#answer(first, second) };
		const position = reader.number();
		return { kind, ...head, ...place, position, ...this.#asked(first), answer: this.#answer(first, second) };
	}

	#dma(first: number): DmaDone {
		const reader = this.#reader;
		const time = this.#time(first);
		const device = this.#text();
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
			message: this.#text(),
		};
	}

	#optionalText(): string | undefined {
		return this.#reader.u8() === 0 ? undefined : this.#text();
	}

	#questions(): Question[] {
		// Each takes a byte at least, so what is said to come is there.
		const count = this.#reader.count(this.#reader.left);
		const asked: Question[] = [];
		for (let i = 0; i < count; i++) {
			const question = this.#question();
			const problem = whatDoesntFit(question);
			if (problem !== undefined) throw new BadBytes(problem);
			asked.push(question);
		}
		return asked;
	}

	#question(): Question {
		const reader = this.#reader;
		const first = reader.u8();
		const ask = ASKS[first & ASK];
		const isTrue = (first & IS_TRUE) !== 0;
		switch (ask) {
			case undefined:
				throw new BadBytes(`there is no question ${first & ASK}`);
			case "read":
				return { ask, memory: this.#place(first), ...this.#wasRead() };
			case "dma read":
				return { ask, backing: this.#place(first), ...this.#wasRead() };
			case "write":
				return { ask, memory: this.#place(first), ...this.#wasWritten(first) };
			case "dma write":
				return { ask, backing: this.#place(first), ...this.#wasWritten(first) };
			case "pages":
				return this.#pages(first);
			case "may write":
				return { ask, backing: this.#place(first), is: false };
			case "alive":
				return { ask, memory: this.#place(first), is: isTrue };
			case "locked":
				return { ask, memory: this.#place(first), is: reader.count() };
			case "capable":
				return { ask, of: this.#text(), is: isTrue };
			case "limit":
				return { ask, owner: this.#name(), is: isTrue ? reader.number() : null };
			case "uid":
				return { ask, owner: this.#name(), is: reader.count(LAST_U32) };
			case "fd":
				return { ask, fd: this.#fd(), is: this.#meaning() };
			case "size":
				return { ask, backing: this.#place(first), is: reader.count() };
			case "install": {
				const [file, path] = [this.#name(), this.#text()];
				const is = (first & IS_FAILED) === 0 ? reader.count(LAST_INT) : this.#failed();
				return { ask, file, path, is, ...((first & IS_SPECIAL) !== 0 && { lost: true as const }) };
			}
			case "closed": {
				const nth = reader.count(LAST_INT);
				const count = reader.count(reader.left);
				return { ask, nth, is: Array.from({ length: count }, () => this.#name()) };
			}
		}
	}

	#place(first: number): Name {
		if ((first & SAME_PLACE) === 0) this.#before.place = this.#name();
		else if (this.#before.place === 0) throw new BadBytes("there is no question before it");
		return this.#before.place;
	}

	#wasRead(): { at: number; length: number; bytes: Uint8Array } {
		return { at: this.#address(), length: this.#reader.count(LAST_INT), bytes: this.#reader.block().slice() };
	}

	#wasWritten(first: number): { at: number; bytes: Uint8Array; done?: number } {
		const written = { at: this.#address(), bytes: this.#reader.block().slice() };
		return (first & IS_SPECIAL) === 0 ? written : { ...written, done: this.#reader.count(LAST_INT) };
	}

	#address(): number {
		const by = this.#reader.signed();
		if (by === 0) {
			this.#before.address = 0;
			return this.#reader.number();
		}
		const address = this.#before.address + (by > 0 ? by - 1 : by);
		if (address < 0 || address > LAST_EXACT) throw new BadBytes(`${address} is no address`);
		this.#before.address = address;
		return address;
	}

	#pages(first: number): Question {
		const reader = this.#reader;
		const memory = this.#place(first);
		const page = this.#before.page + reader.signed();
		if (page < 0 || page > LAST_EXACT) throw new BadBytes(`there is no page ${page}`);
		this.#before.page = page;
		const count = this.#some();
		const question = { ask: "pages", memory, page, count, writable: (first & IS_TRUE) !== 0 } as const;
		if ((first & IS_FAILED) !== 0) return { ...question, is: this.#failed() };
		const isOne = (first & IS_SPECIAL) !== 0;
		const stretches = isOne ? 1 : reader.count(reader.left);
		const is: Extent[] = [];
		for (let i = 0; i < stretches; i++) {
			const backing = this.#name();
			const at = page + reader.signed();
			if (at < 0 || at > LAST_EXACT) throw new BadBytes(`there is no page ${at}`);
			is.push([backing, at, isOne ? count : this.#some()]);
		}
		return { ...question, is };
	}

	/** A count that isn't 0. */
	#some(): number {
		const count = this.#reader.count();
		if (count === 0) throw new BadBytes("a stretch has no pages");
		return count;
	}

	#fd(): number {
		const fd = this.#reader.signed();
		if (fd < -LAST_INT - 1 || fd > LAST_INT) throw new BadBytes(`${fd} is no fd`);
		return fd;
	}

	#meaning(): FdMeaning {
		const kind = this.#reader.u8();
		if (kind < FD_MEANINGS.length) return FD_MEANINGS[kind];
		if (kind > FD_MEANINGS.length + 1) throw new BadBytes(`an fd is none of ${kind}`);
		return kind === FD_MEANINGS.length ? { file: this.#name() } : { backing: this.#name() };
	}
}
