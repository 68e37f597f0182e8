// A data structure that the controller returns, as a table of its fields: where each is, and how long. Little-endian.

/** Offset in bytes, and length in bytes. */
type Place = readonly [at: number, length: number];

/** A text is padded with blanks, as the specification has ASCII strings; bytes are copied. */
type Value = number | bigint | string | Uint8Array;

export class Structure<Field extends string> {
	readonly size: number;
	readonly #places: Readonly<Record<Field, Place>>;

	/** @param size in bytes @param places by the field's name in the specification */
	constructor(size: number, places: Readonly<Record<Field, Place>>) {
		this.size = size;
		this.#places = places;
	}

	/** The structure's bytes. What isn't named is zero. */
	bytes(values: Readonly<Partial<Record<Field, Value>>>): Uint8Array {
		const bytes = new Uint8Array(this.size);
		for (const field of Object.keys(values) as Field[]) this.set(bytes, field, values[field]!);
		return bytes;
	}

	set(bytes: Uint8Array, field: Field, value: Value): void {
		const [at, length] = this.#places[field];
		if (typeof value === "string")
			for (let i = 0; i < length; i++) bytes[at + i] = i < value.length ? value.charCodeAt(i) : 0x20;
		else if (typeof value === "object") bytes.set(value.subarray(0, length), at);
		else {
			let rest = BigInt(value);
			for (let i = 0; i < length; i++, rest >>= 8n) bytes[at + i] = Number(rest & 0xffn);
		}
	}

	/** A field as a number; of more than 53 bits it is inexact. */
	number(bytes: Uint8Array, field: Field): number {
		const [at, length] = this.#places[field];
		let value = 0;
		for (let i = length - 1; i >= 0; i--) value = value * 256 + bytes[at + i];
		return value;
	}

	/** A field's bytes. */
	part(bytes: Uint8Array, field: Field): Uint8Array {
		const [at, length] = this.#places[field];
		return bytes.subarray(at, at + length);
	}
}
