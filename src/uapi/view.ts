// Where the fields of a struct are, and the objects that read and write them.
// Layout as the System V ABI for x86-64 and AArch64 has it: each field at the next multiple of its size, the struct's
// size a multiple of its largest field. Both machines are little-endian, and so are the typed arrays here.

import { type Direction, type Field, type FieldTable, scalarSize } from "./field.js";

/** A field at its place. Offsets and sizes are in bytes. */
export interface PlacedField extends Field {
	readonly name: string;
	readonly cName: string;
	readonly offset: number;
	readonly size: number;
}

type ValueOf<F> = F extends Field<infer Value, Direction> ? Value : never;
type InputOf<F extends FieldTable> = { [K in keyof F as F[K] extends Field<unknown, "in"> ? K : never]: ValueOf<F[K]> };
type OutputOf<F extends FieldTable> = {
	-readonly [K in keyof F as F[K] extends Field<unknown, "in"> ? never : K]: ValueOf<F[K]>;
};

/** All values of a struct, by field name. */
export type Values<F extends FieldTable> = { -readonly [K in keyof F]: ValueOf<F[K]> };

/** A struct as a handler sees it: what the caller wrote can be read, what we answer can be written. */
export type View<F extends FieldTable> = AnyView & Readonly<InputOf<F>> & OutputOf<F>;

/** A struct as the one who fills it in sees it. */
export type WritableView<F extends FieldTable> = AnyView & Values<F>;

export interface AnyView {
	/** The struct itself, always the same array: whoever writes it changes what the fields read as. No field has this name. */
	readonly bytes: Uint8Array;
}

/** Places `fields` one after the other from the byte `start` on. */
export function layOut(fields: FieldTable, start = 0): PlacedField[] {
	const placed: PlacedField[] = [];
	let end = start;
	for (const [name, field] of Object.entries(fields)) {
		const width = scalarSize[field.scalar];
		const size = width * (field.count ?? 1);
		const shared = placed.find((earlier) => earlier.name === field.sharesPlaceOf);
		const offset = shared ? shared.offset : roundUp(end, width);
		end = Math.max(end, offset + size);
		placed.push({ ...field, name, cName: field.calledInC ?? cNameOf(name), offset, size });
	}
	return placed;
}

/** sizeof(): where the last field ends, rounded up so that an array of the struct keeps every field aligned. */
export function sizeOf(fields: readonly PlacedField[]): number {
	return roundUp(endOf(fields), alignmentOf(fields));
}

/** First byte after the fields. */
export function endOf(fields: readonly PlacedField[]): number {
	return Math.max(0, ...fields.map((field) => field.offset + field.size));
}

export function alignmentOf(fields: readonly PlacedField[]): number {
	return Math.max(1, ...fields.map((field) => scalarSize[field.scalar]));
}

export function roundUp(value: number, multiple: number): number {
	return Math.ceil(value / multiple) * multiple;
}

/** A buffer that any struct of `size` bytes fits in, for makeView: 8-aligned, and in whole u64. */
export function bufferFor(size: number): ArrayBuffer {
	return new ArrayBuffer(roundUp(size, 8));
}

/**
 * Makes a view over `buffer`. Each view has a class of its own whose accessors have the typed array and the index built
 * in, because that makes `map.flags` one load for the optimiser: it knows the class, so the accessor, so both constants.
 */
export function makeView(fields: readonly PlacedField[], size: number, buffer: ArrayBuffer): AnyView {
	class StructView implements AnyView {
		readonly bytes = new Uint8Array(buffer, 0, size);
	}
	for (const field of fields) {
		const property = field.count === undefined ? valueAccessor(field, buffer) : arrayAccessor(field, buffer);
		Object.defineProperty(StructView.prototype, field.name, { ...property, enumerable: true });
	}
	return new StructView();
}

/** The value of a field by its name, for those who walk over a description. */
export function readField(view: AnyView, field: PlacedField): FieldValue {
	return (view as unknown as Record<string, FieldValue>)[field.name];
}

export function writeField(view: AnyView, field: PlacedField, value: FieldValue): void {
	(view as unknown as Record<string, FieldValue>)[field.name] = value;
}

export type FieldValue = number | bigint | ArrayLike<number> | ArrayLike<bigint>;

const typedArray = {
	u8: Uint8Array,
	u16: Uint16Array,
	u32: Uint32Array,
	s32: Int32Array,
	u64: BigUint64Array,
	pointer: BigUint64Array,
} as const;

function valueAccessor(field: PlacedField, buffer: ArrayBuffer): PropertyDescriptor {
	if (field.scalar === "pointer") return pointerAccessor(field, buffer);
	const values = new typedArray[field.scalar](buffer) as Uint32Array;
	const index = field.offset / scalarSize[field.scalar];
	return {
		get: () => values[index],
		set: (value: number) => {
			values[index] = value;
		},
	};
}

function pointerAccessor(field: PlacedField, buffer: ArrayBuffer): PropertyDescriptor {
	const words = new Uint32Array(buffer);
	const low = field.offset / 4;
	const high = low + 1;
	return {
		get: () => words[high] * 2 ** 32 + words[low],
		set: (value: number) => {
			words[low] = value % 2 ** 32;
			words[high] = value / 2 ** 32;
		},
	};
}

function arrayAccessor(field: PlacedField, buffer: ArrayBuffer): PropertyDescriptor {
	const elements = new typedArray[field.scalar](buffer, field.offset, field.count) as Uint32Array;
	return {
		get: () => elements,
		set: (values: ArrayLike<number>) => elements.set(values),
	};
}

/** outIoasId -> out_ioas_id, reserved2 -> __reserved2 */
function cNameOf(name: string): string {
	const snakeCase = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
	return snakeCase.startsWith("reserved") ? `__${snakeCase}` : snakeCase;
}
