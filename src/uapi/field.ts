// What a field of a struct of the binary interface can be: its C type, who writes it, which bits it may have, and how
// people like to read it. A struct description (struct.ts) is a table of these.
// The types are those of include/uapi/linux/iommufd.h and vfio.h; all are aligned to their own size, as in C.

import { hex } from "./errno.js";

/** The C types. A pointer is a u64 that reads as a double: inexact above 2^53, where no memory is. */
export type Scalar = "u8" | "u16" | "u32" | "s32" | "u64" | "pointer";

export const scalarSize: Readonly<Record<Scalar, number>> = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8, pointer: 8 };

/** Who writes a field: the caller ("in"), we ("out"), or the caller and then we ("inout"). */
export type Direction = "in" | "out" | "inout";

/** Names for bits (flags) or for whole values (an enum), without the prefix that they share in C. */
export type Names = Readonly<Record<string, number>>;

export interface Field<Value = unknown, Way extends Direction = Direction> {
	readonly scalar: Scalar;
	/** Number of elements of an array; undefined for a single value. */
	readonly count: number | undefined;
	readonly direction: Way;
	readonly print: "decimal" | "hexadecimal" | "flags" | "enum";
	readonly names: Names;
	/** Which bits are an error: those without a name, any, or none. */
	readonly forbids: "unknown bits" | "any bit" | "nothing";
	/** Whether it only fills a place: the trace shows it when it is not zero. */
	readonly filler: boolean;
	/** Whether the rule in `forbids` is the handler's to check, because in Linux another check comes before it. */
	readonly checkedByHandler: boolean;
	/** Name of the earlier field whose place this one has (a C union). */
	readonly sharesPlaceOf: string | undefined;
	/** The name in C, where it isn't the field's name in snake_case. */
	readonly calledInC: string | undefined;
	/** For the type checker only: what the field reads as. */
	readonly value?: Value;
}

/** The table of a struct: its fields in the order of the header file. */
export type FieldTable = Readonly<Record<string, Field>>;

function scalar<Value>(type: Scalar, print: Field["print"] = "decimal"): Field<Value, "in"> {
	return {
		scalar: type,
		count: undefined,
		direction: "in",
		print,
		names: {},
		forbids: "nothing",
		filler: false,
		checkedByHandler: false,
		sharesPlaceOf: undefined,
		calledInC: undefined,
	};
}

export const u8 = scalar<number>("u8");
export const u16 = scalar<number>("u16");
export const u32 = scalar<number>("u32");
export const s32 = scalar<number>("s32");
export const u64 = scalar<bigint>("u64");
/** A u64 that is an IOVA, a physical address or an address whose arithmetic must be exact. */
export const address = scalar<bigint>("u64", "hexadecimal");
/** A user pointer, as a double. */
export const pointer = scalar<number>("pointer", "hexadecimal");

/** Flag bits by name. Bits without a name are EOPNOTSUPP. */
export function flags(names: Names, base?: Field<number, "in">): Field<number, "in">;
export function flags(names: Names, base: Field<bigint, "in">): Field<bigint, "in">;
export function flags(names: Names, base: Field<number | bigint, "in"> = u32): Field<number | bigint, "in"> {
	return { ...base, names, print: "flags", forbids: "unknown bits" };
}

/** One of some named values. The names are for people: which values are served is for the handler to say. */
export function oneOf(names: Names, base: Field<number, "in"> = u32): Field<number, "in"> {
	return { ...base, names, print: "enum" };
}

/** How people know one of some named values: its name, or the number of a value without one. */
export function nameIn(names: Names, value: number): string {
	return Object.keys(names).find((name) => names[name] === value) ?? hex(value);
}

/** How people know flags: the names of those that are set, and the bits without one: "READABLE|0x80". */
export function flagsIn(names: Names, value: number | bigint): string {
	let rest = BigInt(value);
	const parts: string[] = [];
	for (const [name, bit] of Object.entries(names)) {
		if ((rest & BigInt(bit)) === 0n) continue;
		parts.push(name);
		rest &= ~BigInt(bit);
	}
	if (rest !== 0n) parts.push(hex(rest));
	return parts.join("|") || "0";
}

/** Reserved: anything but zero is EOPNOTSUPP. */
export function mustBeZero<Value>(type: Field<Value, "in">): Field<Value, "in"> {
	return { ...type, print: "hexadecimal", forbids: "any bit", filler: true };
}

/** Reserved by the header, but Linux never looks at it: any value is taken. */
export function padding<Value>(type: Field<Value, "in">): Field<Value, "in"> {
	return { ...type, print: "hexadecimal", filler: true };
}

/** The rule of this field isn't the first thing that Linux checks, so the handler does it in its turn. */
export function checkedByHandler<Value, Way extends Direction>(type: Field<Value, Way>): Field<Value, Way> {
	return { ...type, checkedByHandler: true };
}

/** Written by us; what the caller had there isn't looked at. */
export function out<Value>(type: Field<Value, "in">): Field<Value, "out"> {
	return { ...type, direction: "out", forbids: "nothing" };
}

/** Read from the caller, then written by us. */
export function inout<Value>(type: Field<Value, "in">): Field<Value, "inout"> {
	return { ...type, direction: "inout" };
}

/** The trace prints it in hexadecimal. */
export function hexadecimal<Value, Way extends Direction>(type: Field<Value, Way>): Field<Value, Way> {
	return { ...type, print: "hexadecimal" };
}

/** Another name for the place of the field `earlier`: a C union of two fields of one size. */
export function samePlaceAs<Value, Way extends Direction>(earlier: string, type: Field<Value, Way>): Field<Value, Way> {
	return { ...type, sharesPlaceOf: earlier };
}

/** For a field whose name in C can't be derived from its name here. */
export function calledInC<Value, Way extends Direction>(name: string, type: Field<Value, Way>): Field<Value, Way> {
	return { ...type, calledInC: name };
}

/** `count` values in a row. Reads as a typed array over the struct's own bytes: writing its elements writes the struct. */
export function array(type: Field<bigint, "in">, count: number): Field<BigUint64Array, "in">;
export function array(type: Field<number, "in">, count: number): Field<NumberArray, "in">;
export function array(type: Field<number | bigint, "in">, count: number): Field<NumberArray | BigUint64Array, "in"> {
	return { ...(type as Field<never, "in">), count };
}

export type NumberArray = Uint8Array | Uint16Array | Uint32Array | Int32Array;
