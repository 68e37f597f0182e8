// Values of machine descriptions that JSON has no type for: registers, addresses and numbers in hexadecimal.

import * as v from "valibot";

/** A number of up to `bits` bits, as the string "0x29d3". */
function hexadecimal(bits: number) {
	return v.pipe(
		v.string(`write it as a string: "0x..."`),
		v.regex(/^0x[0-9a-f]+$/i, `"0x" and hexadecimal digits are expected here, as in "0x29d3"`),
		v.transform((text) => BigInt(text)),
		v.check((value) => value < 1n << BigInt(bits), `it has ${bits} bits, and this is more`),
	);
}

export const hex64 = hexadecimal(64);
export const hex32 = v.pipe(hexadecimal(32), v.transform(Number));
export const hex24 = v.pipe(hexadecimal(24), v.transform(Number));
export const hex16 = v.pipe(hexadecimal(16), v.transform(Number));

/** An integer of a range, both ends included. */
export function integer(first: number, last: number) {
	const message = `a number from ${first} to ${last} is expected here`;
	return v.pipe(v.number(message), v.integer(message), v.minValue(first, message), v.maxValue(last, message));
}

export const powerOfTwo = v.pipe(
	v.number("a number of bytes is expected here"),
	v.check((value) => Number.isInteger(Math.log2(value)), "a power of two is expected here"),
);
