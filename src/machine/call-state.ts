// What a call that is about to be made has to do with: the objects that it names, and what is in the ranges that it is about. For whoever asks
// why it failed. It goes by the names of the struct's fields, which mean the same in all calls.

import type { OpenFile } from "../files/open-file.js";
import type { AddressMap, Cause, Range } from "../iommu/dma/mapping-history.js";
import { Access } from "../iommufd/access.js";
import type { Context } from "../iommufd/context.js";
import { BoundDevice } from "../iommufd/device.js";
import { Hwpt } from "../iommufd/hwpt.js";
import type { Interval } from "../iommufd/io-pagetable/iova-ranges.js";
import { Ioas } from "../iommufd/ioas.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import type { IommufdObject } from "../iommufd/object.js";
import { Viommu } from "../iommufd/viommu.js";
import type { ShownField } from "../trace/print.js";
import { IoasMapFlags } from "../uapi/iommufd.js";
import { ContainerFile } from "../vfio/container.js";
import { DeviceFile } from "../vfio/device-file.js";
import type { Machine } from "./machine.js";

/** Something in a range that a call is about. */
export interface Found extends Range {
	/** "IOAS 1" */
	readonly map: string;
	readonly kind: "mapping" | "reserved" | "below" | "above";
	/** Of a reserved range: what it is. */
	readonly what?: string;
	/** Of a mapping: the call that has mapped it, as far as that is remembered. */
	readonly by?: Cause;
}

/** A range that a call is about, in bytes. */
export interface CallRange extends Range {
	readonly map: string;
	readonly found: readonly Found[];
	/** How many more mappings there are in it. */
	readonly more: number;
}

export interface CallState {
	readonly context: Context | undefined;
	/** Those that the call names, or that its file is of. */
	readonly objects: readonly IommufdObject[];
	/** Ids that it names, and that are no objects now. */
	readonly absent: readonly number[];
	readonly ranges: readonly CallRange[];
}

/** In a range. */
const MOST_MAPPINGS = 4;
const LAST = (1n << 64n) - 1n;

/** A field with the first IOVA, and the one whose object has the mappings. */
const RANGES: readonly (readonly [iova: string, object: readonly string[]])[] = [
	["dst_iova", ["dst_ioas_id"]],
	["src_iova", ["src_ioas_id"]],
	["nesting_parent_iova", ["viommu_id"]],
	["iova", ["ioas_id", "hwpt_id", "id"]],
];
const LENGTHS = ["length", "size"];
const OBJECT = /^(?!out_)(?:.*_)?(?:id|devid)$/;
/** Numbers that are called ids and name no object. */
const OTHER_IDS = new Set(["virt_id"]);

/** What a file's calls work on. */
export function contextOf(file: OpenFile | undefined): Context | undefined {
	if (file instanceof IommufdFile) return file.context;
	return file instanceof DeviceFile ? file.device.context : undefined;
}

/** @param inputs of the call, as the trace shows them */
export function callState(machine: Machine, file: OpenFile | undefined, inputs: readonly ShownField[]): CallState {
	const context = contextOf(file);
	const values = new Map(inputs.map(({ field, value }) => [field.cName, value]));
	const objects = new Set<IommufdObject>();
	const absent = new Set<number>();
	for (const [name, value] of values) {
		if (context === undefined || !OBJECT.test(name) || OTHER_IDS.has(name) || typeof value !== "number") continue;
		const object = context.objects.find(value);
		if (object !== undefined) objects.add(object);
		else if (value !== 0) absent.add(value);
	}
	if (file instanceof DeviceFile && context !== undefined)
		for (const object of context.objects)
			if (object instanceof BoundDevice && object.device === file.device.device) objects.add(object);
	return { context, objects: [...objects], absent: [...absent], ranges: rangesOf(machine, file, context, inputs) };
}

/** The mappings of an IOAS or a container, in order, and what is reserved there. */
interface Space {
	readonly map: AddressMap;
	readonly mappings: Iterable<Range>;
	readonly reserved: readonly (Interval & { readonly what: string })[];
}

function rangesOf(
	machine: Machine,
	file: OpenFile | undefined,
	context: Context | undefined,
	inputs: readonly ShownField[],
): CallRange[] {
	const fields = new Map(inputs.map((input) => [input.field.cName, input]));
	const length = LENGTHS.map((name) => fields.get(name)?.value).find((value) => value !== undefined);
	if (typeof length !== "bigint" && typeof length !== "number") return [];
	return RANGES.flatMap(([name, owners]) => {
		const iova = fields.get(name);
		if (iova === undefined || typeof iova.value !== "bigint") return [];
		const isChosen = iova.field.direction === "inout" || name === "dst_iova";
		if (isChosen && (Number(fields.get("flags")?.value ?? 0) & IoasMapFlags.FIXED_IOVA) === 0) return [];
		const ids = owners.map((owner) => fields.get(owner)?.value).filter((value) => typeof value === "number");
		const space = spaceOf(file, context, ids);
		return space === undefined ? [] : [rangeIn(machine, space, iova.value, BigInt(length))];
	});
}

function spaceOf(file: OpenFile | undefined, context: Context | undefined, ids: readonly number[]): Space | undefined {
	if (file instanceof ContainerFile) {
		const { map, mapped } = file.container;
		return map && { map, mappings: mapped, reserved: [] };
	}
	const named = ids.map((id) => context?.objects.find(id)).find((object) => object !== undefined);
	const map = (named === undefined ? context?.vfioIoas : ioasOf(named))?.mapIfMade;
	return map && { map, mappings: map.areas, reserved: map.ranges.reserved };
}

function ioasOf(object: IommufdObject): Ioas | undefined {
	if (object instanceof Ioas) return object;
	if (object instanceof Hwpt) return object.paging.ioas;
	if (object instanceof Viommu) return object.hwpt.ioas;
	return object instanceof Access ? object.ioas : undefined;
}

function rangeIn(machine: Machine, { map, mappings, reserved }: Space, first: bigint, length: bigint): CallRange {
	const last = length === 0n ? first : first + length - 1n < LAST ? first + length - 1n : LAST;
	const overlaps = (range: Range) => range.first <= last && range.last >= first;
	const found: Found[] = [];
	let more = 0;
	for (const mapping of mappings) {
		if (mapping.first > last) break;
		if (!overlaps(mapping)) continue;
		if (found.length === MOST_MAPPINGS) more++;
		else found.push({ ...endsOf(mapping), map: map.name, kind: "mapping", ...causeOf(machine, map, mapping.first) });
	}
	if (found.length === 0) {
		const { below, above } = map.nearest(first);
		if (below) found.push({ ...endsOf(below), map: map.name, kind: "below" });
		if (above) found.push({ ...endsOf(above), map: map.name, kind: "above" });
	}
	for (const region of reserved)
		if (overlaps(region)) found.push({ ...endsOf(region), map: map.name, kind: "reserved", what: region.what });
	return { first, last, map: map.name, found, more };
}

function endsOf({ first, last }: Range): Range {
	return { first, last };
}

/** Of what is mapped at an IOVA now. */
function causeOf({ history }: Machine, map: AddressMap, iova: bigint): { by?: Cause } {
	for (const { isUnmap, call, thread, command } of history.changesAt(map, iova))
		return isUnmap || call === 0 ? {} : { by: { call, thread, command } };
	return {};
}
