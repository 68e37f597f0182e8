// Data of a driver's own that comes with an ioctl: a struct, or an array of structs, in the caller's memory.
// iommu_copy_struct_from_user() and its relatives in include/linux/iommu.h, for the rules.

import { allocation } from "../../faults/faults.js";
import { type AddressSpace, copyIn, copyOut } from "../../memory/address-space.js";
import { Errno, hex } from "../../uapi/errno.js";
import type { FieldTable } from "../../uapi/field.js";
import { worked } from "../../uapi/slices.js";
import type { Struct } from "../../uapi/struct.js";
import type { WritableView } from "../../uapi/view.js";

/** One struct: `data_type`, `data_uptr` and `data_len` of HWPT_ALLOC and VIOMMU_ALLOC. */
export interface UserData {
	readonly type: number;
	/** Where it is, in bytes. */
	readonly address: number;
	/** How long the caller says it is, in bytes. */
	readonly length: number;
	readonly memory: AddressSpace;
}

/** An array of them, as HWPT_INVALIDATE has it. */
export interface UserDataArray {
	readonly type: number;
	readonly address: number;
	/** Length of one entry in bytes, as the caller has it. */
	readonly entryLength: number;
	readonly entries: number;
	readonly memory: AddressSpace;
	/** Entries that were carried out; the driver counts them. */
	done: number;
}

/**
 * Reads a struct.
 * @param type the one type that fits
 * @throws EINVAL for another type or a length that the struct can't have, EFAULT when it can't be read
 */
export function readUserData<F extends FieldTable>(data: UserData, type: number, struct: Struct<F>): WritableView<F> {
	if (data.type !== type)
		throw new Errno(
			"EINVAL",
			`the data's type is ${hex(data.type)}: here it must be ${hex(type)}, ${struct.name}`,
			"data-type",
		);
	const { minimumSize: minimum } = struct;
	if (data.length < minimum || data.length > struct.size)
		throw new Errno(
			"EINVAL",
			`the data's length is ${data.length}: ${struct.name} has ${minimum === struct.size ? "" : `${minimum} to `}${struct.size} bytes`,
			"struct-size",
		);
	const view = struct.newView();
	copyIn(data.memory, data.address, view.bytes.subarray(0, data.length), struct.name);
	return view;
}

/** Writes a struct back that readUserData() has read, as much of it as the caller has. @throws EFAULT */
export function writeUserData<F extends FieldTable>(data: UserData, view: WritableView<F>, struct: Struct<F>): void {
	copyOut(data.memory, data.address, view.bytes.subarray(0, data.length), struct.name);
}

/** What it takes to read an entry, and to carry it out, as slices.ts counts. */
export const PER_ENTRY = 300;

/** Reads entry number `index` of an array; see readUserData. */
export function readUserDataEntry<F extends FieldTable>(
	array: UserDataArray,
	index: number,
	type: number,
	struct: Struct<F>,
): WritableView<F> {
	const entry = {
		type: array.type,
		address: array.address + index * array.entryLength,
		length: array.entryLength,
		memory: array.memory,
	};
	return readUserData(entry, type, struct);
}

/**
 * Reads all entries of an array before the first is carried out, then calls `carryOut` for each, and counts them in
 * `array.done`. Unlike entries that are read one by one, these may be shorter than the struct, which goes on with zeroes
 * then, or longer, where what is too much is zero.
 * @throws EINVAL for another type or no entry, E2BIG, EFAULT, and what carryOut throws
 */
export function carryOutUserData<F extends FieldTable>(
	array: UserDataArray,
	type: number,
	struct: Struct<F>,
	carryOut: (entry: WritableView<F>, index: number) => void,
): void {
	if (array.type !== type)
		throw new Errno(
			"EINVAL",
			`the entries' type is ${hex(array.type)}: here it must be ${hex(type)}, ${struct.name}`,
			"data-type",
		);
	if (array.entries === 0) throw new Errno("EINVAL", "the array has no entry", "invalidation-array");
	const { size } = struct;
	allocation("the entries of an array");
	const entries = new Uint8Array(array.entries * size);
	const entry = new Uint8Array(array.entryLength);
	for (let index = 0; index < array.entries; index++) {
		copyIn(array.memory, array.address + index * array.entryLength, entry, `entry ${index}`);
		if (entry.subarray(size).some((byte) => byte !== 0))
			throw new Errno(
				"E2BIG",
				`entry ${index} has something after the ${size} bytes of ${struct.name}`,
				"newer-struct",
			);
		entries.set(entry.subarray(0, size), index * size);
		worked(PER_ENTRY);
	}
	const view = struct.newView();
	for (; array.done < array.entries; array.done++) {
		view.bytes.set(entries.subarray(array.done * size, (array.done + 1) * size));
		carryOut(view, array.done);
		worked(PER_ENTRY);
	}
}
