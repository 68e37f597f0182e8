// Numbers, texts and structs as bytes: what recordings, and events on their way to another thread, are made of. Numbers take as many
// bytes as they need, seven bits in each (LEB128, as in DWARF 7.6); a struct is told by what differs from one like it.

/** Bytes that can't be what they are read as. The message says why, without where. */
export class BadBytes extends Error {}

/** Up to here numbers are exact; addresses beyond it are multiples of 2048, and the last is 2^64. */
const LAST_EXACT = Number.MAX_SAFE_INTEGER;
const MOST_DIGITS = 10;
/** Equal bytes that are sent all the same, because to leave them out takes as many. */
const SHORT_GAP = 2;

const encoder = new TextEncoder();
/** A mark of byte order is a character like any other. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Grows as needed. What was written is the first `length` of `bytes`. */
export class ByteWriter {
	bytes = new Uint8Array(4096);
	length = 0;

	clear(): void {
		this.length = 0;
	}

	u8(value: number): void {
		if (this.length === this.bytes.length) this.#grow(1);
		this.bytes[this.length++] = value;
	}

	/** @param value a whole number from 0 to 2^64, as exact as a double holds it */
	number(value: number): void {
		if (this.bytes.length - this.length < MOST_DIGITS) this.#grow(MOST_DIGITS);
		const { bytes } = this;
		let rest = value;
		for (; rest >= 0x8000_0000; rest = Math.floor(rest / 128)) bytes[this.length++] = (rest % 128) | 0x80;
		for (; rest >= 0x80; rest >>>= 7) bytes[this.length++] = (rest & 0x7f) | 0x80;
		bytes[this.length++] = rest;
	}

	/** A whole number that may be negative. */
	signed(value: number): void {
		const size = Math.abs(value);
		const sign = value < 0 ? 1 : 0;
		if (size < 0x40) this.u8(((size & 0x3f) << 1) | sign);
		else {
			this.u8(0x80 | ((size % 0x40) << 1) | sign);
			this.number(Math.floor(size / 0x40));
		}
	}

	/** Of 64 bits. */
	u64(value: bigint): void {
		this.number(Number(value & 0xffff_ffffn));
		this.number(Number(value >> 32n));
	}

	raw(from: Uint8Array): void {
		const { length } = from;
		if (this.bytes.length - this.length < length) this.#grow(length);
		// Of a few bytes it takes longer to call than to copy.
		if (length > 32) this.bytes.set(from, this.length);
		else for (let i = 0; i < length; i++) this.bytes[this.length + i] = from[i];
		this.length += length;
	}

	/** Bytes, and how many they are. */
	block(from: Uint8Array): void {
		this.number(from.length);
		this.raw(from);
	}

	text(value: string): void {
		// In UTF-8 each unit of UTF-16 is three bytes at most.
		if (this.bytes.length - this.length < 3 * value.length + MOST_DIGITS) this.#grow(3 * value.length + MOST_DIGITS);
		let isAscii = value.length < 0x80;
		for (let i = 0; isAscii && i < value.length; i++) {
			const unit = value.charCodeAt(i);
			isAscii = unit < 0x80;
			this.bytes[this.length + 1 + i] = unit;
		}
		if (isAscii) {
			this.bytes[this.length] = value.length;
			this.length += 1 + value.length;
		} else this.block(encoder.encode(value));
	}

	/** Bytes, where whoever reads them knows as many others that are like them. */
	difference(now: Uint8Array, before: Uint8Array): void {
		const { length } = now;
		let at = 0;
		for (;;) {
			let from = at;
			while (from < length && now[from] === before[from]) from++;
			if (from === length) break;
			let end = from + 1;
			for (let next = end; next < length && next - end <= SHORT_GAP; next++)
				if (now[next] !== before[next]) end = next + 1;
			// How many follow comes first: 0 is the end of all.
			this.number(end - from);
			this.number(from - at);
			for (let i = from; i < end; i++) this.u8(now[i]);
			at = end;
		}
		this.u8(0);
	}

	#grow(by: number): void {
		const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + by));
		larger.set(this.bytes.subarray(0, this.length));
		this.bytes = larger;
	}
}

export class ByteReader {
	readonly bytes: Uint8Array;
	at: number;
	readonly #end: number;

	constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
		this.bytes = bytes;
		this.at = at;
		this.#end = end;
	}

	get left(): number {
		return this.#end - this.at;
	}

	/** @throws BadBytes, as all of these do */
	u8(): number {
		if (this.at >= this.#end) throw new BadBytes("it ends too early");
		return this.bytes[this.at++];
	}

	number(): number {
		let digit = this.u8();
		if (digit < 0x80) return digit;
		let value = digit & 0x7f;
		let worth = 128;
		for (let digits = 1; digit >= 0x80; digits++, worth *= 128) {
			digit = this.u8();
			value += (digit & 0x7f) * worth;
			if (digits === MOST_DIGITS || value > 2 ** 64) throw new BadBytes("a number has more than 64 bits");
		}
		return value;
	}

	/** A number that a double holds exactly, and that is no more than `most`. */
	count(most = LAST_EXACT): number {
		const value = this.number();
		if (value > most) throw new BadBytes(`${value} is more than ${most}, the most that can be here`);
		return value;
	}

	signed(): number {
		const first = this.u8();
		const size = ((first >> 1) & 0x3f) + (first >= 0x80 ? 0x40 * this.number() : 0);
		if (size > LAST_EXACT) throw new BadBytes("a number has more than 53 bits");
		// Not -0, which isn't equal to 0 for everybody.
		return (first & 1) === 0 || size === 0 ? size : -size;
	}

	u64(): bigint {
		const low = this.count(0xffff_ffff);
		return BigInt(low) | (BigInt(this.count(0xffff_ffff)) << 32n);
	}

	/** A view, good as long as the reader's own bytes are. */
	raw(length: number): Uint8Array {
		if (length > this.left) throw new BadBytes(`${length} bytes are to come, and ${this.left} do`);
		this.at += length;
		return this.bytes.subarray(this.at - length, this.at);
	}

	block(): Uint8Array {
		return this.raw(this.number());
	}

	text(): string {
		const length = this.number();
		if (length > this.left) throw new BadBytes(`a text of ${length} bytes is to come, and ${this.left} do`);
		if (length > 24) return decoder.decode(this.raw(length));
		let text = "";
		for (let i = 0; i < length; i++) {
			const unit = this.bytes[this.at + i];
			if (unit >= 0x80) return decoder.decode(this.raw(length));
			text += String.fromCharCode(unit);
		}
		this.at += length;
		return text;
	}

	/** What ByteWriter.difference() was given as `now`. */
	difference(before: Uint8Array): Uint8Array {
		const now = before.slice();
		let at = 0;
		for (;;) {
			const count = this.number();
			if (count === 0) return now;
			at += this.number();
			if (at + count > now.length) throw new BadBytes(`byte ${at + count} differs of ${now.length}`);
			now.set(this.raw(count), at);
			at += count;
		}
	}
}

/** Texts that are sent once, and by number from then on. */
export class TextsSent {
	readonly #numbers = new Map<string, number>();

	write(writer: ByteWriter, text: string): void {
		const known = this.#numbers.get(text);
		writer.number(known ?? 0);
		if (known !== undefined) return;
		this.#numbers.set(text, this.#numbers.size + 1);
		writer.text(text);
	}

	clear(): void {
		this.#numbers.clear();
	}
}

export class TextsReceived {
	readonly #texts: string[] = [];

	/** @throws BadBytes */
	read(reader: ByteReader): string {
		const number = reader.number();
		if (number > this.#texts.length) throw new BadBytes(`there is no text ${number} before it`);
		if (number > 0) return this.#texts[number - 1];
		const text = reader.text();
		this.#texts.push(text);
		return text;
	}
}
