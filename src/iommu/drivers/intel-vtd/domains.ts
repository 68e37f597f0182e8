// The domains of a VT-d unit that the kernel has the tables of: a first stage, or a second stage.
// Intel VT-d Architecture Specification 5.0: 3.6 "First-Stage Translation", 3.7 "Second-Stage Translation".
// Linux: drivers/iommu/intel/iommu.c.

import { vtdSecondStage, vtdSecondStageForceWriteable } from "../../../pagetable/formats/vtd-second-stage.js";
import { x86_64 } from "../../../pagetable/formats/x86-64.js";
import { FORCE_COHERENCE, PageTable } from "../../../pagetable/pagetable.js";
import type { TableMemory } from "../../../pagetable/table-memory.js";
import { Errno, hex } from "../../../uapi/errno.js";
import { flagsIn } from "../../../uapi/field.js";
import { HwptAllocFlags } from "../../../uapi/iommufd.js";
import { BaseDomain, PageTableDomain } from "../../core/domain.js";
import type { Device, DirtyTracking, Domain, IommuDriver } from "../../core/iommu.js";
import { NO_PASID, type Pasid } from "../../core/pasid.js";
import { DomainIds, type VtdDevice, type VtdDomain, type VtdUnit } from "./device.js";
import {
	contextEntry,
	firstStageEntry,
	type PasidEntry,
	PGSNP,
	Pgtt,
	type SecondStage,
	SSADE,
	secondStageEntry,
	translationTypeOf,
} from "./entries.js";
import type { VtdRegisters } from "./registers.js";

/** Widest physical address. */
const PA_BITS = 52;
const SIZE_2M = 1n << 21n;
const SIZE_1G = 1n << 30n;

export class VtdBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device, old: Domain): void {
		const vtd = device as VtdDevice;
		vtd.faultUsers.replace(this, old, () => vtd.detach(NO_PASID));
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		const vtd = device as VtdDevice;
		vtd.faultUsers.replace(this, old, () => vtd.detach(pasid));
	}

	override free(): void {}
}

/** A domain with a table of either kind: a device is attached to them alike. */
export abstract class VtdPagingDomain extends PageTableDomain implements VtdDomain {
	readonly ids = new DomainIds();
	readonly entries = new Set<BigUint64Array>();
	/** Requests snoop whatever the device asks for. */
	forcesSnooping = false;
	/** Walks of the table need not see the CPU's caches: it was made for a unit that doesn't look there. */
	protected readonly isIncoherent: boolean;

	constructor(driver: IommuDriver, unit: VtdUnit, table: PageTable) {
		super(driver, table);
		this.isIncoherent = !unit.registers.walksCoherently;
	}

	/** @throws EINVAL when the unit can't translate with this table */
	abstract checkCompatible(unit: VtdUnit): void;
	abstract entryFor(device: VtdDevice, domainId: number): BigUint64Array;

	override attachDevice(device: Device, old: Domain): void {
		const vtd = device as VtdDevice;
		// First of all, so that a device whose attach fails can do no DMA: as in Linux.
		vtd.detach(NO_PASID);
		this.checkCompatible(vtd.iommu);
		vtd.checkFaults(this);
		vtd.faultUsers.replace(this, old, () => vtd.attach(NO_PASID, this));
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		const vtd = device as VtdDevice;
		if (!vtd.iommu.registers.hasPasids)
			throw new Errno(
				"EOPNOTSUPP",
				`the IOMMU of ${device.name} has no PASIDs: ECAP_REG.SMTS or ECAP_REG.PASID is 0`,
				"hardware-lacks",
			);
		this.checkCompatible(vtd.iommu);
		vtd.checkFaults(this);
		vtd.faultUsers.replace(this, old, () => vtd.attach(pasid, this));
	}

	protected checkCoherence({ walksCoherently }: VtdRegisters): void {
		if (!walksCoherently && !this.isIncoherent)
			throw new Errno(
				"EINVAL",
				"the HWPT's table is in the CPU's caches, and the unit doesn't look there when it walks",
				"domain-does-not-fit",
			);
	}
}

/** @throws EOPNOTSUPP */
export function allocFirstStage(
	driver: IommuDriver,
	unit: VtdUnit,
	flags: number,
	memory: TableMemory,
): FirstStageDomain | undefined {
	if (flags & ~HwptAllocFlags.PASID || !unit.registers.hasFirstStage) return undefined;
	return new FirstStageDomain(driver, unit, memory);
}

export class FirstStageDomain extends VtdPagingDomain {
	readonly #levels: number;
	/** Whether each new mapping is followed by a flush. */
	readonly #flushesOnMap: boolean;

	constructor(driver: IommuDriver, unit: VtdUnit, memory: TableMemory) {
		const { MGAW, FS5LP, FS1GP, flushesFirstStageOnMap } = unit.registers;
		const levels = MGAW > 48 && FS5LP ? 5 : 4;
		const vaBits = Math.min(levels === 5 ? 57 : 48, MGAW);
		const config = { vaBits, paBits: PA_BITS, topLevel: levels - 1, signExtend: true };
		super(driver, unit, new PageTable(x86_64, config, memory));
		this.#levels = levels;
		this.#flushesOnMap = flushesFirstStageOnMap;
		if (!FS1GP) this.pageSizes &= ~SIZE_1G;
	}

	override checkCompatible({ registers }: VtdUnit): void {
		if (!registers.hasFirstStage)
			throw new Errno("EINVAL", "the unit has no first stage: ECAP_REG.FSTS is 0", "domain-does-not-fit");
		this.checkCoherence(registers);
		if (!registers.FS5LP && this.#levels === 5)
			throw new Errno(
				"EINVAL",
				"the HWPT's table has 5 levels, and the unit walks 4: CAP_REG.FS5LP is 0",
				"domain-does-not-fit",
			);
		if (!registers.FS1GP && this.pageSizes & SIZE_1G)
			throw new Errno(
				"EINVAL",
				"the HWPT may have pages of 1 GiB, and the unit has none: CAP_REG.FS1GP is 0",
				"domain-does-not-fit",
			);
		if (registers.flushesFirstStageOnMap && !this.#flushesOnMap)
			throw new Errno(
				"EINVAL",
				"the HWPT was made where a new mapping takes no flush, and the unit needs one: CAP_REG.RWBF is 1",
				"domain-does-not-fit",
			);
	}

	override entryFor(_device: VtdDevice, domainId: number): PasidEntry {
		const root = this.table.topAddress;
		const stage = { root, levels: this.#levels, flags: 0n, snoops: this.forcesSnooping };
		return firstStageEntry(domainId, stage, !this.isIncoherent);
	}

	override enforceCacheCoherency(attached: readonly Device[] = []): boolean {
		if (!canSnoop(attached)) return false;
		this.forcesSnooping = true;
		for (const entry of this.entries) entry[1] |= PGSNP;
		return true;
	}
}

/** Whether the units in front of some devices can make requests snoop: SC. */
function canSnoop(devices: readonly Device[]): boolean {
	return devices.every((device) => (device as VtdDevice).iommu.registers.SC);
}

/** @throws EOPNOTSUPP for a flag that the unit can't serve */
export function allocSecondStage(
	driver: IommuDriver,
	unit: VtdUnit,
	flags: number,
	memory: TableMemory,
): SecondStageDomain {
	const { registers } = unit;
	const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptAllocFlags;
	const unknown = flags & ~(NEST_PARENT | DIRTY_TRACKING | PASID);
	if (unknown)
		throw new Errno(
			"EOPNOTSUPP",
			`intel-vtd: flags has ${flagsIn(HwptAllocFlags, unknown)}, which it doesn't have`,
			"hardware-lacks",
		);
	if (flags & NEST_PARENT && !registers.canNest)
		throw new Errno(
			"EOPNOTSUPP",
			"intel-vtd: NEST_PARENT takes scalable mode and ECAP_REG.NEST, and the unit lacks one",
			"hardware-lacks",
		);
	if (flags & DIRTY_TRACKING && !registers.canTrackDirty)
		throw new Errno(
			"EOPNOTSUPP",
			"intel-vtd: DIRTY_TRACKING takes ECAP_REG.SMTS, SSADS and SMPWCS, and one of them is 0",
			"hardware-lacks",
		);
	if (!registers.hasSecondStage)
		throw new Errno(
			"EOPNOTSUPP",
			"intel-vtd: in scalable mode a second stage takes ECAP_REG.SSTS, which is 0",
			"hardware-lacks",
		);
	return new SecondStageDomain(driver, unit, flags, memory);
}

export class SecondStageDomain extends VtdPagingDomain {
	readonly isNestParent: boolean;
	/** Nested domains on top of it: what concerns this stage concerns their devices. */
	readonly nested = new Set<VtdDomain>();
	readonly #vaBits: number;
	/** See FirstStageDomain. */
	readonly #flushesOnMap: boolean;

	constructor(driver: IommuDriver, unit: VtdUnit, flags: number, memory: TableMemory) {
		const { registers } = unit;
		const isNestParent = (flags & HwptAllocFlags.NEST_PARENT) !== 0;
		const { vaBits, topLevel } = secondStageSize(registers);
		// Erratum 772415 of Sapphire Rapids: a nested walk may write through a read-only entry of the second stage.
		const format = isNestParent ? vtdSecondStageForceWriteable : vtdSecondStage;
		super(driver, unit, new PageTable(format, { vaBits, paBits: PA_BITS, topLevel }, memory));
		this.isNestParent = isNestParent;
		this.#vaBits = vaBits;
		this.#flushesOnMap = registers.flushesSecondStageOnMap;
		if (!(registers.SSLPS & 1)) this.pageSizes &= ~SIZE_2M;
		if (!(registers.SSLPS & 2)) this.pageSizes &= ~SIZE_1G;
		if (flags & HwptAllocFlags.DIRTY_TRACKING) this.dirtyTracking = new SecondStageDirtyTracking(this);
	}

	override checkCompatible({ registers }: VtdUnit): void {
		if (this.dirtyTracking && !registers.canTrackDirty)
			throw new Errno(
				"EINVAL",
				"the HWPT tracks what is written, and the unit can't: see ECAP_REG.SSADS and SMPWCS",
				"domain-does-not-fit",
			);
		if (this.isNestParent && !registers.canNest)
			throw new Errno(
				"EINVAL",
				"the HWPT was made to nest on, and the unit can't nest: ECAP_REG.NEST is 0",
				"domain-does-not-fit",
			);
		if (!registers.hasSecondStage)
			throw new Errno("EINVAL", "the unit has no second stage: ECAP_REG.SSTS is 0", "domain-does-not-fit");
		this.checkCoherence(registers);
		if (registers.MGAW < this.#vaBits)
			throw new Errno(
				"EINVAL",
				`the HWPT's IOVAs have ${this.#vaBits} bits, and the unit takes ${registers.MGAW}`,
				"domain-does-not-fit",
			);
		if (!(registers.SAGAW & (1 << this.#addressWidth)))
			throw new Errno(
				"EINVAL",
				`the HWPT's table has ${this.table.topLevel + 1} levels, which CAP_REG.SAGAW doesn't have`,
				"domain-does-not-fit",
			);
		if (!(registers.SSLPS & 1) && this.pageSizes & SIZE_2M)
			throw new Errno(
				"EINVAL",
				"the HWPT may have pages of 2 MiB, and the unit has none: see CAP_REG.SSLPS",
				"domain-does-not-fit",
			);
		if (!(registers.SSLPS & 2) && this.pageSizes & SIZE_1G)
			throw new Errno(
				"EINVAL",
				"the HWPT may have pages of 1 GiB, and the unit has none: see CAP_REG.SSLPS",
				"domain-does-not-fit",
			);
		if (registers.flushesSecondStageOnMap && !this.#flushesOnMap)
			throw new Errno(
				"EINVAL",
				"the HWPT was made where a new mapping takes no flush, and the unit needs one: see CAP_REG.CM and RWBF",
				"domain-does-not-fit",
			);
		if (this.forcesSnooping && !registers.SC)
			throw new Errno(
				"EINVAL",
				"the HWPT has every request snoop, and the unit can't make it so: ECAP_REG.SC is 0",
				"cache-coherency",
			);
	}

	/** What an entry says of this stage. */
	get stage(): SecondStage {
		return {
			root: this.table.topAddress,
			addressWidth: this.#addressWidth,
			tracksDirty: this.dirtyTracking?.enabled ?? false,
			walksCoherently: !this.isIncoherent,
		};
	}

	override entryFor({ iommu, ats }: VtdDevice, domainId: number): BigUint64Array {
		if (iommu.registers.SMTS) return secondStageEntry(domainId, this.stage);
		return contextEntry(domainId, this.stage, ats);
	}

	/** SNP stands in every entry from now on. */
	override enforceCacheCoherency(attached: readonly Device[] = []): boolean {
		if (!canSnoop(attached)) return false;
		this.forcesSnooping = true;
		return true;
	}

	override map(va: number, pa: number, count: number, protection: number, allowedSizes: bigint): void {
		const always = this.forcesSnooping ? FORCE_COHERENCE : 0;
		super.map(va, pa, count, protection | always, allowedSizes);
	}

	/** 1, 2, 3 for 3, 4, 5 levels. */
	get #addressWidth(): number {
		return this.table.topLevel - 1;
	}
}

/** The widest table that MGAW and SAGAW allow; it may have more levels than the addresses need, if there are no others. */
function secondStageSize({ MGAW, SAGAW }: VtdRegisters): { vaBits: number; topLevel: number } {
	const lowestBit = (bits: number) => (bits === 0 ? 0 : 32 - Math.clz32(bits & -bits));
	if (MGAW > 48 && SAGAW >= 1 << 3) return { vaBits: Math.min(57, MGAW), topLevel: 4 };
	if (MGAW > 39 && SAGAW >= 1 << 2) return { vaBits: Math.min(48, MGAW), topLevel: 3 + lowestBit(SAGAW >> 3) };
	if (MGAW > 30 && SAGAW >= 1 << 1) return { vaBits: Math.min(39, MGAW), topLevel: 2 + lowestBit(SAGAW >> 2) };
	throw new Errno(
		"EOPNOTSUPP",
		`intel-vtd: no table fits CAP_REG.MGAW (${MGAW} bits) and CAP_REG.SAGAW (${hex(SAGAW)})`,
		"table-config",
	);
}

class SecondStageDirtyTracking implements DirtyTracking {
	enabled = false;
	readonly #domain: SecondStageDomain;

	constructor(domain: SecondStageDomain) {
		this.#domain = domain;
	}

	/** Changes every entry that shows the second stage, alone or below a first one. */
	set(enable: boolean): void {
		for (const { entries } of [this.#domain, ...this.#domain.nested]) {
			for (const entry of entries) {
				if (translationTypeOf(entry) === Pgtt.FIRST_STAGE) continue;
				entry[0] = enable ? entry[0] | SSADE : entry[0] & ~SSADE;
			}
		}
		this.enabled = enable;
	}
}
