// What entries and questions are both made of, as bytes: names, texts, and why there is no other answer.

import { BadBytes, type ByteReader, type ByteWriter, TextsReceived, TextsSent } from "../../trace/bytes.js";
import type { Failed, Name } from "../../trace/record.js";
import { type ErrnoCode, errnoNumbers } from "../../uapi/errno.js";

const errnoCodes = new Map<number, ErrnoCode>(
	Object.entries(errnoNumbers).map(([code, number]) => [number, code as ErrnoCode]),
);

export class ValueWriter {
	readonly bytes: ByteWriter;
	readonly #texts = new TextsSent();

	constructor(bytes: ByteWriter) {
		this.bytes = bytes;
	}

	/** A block begins, in which each text is there once. */
	clear(): void {
		this.#texts.clear();
	}

	text(text: string): void {
		this.#texts.write(this.bytes, text);
	}

	failed({ errno, reason }: Failed): void {
		this.bytes.number(errnoNumbers[errno]);
		this.text(reason);
	}
}

/** Of one block. */
export class ValueReader {
	readonly bytes: ByteReader;
	readonly #texts = new TextsReceived();

	constructor(bytes: ByteReader) {
		this.bytes = bytes;
	}

	/** @throws BadBytes, as all of these do */
	name(): Name {
		const name = this.bytes.count();
		if (name === 0) throw new BadBytes("a name is a number from 1 on");
		return name;
	}

	text(): string {
		return this.#texts.read(this.bytes);
	}

	failed(): Failed {
		const number = this.bytes.number();
		const errno = errnoCodes.get(number);
		if (errno === undefined) throw new BadBytes(`there is no errno ${number}`);
		return { errno, reason: this.text() };
	}
}
