// What tests of drivers have in common: PCI functions, groups of one, and data in a caller's memory.

import { ArraySpace } from "../../memory/array-space.js";
import type { FieldTable } from "../../uapi/field.js";
import { encode, type Struct } from "../../uapi/struct.js";
import type { Values } from "../../uapi/view.js";
import { IommuGroup } from "../core/group.js";
import type { Iommu, PciDevice, PciFunction } from "../core/pci.js";
import type { UserData, UserDataArray } from "../core/user-data.js";

let groups = 0;

const PLAIN: PciFunction = {
	address: "0000:00:03.0",
	requesterId: 0x18,
	classCode: 0xff00,
	isVirtualFunction: false,
	ats: false,
	pri: false,
	pasidBits: 0,
	firmwareRegions: [],
};

/** A function in a group of its own behind an IOMMU. */
export function deviceBehind<I extends Iommu>(iommu: I, has: Partial<PciFunction> = {}): ReturnType<I["probe"]> {
	return iommu.probe({ ...PLAIN, ...has }, new IommuGroup(groups++)) as ReturnType<I["probe"]> & PciDevice;
}

const ADDRESS = 0x1000_0000;

/** A struct as it comes with HWPT_ALLOC. */
export function userData<F extends FieldTable>(type: number, struct: Struct<F>, values: Partial<Values<F>>): UserData {
	const memory = new ArraySpace("test");
	const bytes = encode(struct, values);
	memory.map(ADDRESS, 4096).set(bytes);
	return { type, address: ADDRESS, length: bytes.length, memory };
}

/** An array of them as it comes with HWPT_INVALIDATE. */
export function userDataArray<F extends FieldTable>(
	type: number,
	struct: Struct<F>,
	entries: readonly Partial<Values<F>>[],
): UserDataArray {
	const memory = new ArraySpace("test");
	const mapped = memory.map(ADDRESS, 4096);
	for (const [index, values] of entries.entries()) mapped.set(encode(struct, values), index * struct.size);
	return { type, address: ADDRESS, entryLength: struct.size, entries: entries.length, memory, done: 0 };
}
