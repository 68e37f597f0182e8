// The vIOMMU of an AMD IOMMU: the guest's own tables in the CPU's format, by its device table entries, on a host table.
// AMD I/O Virtualization Technology (IOMMU) Specification (48882), 2.2.2.1 "Device Table Entry Format" and 2.2.6.
// Linux: drivers/iommu/amd/nested.c. Linux 7.3 has all of it but doesn't name it in its ops yet: nesting fails there with
// EOPNOTSUPP. Here it can be had.

import { Errno } from "../../../uapi/errno.js";
import { nameIn } from "../../../uapi/field.js";
import { HwptAmdGuest, HwptDataType } from "../../../uapi/iommufd.js";
import type { Device, DriverViommu } from "../../core/iommu.js";
import { readUserData, type UserData } from "../../core/user-data.js";
import type { DmaRequest } from "../../translation/dma-fault.js";
import type { FirstStage } from "../../translation/first-stage.js";
import type { GuestMemory } from "../../translation/guest-memory.js";
import { TwoStageDomain } from "../../translation/two-stage-domain.js";
import type { AmdDriver } from "../amd.js";
import type { AmdDevice, AmdDomain } from "./device.js";
import type { HostDomain } from "./domains.js";
import {
	type DeviceTableEntry,
	DomainID,
	GCR3_14_12,
	GCR3_30_15,
	GCR3_51_31,
	GIOV,
	GLX,
	GuestPagingMode,
	GV,
	gcr3Of,
	HostPageTableRootPtr,
	Mode,
	nestedEntry,
	PPR,
	V,
} from "./dte.js";
import { guestTables } from "./guest-tables.js";

/** Values of GuestPagingMode. */
const FOUR_LEVELS = 0n;
const FIVE_LEVELS = 1n;
const GLX_RESERVED = 3n;

export class AmdViommu implements DriverViommu {
	readonly driver: AmdDriver;
	readonly parent: HostDomain;
	/** The guest numbers its domains; the IOMMU caches by our numbers. By the guest's number. */
	readonly #domainIds = new Map<number, { readonly id: number; users: number }>();

	constructor(driver: AmdDriver, parent: HostDomain) {
		this.driver = driver;
		this.parent = parent;
	}

	allocDomainNested(_flags: number, data: UserData): AmdNestedDomain {
		if (data.type !== HwptDataType.AMD_GUEST)
			throw new Errno(
				"EOPNOTSUPP",
				`amd: data_type is ${nameIn(HwptDataType, data.type)}, and it nests with AMD_GUEST only`,
				"data-type",
			);
		const { dte } = readUserData(data, HwptDataType.AMD_GUEST, HwptAmdGuest);
		const entry = BigUint64Array.from(dte);
		this.#check(entry);
		return new AmdNestedDomain(this, entry, this.useDomainId(Number(entry[1] & DomainID)));
	}

	free(): void {}

	/** Our number for one of the guest's. @throws ENOSPC */
	useDomainId(guestId: number): number {
		let tag = this.#domainIds.get(guestId);
		if (tag === undefined) {
			tag = { id: this.driver.domainIds.allocate("ENOSPC"), users: 0 };
			this.#domainIds.set(guestId, tag);
		}
		tag.users++;
		return tag.id;
	}

	dropDomainId(guestId: number): void {
		const tag = this.#domainIds.get(guestId)!;
		tag.users--;
		if (tag.users > 0) return;
		this.driver.domainIds.free(tag.id);
		this.#domainIds.delete(guestId);
	}

	/** @throws EINVAL for an entry that a guest can't have, EOPNOTSUPP for more levels than the IOMMU has */
	#check(entry: DeviceTableEntry): void {
		if (entry[0] & (Mode | HostPageTableRootPtr))
			throw new Errno(
				"EINVAL",
				"the DTE has Mode or Host Page Table Root Pointer, which are the host's",
				"first-stage",
			);
		const translates = (entry[0] & (V | GV)) === (V | GV);
		if (translates && gcr3Of(entry) === 0n)
			throw new Errno("EINVAL", "the DTE has V and GV, and its GCR3 table is at 0", "first-stage");
		const levels = (entry[2] & GuestPagingMode) >> 54n;
		if (levels !== FOUR_LEVELS && levels !== FIVE_LEVELS)
			throw new Errno(
				"EINVAL",
				`the DTE's GuestPagingMode is ${levels}: it is 0 for four levels, 1 for five`,
				"first-stage",
			);
		if ((entry[0] & GLX) >> 56n === GLX_RESERVED)
			throw new Errno("EINVAL", "the DTE's GLX is 3, which is reserved", "first-stage");
		if (levels === FIVE_LEVELS && this.parent.iommu.features.guestLevels < 5)
			throw new Errno(
				"EOPNOTSUPP",
				"the DTE asks for guest tables of five levels: EFR.GATS has four",
				"hardware-lacks",
			);
	}
}

export class AmdNestedDomain extends TwoStageDomain implements AmdDomain {
	/** By the guest's own table of roots. */
	override readonly bringsPasids = true;
	readonly devices = new Set<AmdDevice>();
	readonly viommu: AmdViommu;
	/** The guest's entry. */
	readonly guestEntry: DeviceTableEntry;
	readonly #domainId: number;

	constructor(viommu: AmdViommu, guestEntry: DeviceTableEntry, domainId: number) {
		super(viommu.driver);
		this.viommu = viommu;
		this.guestEntry = guestEntry;
		this.#domainId = domainId;
		viommu.parent.nested.add(this);
	}

	override attachDevice(device: Device): void {
		const amd = device as AmdDevice;
		amd.detach();
		amd.attach(this);
		// Linux has no other way yet by which a guest could have anything invalidated.
		this.tlb.clear();
	}

	override get secondStage(): HostDomain {
		return this.viommu.parent;
	}

	override firstStageFor(request: DmaRequest, memory: GuestMemory): FirstStage | undefined {
		return guestTables((request.device as AmdDevice).entry, request, memory);
	}

	/** The parent's entry, and of the guest's what is about guest translation. */
	entryFor(device: AmdDevice): DeviceTableEntry {
		const guest = this.guestEntry;
		return nestedEntry(
			this.viommu.parent.translationFor(device, this.#domainId),
			guest[0] & (PPR | GLX | GIOV | GCR3_14_12),
			guest[1] & (GCR3_30_15 | GCR3_51_31),
			guest[2] & GuestPagingMode,
		);
	}

	override free(): void {
		this.viommu.parent.nested.delete(this);
		this.viommu.dropDomainId(Number(this.guestEntry[1] & DomainID));
	}
}
