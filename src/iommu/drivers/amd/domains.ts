// The domains of an AMD IOMMU: with a host table ("v1"), and with a guest table in the CPU's format ("v2").
// AMD I/O Virtualization Technology (IOMMU) Specification (48882): 2.2.3 "I/O Page Tables for Host Translations",
// 2.2.6 "I/O Page Tables for Guest Translations". Linux: drivers/iommu/amd/iommu.c.

import { amdv1 } from "../../../pagetable/formats/amdv1.js";
import { x86_64 } from "../../../pagetable/formats/x86-64.js";
import { FORCE_COHERENCE, PageTable } from "../../../pagetable/pagetable.js";
import { TABLE_FRAME_LG2, type TableMemory } from "../../../pagetable/table-memory.js";
import { Errno } from "../../../uapi/errno.js";
import { BaseDomain, PageTableDomain } from "../../core/domain.js";
import type { Device, DirtyTracking } from "../../core/iommu.js";
import type { AmdDriver } from "../amd.js";
import type { AmdDevice, AmdDomain, AmdIommu } from "./device.js";
import { type DeviceTableEntry, guestEntry, type HostTranslation, hostEntry } from "./dte.js";

/** Widest physical address. */
const PA_BITS = 52;
/** A host table begins with three levels, and grows with what is mapped. */
const FIRST_TOP_LEVEL = 2;
/** V: the root of this PASID counts. Table "Guest CR3 Table Entry". */
const GCR3_V = 1;

export class AmdBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device): void {
		(device as AmdDevice).detach();
	}

	override setDevicePasid(): void {}

	override free(): void {}
}

/** A domain of either kind: the driver attaches them alike. */
export abstract class AmdPagingDomain extends PageTableDomain implements AmdDomain {
	/** Tags what the IOMMU caches of it. */
	readonly domainId: number;
	readonly devices = new Set<AmdDevice>();
	readonly #driver: AmdDriver;

	constructor(driver: AmdDriver, domainId: number, table: PageTable) {
		super(driver, table);
		this.#driver = driver;
		this.domainId = domainId;
	}

	abstract entryFor(device: AmdDevice): DeviceTableEntry;

	override attachDevice(device: Device): void {
		const amd = device as AmdDevice;
		if (amd.domain === this) return;
		if (this.dirtyTracking !== undefined && !amd.iommu.features.HDSup)
			throw new Errno(
				"EINVAL",
				`the HWPT enforces dirty tracking, and the IOMMU of ${device.name} has no EFR.HDSup`,
				"domain-does-not-fit",
			);
		amd.detach();
		amd.attach(this);
	}

	override enforceCacheCoherency(): boolean {
		return true;
	}

	override free(): void {
		super.free();
		this.#driver.domainIds.free(this.domainId);
	}
}

export class HostDomain extends AmdPagingDomain {
	readonly iommu: AmdIommu;
	/** Nested domains on top of it: what concerns this table concerns their devices. */
	readonly nested = new Set<AmdDomain>();

	constructor(driver: AmdDriver, iommu: AmdIommu, domainId: number, memory: TableMemory, tracksDirty: boolean) {
		const config = {
			vaBits: iommu.features.hostAddressBits,
			paBits: PA_BITS,
			topLevel: FIRST_TOP_LEVEL,
			growsTop: true,
			topChanged: () => this.tellDevices(),
		};
		super(driver, domainId, new PageTable(amdv1, config, memory));
		this.iommu = iommu;
		if (tracksDirty) this.dirtyTracking = new HostDirtyTracking(this);
	}

	override entryFor(device: AmdDevice): DeviceTableEntry {
		return hostEntry(this.translationFor(device, this.domainId));
	}

	/** @param domainId by which the IOMMU tags what it caches: ours, or that of a nested domain */
	translationFor({ atsEnabled }: AmdDevice, domainId: number): HostTranslation {
		return {
			root: this.table.topAddress,
			levels: this.table.topLevel + 1,
			domainId,
			tracksDirty: this.dirtyTracking?.enabled ?? false,
			ats: atsEnabled,
		};
	}

	/** FC stands in every entry: snooping is not left to the device. */
	override map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void {
		super.map(va, pa, count, protection | FORCE_COHERENCE, allowedSizes);
	}

	/** The table has a new root, or its dirty bits are to be kept from now on, or no longer. */
	tellDevices(): void {
		for (const domain of [this, ...this.nested])
			for (const device of domain.devices) device.entry = domain.entryFor(device);
	}
}

class HostDirtyTracking implements DirtyTracking {
	enabled = false;
	readonly #domain: HostDomain;

	constructor(domain: HostDomain) {
		this.#domain = domain;
	}

	set(enable: boolean): void {
		this.enabled = enable;
		this.#domain.tellDevices();
	}
}

export class GuestDomain extends AmdPagingDomain {
	readonly #memory: TableMemory;
	readonly #levels: number;
	/** The Guest CR3 tables of the devices, by device: one root each, for requests without PASID. */
	readonly #gcr3Tables = new Map<AmdDevice, number>();

	constructor(driver: AmdDriver, iommu: AmdIommu, domainId: number, memory: TableMemory) {
		const levels = iommu.features.guestLevels;
		// One bit less than the levels translate: then it doesn't matter that with a PASID the address is sign-extended.
		const config = { vaBits: levels * 9 + 12 - 1, paBits: PA_BITS, topLevel: levels - 1 };
		super(driver, domainId, new PageTable(x86_64, config, memory));
		this.#memory = memory;
		this.#levels = levels;
	}

	override entryFor(device: AmdDevice): DeviceTableEntry {
		const frame = this.#gcr3Tables.get(device) ?? this.#makeGcr3Table(device);
		const gcr3Table = BigInt(frame) << BigInt(TABLE_FRAME_LG2);
		return guestEntry({ gcr3Table, levels: this.#levels, domainId: this.domainId, ats: device.atsEnabled });
	}

	/** Called when the device leaves the domain. */
	freeGcr3Table(device: AmdDevice): void {
		const frame = this.#gcr3Tables.get(device);
		if (frame === undefined) return;
		this.#memory.free(frame);
		this.#gcr3Tables.delete(device);
	}

	#makeGcr3Table(device: AmdDevice): number {
		const frame = this.#memory.allocate(TABLE_FRAME_LG2);
		const words = this.#memory.tableAt(frame);
		words[0] = Number(this.table.topAddress & 0xffff_f000n) | GCR3_V;
		words[1] = Number(this.table.topAddress >> 32n);
		this.#gcr3Tables.set(device, frame);
		return frame;
	}
}
