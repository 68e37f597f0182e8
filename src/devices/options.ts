// What can be chosen for a device: text as the command line has it ("size=1G"), or JSON's own types as a machine file has them.

import * as v from "valibot";

const SUFFIXES = "KMGT";

/** A number of bytes: "1G" is 2^30 of them. K, M, G and T are powers of 1024; "GiB" is the same as "G". */
export const byteCount = v.pipe(
	v.union([v.string(), v.number()], "a size is expected here, as in 512M"),
	v.rawTransform(({ dataset: { value }, addIssue, NEVER }) => {
		const bytes = typeof value === "number" ? value : bytesOf(value);
		if (bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
		addIssue({ message: `${JSON.stringify(value)} is no size: write it as 4096, 64K, 512M, 1G or 1T` });
		return NEVER;
	}),
);

function bytesOf(text: string): number | undefined {
	const [, digits, suffix] = /^(\d+)(?:([KMGT])(?:i?B)?)?$/i.exec(text) ?? [];
	if (digits === undefined) return undefined;
	return Number(digits) * 1024 ** (suffix === undefined ? 0 : SUFFIXES.indexOf(suffix.toUpperCase()) + 1);
}

/** An integer of a range, both ends included. */
export function integer(first: number, last: number) {
	return v.pipe(
		v.union([v.string(), v.number()], `a number from ${first} to ${last} is expected here`),
		v.rawTransform(({ dataset: { value }, addIssue, NEVER }) => {
			const isNumber = typeof value === "number" || /^(\d+|0x[0-9a-f]+)$/i.test(value);
			const number = isNumber ? Number(value) : Number.NaN;
			if (Number.isInteger(number) && number >= first && number <= last) return number;
			addIssue({ message: `${JSON.stringify(value)} is no number from ${first} to ${last}` });
			return NEVER;
		}),
	);
}

const YES = ["", "on", "yes", "true", "1"];
const NO = ["off", "no", "false", "0"];

/** Something that is so or not. Its name alone says that it is. */
export const flag = v.pipe(
	v.union([v.string(), v.boolean()], "on or off is expected here"),
	v.rawTransform(({ dataset: { value }, addIssue, NEVER }) => {
		if (typeof value === "boolean") return value;
		if (YES.includes(value)) return true;
		if (NO.includes(value)) return false;
		addIssue({ message: `${JSON.stringify(value)} is neither on nor off` });
		return NEVER;
	}),
);

/** One to `most` values: "a:b" on the command line, a list in a machine file. */
export function list<Value>(each: v.GenericSchema<unknown, Value>, most: number) {
	return v.pipe(
		v.unknown(),
		v.transform((value) => (typeof value === "string" ? value.split(":") : Array.isArray(value) ? value : [value])),
		v.array(each),
		v.minLength(1, "a value is expected here"),
		v.maxLength(most, `at most ${most} values are expected here`),
	);
}
