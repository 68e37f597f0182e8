// What the engine asked while it answered a call, and what it was told, as bytes: of an entry of a recording in binary form.
//
// Questions are often about the same memory as the one before, and about what is near it: so is each told, within a block.

import { BadBytes, type ByteReader, type ByteWriter } from "../../trace/bytes.js";
import type { Extent, FdMeaning, Name, Question } from "../../trace/record.js";
import { LAST_EXACT, LAST_INT, LAST_U32, whatDoesntFit } from "./limits.js";
import type { ValueReader, ValueWriter } from "./value-bytes.js";

/** By their numbers in the file: what stands here never changes its place. */
const ASKS = [
	...["read", "write", "pages", "alive", "locked", "capable", "limit", "uid", "fd", "size", "install", "closed"],
	...["dma read", "dma write", "may write"],
] as readonly Question["ask"][];
const askNumbers = Object.fromEntries(ASKS.map((ask, number) => [ask, number])) as Record<Question["ask"], number>;

/** In a question's first byte, beside what is asked. */
const ASK = 0x0f;
/** The memory, or the backing, that the question before was about. */
const SAME_PLACE = 0x10;
const IS_TRUE = 0x20;
const IS_FAILED = 0x40;
/** Of pages: one stretch of them. Of bytes that are written: not all of them were. Of an install: it is lost. */
const IS_SPECIAL = 0x80;

const FD_MEANINGS = ["eventfd", "other", "not open"] as const;

/** What is known of the questions before, on both sides. */
class Last {
	/** The memory or the backing that the last one was about. */
	place: Name = 0;
	/** The first page, and the first byte, that were asked for last. */
	page = 0;
	address = 0;

	clear(): void {
		this.place = this.page = this.address = 0;
	}
}

export class QuestionWriter {
	readonly #values: ValueWriter;
	readonly #writer: ByteWriter;
	readonly #last = new Last();

	constructor(values: ValueWriter) {
		this.#values = values;
		this.#writer = values.bytes;
	}

	/** A block begins. */
	clear(): void {
		this.#last.clear();
	}

	write(asked: readonly Question[]): void {
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
				this.#values.text(question.of);
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
				this.#values.text(question.path);
				if (typeof question.is === "number") writer.number(question.is);
				else this.#values.failed(question.is);
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
		const isSame = place === this.#last.place;
		this.#writer.u8(askNumbers[question.ask] | flags | (isSame ? SAME_PLACE : 0));
		if (!isSame) this.#writer.number(place);
		this.#last.place = place;
	}

	/** By how far it is from the one before, where that is exact: 0 says that it isn't. */
	#address(address: number): void {
		const by = address - this.#last.address;
		const isExact = address <= LAST_EXACT && Math.abs(by) < LAST_EXACT;
		this.#writer.signed(isExact ? (by >= 0 ? by + 1 : by) : 0);
		if (!isExact) this.#writer.number(address);
		this.#last.address = isExact ? address : 0;
	}

	#pages(question: Extract<Question, { ask: "pages" }>): void {
		const writer = this.#writer;
		const { page, count, writable, is } = question;
		const isFailed = "errno" in is;
		const isOne = !isFailed && is.length === 1 && is[0][2] === count;
		this.#place(question, (writable ? IS_TRUE : 0) | (isFailed ? IS_FAILED : 0) | (isOne ? IS_SPECIAL : 0));
		writer.signed(page - this.#last.page);
		writer.number(count);
		this.#last.page = page;
		if (isFailed) {
			this.#values.failed(is);
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

export class QuestionReader {
	readonly #values: ValueReader;
	readonly #reader: ByteReader;
	readonly #last = new Last();

	/** @param values of the same block */
	constructor(values: ValueReader) {
		this.#values = values;
		this.#reader = values.bytes;
	}

	/** @throws BadBytes for what are no questions that limits.ts allows */
	read(): Question[] {
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
				return { ask, of: this.#values.text(), is: isTrue };
			case "limit":
				return { ask, owner: this.#values.name(), is: isTrue ? reader.number() : null };
			case "uid":
				return { ask, owner: this.#values.name(), is: reader.count(LAST_U32) };
			case "fd":
				return { ask, fd: this.#fd(), is: this.#meaning() };
			case "size":
				return { ask, backing: this.#place(first), is: reader.count() };
			case "install": {
				const [file, path] = [this.#values.name(), this.#values.text()];
				const is = (first & IS_FAILED) === 0 ? reader.count(LAST_INT) : this.#values.failed();
				return { ask, file, path, is, ...((first & IS_SPECIAL) !== 0 && { lost: true as const }) };
			}
			case "closed": {
				const nth = reader.count(LAST_INT);
				const count = reader.count(reader.left);
				return { ask, nth, is: Array.from({ length: count }, () => this.#values.name()) };
			}
		}
	}

	#place(first: number): Name {
		if ((first & SAME_PLACE) === 0) this.#last.place = this.#values.name();
		else if (this.#last.place === 0) throw new BadBytes("there is no question before it");
		return this.#last.place;
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
			this.#last.address = 0;
			return this.#reader.number();
		}
		const address = this.#last.address + (by > 0 ? by - 1 : by);
		if (address < 0 || address > LAST_EXACT) throw new BadBytes(`${address} is no address`);
		this.#last.address = address;
		return address;
	}

	#pages(first: number): Question {
		const reader = this.#reader;
		const memory = this.#place(first);
		const page = this.#last.page + reader.signed();
		if (page < 0 || page > LAST_EXACT) throw new BadBytes(`there is no page ${page}`);
		this.#last.page = page;
		const count = this.#some();
		const question = { ask: "pages", memory, page, count, writable: (first & IS_TRUE) !== 0 } as const;
		if ((first & IS_FAILED) !== 0) return { ...question, is: this.#values.failed() };
		const isOne = (first & IS_SPECIAL) !== 0;
		const stretches = isOne ? 1 : reader.count(reader.left);
		const is: Extent[] = [];
		for (let i = 0; i < stretches; i++) {
			const backing = this.#values.name();
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
		return kind === FD_MEANINGS.length ? { file: this.#values.name() } : { backing: this.#values.name() };
	}
}
