// The description of a struct: a table of fields from which its size, its views, its rules and its line in the trace
// are derived. Nobody else writes an offset.
// General format of the ioctls: include/uapi/linux/iommufd.h, "General ioctl format"; for VFIO include/uapi/linux/vfio.h.

import type { ErrnoCode } from "./errno.js";
import { type Field, type FieldTable, inout, type Names, scalarSize, u32 } from "./field.js";
import {
	type AnyView,
	alignmentOf,
	bufferFor,
	endOf,
	type FieldValue,
	layOut,
	makeView,
	type PlacedField,
	readField,
	roundUp,
	sizeOf,
	type Values,
	type View,
	type WritableView,
	writeField,
} from "./view.js";

export type { AnyView, Values, View, WritableView } from "./view.js";

/** Any struct, for those who walk over fields. */
export interface AnyStruct {
	/** As in C; for the struct of an ioctl it is the ioctl's name: "IOMMU_IOAS_MAP". */
	readonly name: string;
	/** sizeof(), in bytes. */
	readonly size: number;
	/** How many bytes a caller must give at least: structs grew, and older callers still have the shorter one. */
	readonly minimumSize: number;
	readonly fields: readonly PlacedField[];
	/** The one view that all calls share: read it before the next call of the same command begins. */
	readonly view: AnyView;
	/** A view with bytes of its own, all zero. */
	newView(): AnyView;
}

export interface Struct<F extends FieldTable> extends AnyStruct {
	readonly view: View<F>;
	newView(): WritableView<F>;
}

/** What a handler gets: `(context: Context, map: Args<typeof IoasMap>) => void`. */
export type Args<S extends AnyStruct> = S["view"];

/** Any struct that an ioctl's argument points to. */
export interface AnyCommand extends AnyStruct {
	/** The ioctl's number as the caller gives it: _IO(';', nr). */
	readonly number: number;
	/** The bytes of `view` as u32. The first is the caller's size. */
	readonly words: Uint32Array;
	/** Bits of `words` that must be zero before the handler is called. */
	readonly forbidden: readonly ForbiddenBits[];
	/** What such a bit is answered with. */
	readonly refusal: ErrnoCode;
	/** Only where the struct is a union: the variant that a number in its field `op` means. */
	readonly variantOf?: (op: number) => AnyStruct | undefined;
}

export interface ForbiddenBits {
	readonly word: number;
	readonly mask: number;
}

export interface Command<F extends FieldTable> extends AnyCommand {
	readonly view: View<F>;
	newView(): WritableView<F>;
}

/** Those of the views that all calls share. */
const shared = new Set<ArrayBuffer>();

/** What all shared views have now. Who makes a call while another one is under way puts it back afterwards. */
export function saveViews(): Uint8Array[] {
	return Array.from(shared, (buffer) => new Uint8Array(buffer.slice(0)));
}

export function restoreViews(saved: readonly Uint8Array[]): void {
	let i = 0;
	for (const buffer of shared) new Uint8Array(buffer).set(saved[i++]);
}

type WithSize<F extends FieldTable> = { size: Field<number, "in"> } & F;
type WithArgsz<F extends FieldTable> = { argsz: Field<number, "inout"> } & F;

/**
 * A struct that something in an ioctl's struct points to, or that an fd is read in: no size in front.
 * @param requiredThrough the last field that every caller must have; the fields after it came later and read as zero
 */
export function struct<const F extends FieldTable>(
	name: string,
	table: F,
	requiredThrough?: keyof F & string,
): Struct<F> {
	const fields = layOut(table);
	return describe(name, fields, sizeOf(fields), minimumOf(fields, requiredThrough)) as Struct<F>;
}

/** An iommufd command: its struct begins with `size`, which is how long the caller's struct is. */
export function command<const F extends FieldTable>(
	nr: number,
	name: string,
	table: F,
	requiredThrough?: keyof F & string,
): Command<WithSize<F>> {
	const fields = layOut({ size: u32, ...table });
	const description = describe(`IOMMU_${name}`, fields, sizeOf(fields), minimumOf(fields, requiredThrough));
	return asCommand(description, nr, "EOPNOTSUPP") as Command<WithSize<F>>;
}

/** A VFIO command: its struct begins with `argsz`, which we may raise to say that there is more to be had. */
export function vfioCommand<const F extends FieldTable>(
	nr: number,
	name: string,
	table: F,
	requiredThrough?: keyof F & string,
): Command<WithArgsz<F>> {
	const fields = layOut({ argsz: inout(u32), ...table });
	const description = describe(`VFIO_${name}`, fields, sizeOf(fields), minimumOf(fields, requiredThrough));
	return asCommand(description, nr, "EINVAL") as Command<WithArgsz<F>>;
}

/** A command whose struct is a union: the field `op` says which variant of it the caller means. */
export interface VariantCommand<Header extends FieldTable, Variants extends Readonly<Record<string, FieldTable>>>
	extends Command<WithSize<Header>> {
	/** One struct per op. All have their views over the bytes of the command. */
	readonly variants: { readonly [Op in keyof Variants]: Struct<WithSize<Header> & Variants[Op]> };
	readonly variantOf: (op: number) => AnyStruct | undefined;
}

/**
 * An iommufd command whose fields between `header` and `trailer` depend on `op`.
 * @param ops the number of each variant
 */
export function variantCommand<
	const Header extends FieldTable & { op: Field<number, "in"> },
	const Variants extends Readonly<Record<string, FieldTable>>,
>(
	nr: number,
	name: string,
	ops: { readonly [Op in keyof Variants]: number },
	header: Header,
	variants: Variants,
	trailer: FieldTable,
): VariantCommand<Header, Variants> {
	const head = layOut({ size: u32, ...header });
	// A union is aligned as its most aligned member is, and here that is a u64.
	const start = roundUp(endOf(head), 8);
	const union = Object.entries(variants).map(([op, table]) => ({ op, fields: layOut(table, start) }));
	const members = union.flatMap((member) => member.fields);
	const tail = layOut(trailer, roundUp(endOf(members), alignmentOf(members)));
	const size = sizeOf([...head, ...members, ...tail]);

	const buffer = bufferFor(size);
	const describePart = (fields: readonly PlacedField[]) => describe(`IOMMU_${name}`, fields, size, endOf(tail), buffer);
	const structs = new Map(union.map(({ op, fields }) => [op, describePart([...head, ...fields, ...tail])]));
	const byNumber = new Map([...structs].map(([op, variant]) => [ops[op], variant]));
	return {
		...asCommand(describePart([...head, ...tail]), nr, "EOPNOTSUPP"),
		variants: Object.fromEntries(structs),
		variantOf: (op: number) => byNumber.get(op),
	} as unknown as VariantCommand<Header, Variants>;
}

/** An ioctl without a struct: its argument is nothing, a number, or a pointer to something simple. */
export interface PlainCommand {
	readonly name: string;
	readonly number: number;
	readonly argument: PlainArgument;
}

export type PlainArgument = "none" | "pointer to fd" | "pointer to string" | Names;

export function plainCommand(nr: number, name: string, argument: PlainArgument): PlainCommand {
	return { name: `VFIO_${name}`, number: ioctlNumber(nr), argument };
}

/** The bytes of a struct with these values, zero elsewhere. `size` or `argsz` is filled in. For clients and tests. */
export function encode<F extends FieldTable>(description: Struct<F>, values: Partial<Values<F>>): Uint8Array {
	const view = description.newView();
	for (const field of description.fields) {
		const value = (values as Readonly<Record<string, FieldValue | undefined>>)[field.name];
		if (value !== undefined) writeField(view, field, value);
		else if (isSizeField(field)) writeField(view, field, description.size);
	}
	return view.bytes;
}

/** The values in some bytes; where they are too few the struct goes on with zeroes. For clients and tests. */
export function decode<F extends FieldTable>(description: Struct<F>, bytes: Uint8Array): Values<F> {
	const view = description.newView();
	view.bytes.set(bytes.subarray(0, description.size));
	const entries = description.fields.map((field) => [field.name, copyOf(readField(view, field))]);
	return Object.fromEntries(entries) as Values<F>;
}

/** Whether a field is the one in which the caller says how long its struct is: `size` of iommufd, `argsz` of VFIO. */
export function isSizeField(field: PlacedField): boolean {
	return field.offset === 0 && (field.name === "size" || field.name === "argsz");
}

/** _IO(';', nr): no direction and no size, because the struct says its own. */
export function ioctlNumber(nr: number): number {
	return (";".charCodeAt(0) << 8) | nr;
}

/** The bits that one value of `field` may not have; whoever stores them cuts them to its width. */
export function forbiddenBitsOf(field: Field): number {
	if (field.forbids === "any bit") return ~0;
	return ~Object.values(field.names).reduce((known, bit) => known | bit, 0);
}

function copyOf(value: FieldValue): FieldValue {
	return typeof value === "object" ? (value as Uint8Array).slice() : value;
}

function minimumOf(fields: readonly PlacedField[], requiredThrough: string | undefined): number {
	const last = fields.findIndex((field) => field.name === requiredThrough);
	return endOf(last < 0 ? fields : fields.slice(0, last + 1));
}

function describe(
	name: string,
	fields: readonly PlacedField[],
	size: number,
	minimumSize: number,
	buffer = bufferFor(size),
): AnyStruct {
	shared.add(buffer);
	return {
		name,
		size,
		minimumSize,
		fields,
		view: makeView(fields, size, buffer),
		newView: () => makeView(fields, size, bufferFor(size)),
	};
}

function asCommand(description: AnyStruct, nr: number, refusal: ErrnoCode): AnyCommand {
	return {
		...description,
		number: ioctlNumber(nr),
		words: new Uint32Array(description.view.bytes.buffer),
		forbidden: forbiddenBits(description),
		refusal,
	};
}

/** The rules of all fields as a short list of masks: the words in which something is set are those that have to be looked at. */
function forbiddenBits({ fields, size }: AnyStruct): ForbiddenBits[] {
	const buffer = bufferFor(size);
	// Not by way of a view: to make one takes longer than all of this, and every start pays for it.
	const masks = new DataView(buffer);
	for (const field of fields) {
		if (field.forbids === "nothing" || field.checkedByHandler) continue;
		const bits = forbiddenBitsOf(field);
		const width = scalarSize[field.scalar];
		for (let at = field.offset; at < field.offset + field.size; at += width) setBits(masks, at, width, bits);
	}
	const words = new Int32Array(buffer);
	return [...words.entries()].filter(([, mask]) => mask !== 0).map(([word, mask]) => ({ word, mask }));
}

/** @param bits of a u64 those above 31 are all as bit 31 is */
function setBits(masks: DataView, at: number, width: number, bits: number): void {
	if (width === 1) masks.setUint8(at, bits);
	else if (width === 2) masks.setUint16(at, bits, true);
	else masks.setUint32(at, bits, true);
	if (width === 8) masks.setInt32(at + 4, bits >> 31, true);
}
