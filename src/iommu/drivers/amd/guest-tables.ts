// How an AMD IOMMU finds a guest's own tables: by the device table entry, and a table of roots by PASID in the guest's memory.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.6.3 "Guest CR3 Table". Addresses are guest-physical:
// Linux nests only where EFR2.GCR3TRPModeSup lets them be.

import { hex } from "../../../uapi/errno.js";
import { NO_PASID } from "../../core/pasid.js";
import { DmaFault, type DmaRequest } from "../../translation/dma-fault.js";
import type { FirstStage } from "../../translation/first-stage.js";
import type { GuestMemory } from "../../translation/guest-memory.js";
import { guestX86_64 } from "../guest-x86-64.js";
import { type DeviceTableEntry, GIOV, GLX, GuestPagingMode, gcr3Of } from "./dte.js";

/** Low word of an entry of the table: it counts. */
const V = 1;
const BITS_PER_LEVEL = 9;
const ADDRESS_HIGH = 0xfffff;
const ADDRESS_LOW = 0xfffff000;

/** @returns undefined for requests that the entry lets bypass the guest's tables @throws DmaFault */
export function guestTables(entry: DeviceTableEntry, request: DmaRequest, memory: GuestMemory): FirstStage | undefined {
	const { pasid } = request;
	if (pasid === NO_PASID && !(entry[0] & GIOV)) return undefined;
	return guestX86_64({
		root: rootOf(entry, request, memory),
		levels: (entry[2] & GuestPagingMode) >> 54n === 1n ? 5 : 4,
		signExtends: pasid !== NO_PASID,
		has1GPages: true,
		extendedAccessed: false,
		asid: pasid,
	});
}

/** What the Guest CR3 table has for the PASID. A table of several levels has the lower ones in other pages. */
function rootOf(entry: DeviceTableEntry, request: DmaRequest, memory: GuestMemory): bigint {
	const { pasid } = request;
	const topLevel = Number((entry[0] & GLX) >> 56n);
	if (pasid >= 2 ** ((topLevel + 1) * BITS_PER_LEVEL)) {
		const reason = `the Guest CR3 table has ${topLevel + 1} levels (GLX ${topLevel}), and no place for PASID ${pasid}`;
		throw new DmaFault(request, "first stage", "out-of-range", reason);
	}
	let address = gcr3Of(entry);
	for (let level = topLevel; level >= 0; level--) {
		const index = (pasid >>> (level * BITS_PER_LEVEL)) & (2 ** BITS_PER_LEVEL - 1);
		const at = address + BigInt(8 * index);
		const name = `Guest CR3 table entry ${index}`;
		const [low, high] = memory.read(at, 2, name);
		if (!(low & V)) {
			const reason = `${name} at guest-physical ${hex(at)} has no V: nothing is there for PASID ${pasid}`;
			throw new DmaFault(request, "first stage", "not-present", reason);
		}
		address = (BigInt(high & ADDRESS_HIGH) << 32n) | BigInt((low & ADDRESS_LOW) >>> 0);
	}
	return address;
}
