// What there is on a machine, for people and for programs: a line for each object, and what belongs to it below.

import { withPasid } from "../iommu/core/pasid.js";
import type { ContainerRecord, FileRecord, Mapped, ObjectRecord } from "../machine/inventory.js";
import type { Shown } from "./run-socket.js";

/** More ranges than that stand in the JSON only. */
const MOST_RANGES = 8;

export function fileText(file: FileRecord): Shown {
	const lines = "objects" in file ? file.objects.flatMap((object) => linesOf(object)) : containerLines(file);
	return {
		lines: [`${file.path}:`, ...(lines.length === 0 ? ["  no objects"] : lines.map((line) => `  ${line}`))],
		data: file,
	};
}

/** The object, and what belongs to it on lines of their own. */
export function linesOf(object: ObjectRecord): string[] {
	const about = aboutObject(object).filter((part) => part !== undefined);
	const head = about.length === 0 ? titleOf(object) : `${titleOf(object)}: ${about.join(", ")}`;
	const reserved = (object.reserved ?? []).map(
		({ range: [first, last], what }) => `  reserved: ${first} to ${last}, ${what}`,
	);
	return [head, ...reserved];
}

/** "HWPT 3 (intel-vtd)" */
function titleOf({ kind, id, name, driver }: ObjectRecord): string {
	// One of iommufd's own is called after what it is for.
	const title = kind === "ACCESS" && name !== `${kind} ${id}` ? `${kind} ${id} (${name})` : name;
	return driver === undefined ? title : `${title} (${driver})`;
}

function aboutObject(object: ObjectRecord): (string | undefined)[] {
	const { kind, mapped, ioas, parent, uses, usedBy, pinned, virtualId, faultQueue } = object;
	switch (kind) {
		case "IOAS":
			return [mapped && mappedInWords(mapped), object.isContainers ? "VFIO's container ioctls work on it" : undefined];
		case "HWPT_PAGING":
			return [
				`shows IOAS ${ioas}`,
				object.isNestParent ? "can be nested on" : undefined,
				object.isAutomatic ? "made by an attach" : undefined,
				faultQueue === undefined ? undefined : `page faults go to FAULT ${faultQueue}`,
			];
		case "HWPT_NESTED": {
			const viommu = uses.find((id) => id !== parent && id !== faultQueue);
			return [
				`nested on HWPT ${parent}`,
				viommu === undefined ? undefined : `of vIOMMU ${viommu}`,
				faultQueue === undefined ? undefined : `page faults go to FAULT ${faultQueue}`,
			];
		}
		case "DEVICE":
			return [object.vfio, `group ${object.group}`, attachedInWords(object)];
		case "ACCESS":
			return [
				ioas === undefined ? "attached to nothing" : `attached to IOAS ${ioas}`,
				pinned && `has pinned ${pinned[0]} to ${pinned[1]}`,
			];
		case "VIOMMU":
			return [`on HWPT ${uses[0]}`];
		case "VDEVICE":
			return [`device ${uses[1]} in vIOMMU ${uses[0]}, as ${virtualId}`];
		case "VEVENTQ":
			return [`of vIOMMU ${uses[0]}`];
		case "HW_QUEUE":
			return [`of vIOMMU ${uses[0]}`, uses.length > 1 ? `after HW_QUEUE ${uses[1]}` : undefined];
		case "FAULT":
			return [usedBy.length === 0 ? "of no HWPT" : `of ${usedBy.map((id) => `HWPT ${id}`).join(", ")}`];
		default:
			return [];
	}
}

function attachedInWords({ attached = [] }: ObjectRecord): string {
	if (attached.length === 0) return "attached to nothing";
	return attached.map(({ pasid, hwpt }) => `attached to HWPT ${hwpt}${withPasid(pasid)}`).join(", ");
}

/** "2 mappings of 0x3000 bytes at 0x0 to 0xfff, 0x10000 to 0x11fff" */
export function mappedInWords({ mappings, bytes, ranges, more }: Mapped): string {
	if (mappings === 0) return "nothing mapped";
	const shown = ranges.slice(0, MOST_RANGES).map(([first, last]) => `${first} to ${last}`);
	const rest = ranges.length - shown.length + more;
	const all = rest === 0 ? shown.join(", ") : `${shown.join(", ")} and ${rest} more`;
	return `${mappings === 1 ? "1 mapping" : `${mappings} mappings`} of ${bytes} bytes at ${all}`;
}

function containerLines({ groups, domains, mapped }: ContainerRecord): string[] {
	const ofGroup = groups.map(({ name, devices }) => `group ${name}: ${devices.join(", ")}`);
	const tables = domains.map((driver) => `page table (${driver})`);
	return [...ofGroup, ...tables, mappedInWords(mapped)];
}
