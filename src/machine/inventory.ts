// What there is on a machine at the moment, as values that can be sent, compared and printed: the objects of each open of /dev/iommu,
// and the containers of VFIO's own. Nothing is made or changed by looking.

import type { Pasid } from "../iommu/core/pasid.js";
import type { Range } from "../iommu/dma/mapping-history.js";
import { Access } from "../iommufd/access.js";
import type { Context } from "../iommufd/context.js";
import { BoundDevice } from "../iommufd/device.js";
import { Hwpt, NestedHwpt, PagingHwpt } from "../iommufd/hwpt.js";
import { Ioas } from "../iommufd/ioas.js";
import type { IommufdObject } from "../iommufd/object.js";
import { Vdevice } from "../iommufd/vdevice.js";
import { hex } from "../uapi/errno.js";
import type { Container } from "../vfio/container.js";
import type { Machine } from "./machine.js";

/** First and last IOVA of a range, in hexadecimal. */
export type Ends = readonly [first: string, last: string];

/** What is mapped, with neighbours joined. */
export interface Mapped {
	readonly mappings: number;
	readonly bytes: string;
	readonly ranges: readonly Ends[];
	/** How many more ranges there are than stand in the list. */
	readonly more: number;
}

/** An object of an iommufd. Objects are named by their ids. */
export interface ObjectRecord {
	readonly id: number;
	readonly kind: string;
	/** What reasons call it: "HWPT 3". */
	readonly name: string;
	/** What it needs, so that this can't be destroyed before it, and who needs it. */
	readonly uses: readonly number[];
	readonly usedBy: readonly number[];
	/** What else keeps it. */
	readonly keptBy: readonly string[];
	/** Of an IOAS. */
	readonly mapped?: Mapped;
	readonly reserved?: readonly { readonly range: Ends; readonly what: string }[];
	/** Of an IOAS: whether it is the one that VFIO's container ioctls work on. */
	readonly isContainers?: boolean;
	/** Of a HWPT: the driver of its page table, what it shows or is nested on, and how it was made. */
	readonly driver?: string;
	readonly ioas?: number | undefined;
	readonly parent?: number;
	readonly isNestParent?: boolean;
	readonly isAutomatic?: boolean;
	readonly faultQueue?: number | undefined;
	/** Of a device: its name in /sys and in /dev/vfio/devices, and its IOMMU group. */
	readonly device?: string;
	readonly vfio?: string | undefined;
	readonly group?: number;
	readonly attached?: readonly { readonly pasid: Pasid; readonly hwpt: number }[];
	/** Of a vDEVICE: what the guest knows it by. */
	readonly virtualId?: string;
	/** Of an access: what it keeps from being unmapped. */
	readonly pinned?: Ends | undefined;
}

/** An open of /dev/iommu. */
export interface IommufdRecord {
	readonly path: string;
	readonly objects: readonly ObjectRecord[];
}

/** An open of /dev/vfio/vfio, where that is VFIO's own. */
export interface ContainerRecord {
	readonly path: string;
	/** Those of /dev/vfio, with the devices in them. */
	readonly groups: readonly { readonly name: string; readonly devices: readonly string[] }[];
	/** The drivers of its page tables. */
	readonly domains: readonly string[];
	readonly mapped: Mapped;
}

export type FileRecord = IommufdRecord | ContainerRecord;

/** More ranges than that are counted only. */
const MOST_RANGES = 10_000;

/** @returns opens of /dev/iommu, then containers, each in the order in which they were opened */
export function inventoryOf(machine: Machine): FileRecord[] {
	return [
		...Array.from(machine.contexts(), (context) => recordOfContext(machine, context)),
		...Array.from(machine.containers(), recordOfContainer),
	];
}

export function recordOfContext(machine: Machine, context: Context): IommufdRecord {
	const users = new Map<IommufdObject, number[]>();
	for (const object of context.objects)
		for (const used of new Set(object.uses())) {
			const known = users.get(used);
			if (known === undefined) users.set(used, [object.id]);
			else known.push(object.id);
		}
	const objects = Array.from(context.objects, (object) => ({
		...common(object, users.get(object) ?? []),
		...particulars(machine, context, object),
	}));
	return { path: machine.pathOf(context) ?? "/dev/iommu", objects };
}

function common(object: IommufdObject, usedBy: readonly number[]): ObjectRecord {
	const { id, kind } = object;
	const uses = [...new Set(object.uses())].map((used) => used.id);
	return { id, kind, name: String(object), uses, usedBy, keptBy: object.keptBy() };
}

/** What only objects of a kind have. */
function particulars(machine: Machine, context: Context, object: IommufdObject): Partial<ObjectRecord> {
	if (object instanceof Ioas) return ofIoas(context, object);
	if (object instanceof Hwpt) return ofHwpt(object);
	if (object instanceof BoundDevice) return ofDevice(machine, object);
	if (object instanceof Vdevice) return { virtualId: hex(object.virtualId) };
	if (object instanceof Access) return { ioas: object.ioas?.id, pinned: object.locked && endsOf(object.locked) };
	return {};
}

function ofIoas(context: Context, ioas: Ioas): Partial<ObjectRecord> {
	const map = ioas.mapIfMade;
	const reserved = map?.ranges.reserved ?? [];
	return {
		mapped: mappedOf(map?.areas ?? []),
		reserved: reserved.map((region) => ({ range: endsOf(region), what: region.what })),
		isContainers: context.vfioIoas === ioas,
	};
}

function ofHwpt(hwpt: Hwpt): Partial<ObjectRecord> {
	const common = { driver: hwpt.domain.driver.name, faultQueue: hwpt.faultQueue?.id };
	if (hwpt instanceof NestedHwpt) return { ...common, parent: hwpt.parent.id };
	if (!(hwpt instanceof PagingHwpt)) return common;
	const { ioas, isNestParent, isAutomatic } = hwpt;
	return { ...common, ioas: ioas.id, isNestParent, isAutomatic };
}

function ofDevice(machine: Machine, bound: BoundDevice): Partial<ObjectRecord> {
	const { device, group } = bound;
	const attached = [...group.attachments].filter(([, { devices }]) => devices.has(bound));
	return {
		device: device.name,
		vfio: machine.vfioDevices.find(({ name }) => name === device.name)?.cdevName,
		group: group.group.id,
		attached: attached.map(([pasid, { hwpt }]) => ({ pasid, hwpt: hwpt.id })),
	};
}

function recordOfContainer(container: Container): ContainerRecord {
	return {
		path: "/dev/vfio/vfio",
		groups: container.groups.map(({ name, devices }) => ({ name, devices: devices.map((device) => device.name) })),
		domains: container.domains.map(({ driver }) => driver.name),
		mapped: mappedOf(container.mapped),
	};
}

/** @param all in order */
function mappedOf(all: Iterable<Range>): Mapped {
	let mappings = 0;
	let bytes = 0n;
	const joined: { first: bigint; last: bigint }[] = [];
	let count = 0;
	let end: bigint | undefined;
	for (const { first, last } of all) {
		mappings++;
		bytes += last - first + 1n;
		if (end === undefined || first !== end + 1n) {
			count++;
			if (count <= MOST_RANGES) joined.push({ first, last });
		} else if (count <= MOST_RANGES) joined[joined.length - 1].last = last;
		end = last;
	}
	return { mappings, bytes: hex(bytes), ranges: joined.map(endsOf), more: count - joined.length };
}

function endsOf({ first, last }: Range): Ends {
	return [hex(first), hex(last)];
}
