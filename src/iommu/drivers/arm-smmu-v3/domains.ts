// The domains of an SMMU that the kernel has the tables of: stage 1 or stage 2.
// SMMUv3 (IHI 0070), 3.3.2 "StreamIDs to Context Descriptors", 3.4 "Address sizes". Linux: drivers/iommu/arm/arm-smmu-v3.

import { armv8 } from "../../../pagetable/formats/armv8.js";
import { PageTable } from "../../../pagetable/pagetable.js";
import type { TableMemory } from "../../../pagetable/table-memory.js";
import { Errno } from "../../../uapi/errno.js";
import { BaseDomain, PageTableDomain } from "../../core/domain.js";
import type { Device, DirtyTracking, Domain, IommuDriver } from "../../core/iommu.js";
import { NO_PASID, type Pasid } from "../../core/pasid.js";
import type { Smmu, SmmuDevice } from "./device.js";
import {
	abortEntry,
	contextDescriptor,
	S1DSS_SSID0,
	S1DSS_TERMINATE,
	type StageTwo,
	stageTwoEntry,
	type WalkControl,
} from "./ste.js";

export class SmmuBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device, old: Domain): void {
		const smmu = device as SmmuDevice;
		smmu.descriptors.clear(NO_PASID);
		smmu.replaceFaultUser(this, old, () => {
			smmu.ste = smmu.usesPasids ? smmu.entryWithDescriptors(S1DSS_TERMINATE) : abortEntry();
			smmu.domain = undefined;
			smmu.descriptors.freeUnused();
		});
	}

	/** When the last PASID goes, a device that has nothing else goes back to no entry. */
	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		const smmu = device as SmmuDevice;
		smmu.replaceFaultUser(this, old, () => {
			smmu.descriptors.clear(pasid);
			if (!smmu.usesPasids && smmu.domain === undefined) smmu.ste = abortEntry();
			smmu.descriptors.freeUnused();
		});
	}

	override free(): void {}
}

/** How a domain's table is made. */
export interface SmmuDomainRequest {
	readonly stage: 1 | 2;
	readonly tracksDirty: boolean;
	readonly isNestParent: boolean;
}

/** A table for a stage. @throws ENOMEM, also when the SMMU has no granule that fits */
export function tableFor({ features }: Smmu, request: SmmuDomainRequest, memory: TableMemory): PageTable {
	const [granuleLg2] = features.granules;
	if (granuleLg2 === undefined)
		throw new Errno("ENOMEM", "arm-smmu-v3: SMMU_IDR5 has no granule that Linux knows", "table-config");
	const { format, config } = armv8({
		stage: request.stage,
		granuleLg2,
		inputBits: request.stage === 1 ? features.inputBits : features.outputBits,
		outputBits: features.outputBits,
		hardwareDirty: request.tracksDirty,
		forceWriteBack: request.isNestParent && features.FWB,
	});
	return new PageTable(format, config, memory);
}

export class SmmuDomain extends PageTableDomain {
	readonly smmu: Smmu;
	readonly stage: 1 | 2;
	readonly isNestParent: boolean;
	/** ASID of a stage 1, VMID of a stage 2. */
	readonly tag: number;
	/** Only devices whose every access snoops may be attached. */
	enforcesCacheCoherency = false;

	constructor(driver: IommuDriver, smmu: Smmu, request: SmmuDomainRequest, tag: number, memory: TableMemory) {
		super(driver, tableFor(smmu, request, memory));
		this.smmu = smmu;
		this.stage = request.stage;
		this.isNestParent = request.isNestParent;
		this.tag = tag;
		if (request.tracksDirty) this.dirtyTracking = new HardwareDirtyTracking();
	}

	override attachDevice(device: Device, old: Domain): void {
		const smmu = device as SmmuDevice;
		this.#checkSmmu(smmu);
		if (this.stage === 2) checkNoPasids(smmu);
		this.checkDevice(smmu);
		smmu.replaceFaultUser(this, old, () => this.#show(smmu));
	}

	/** What the device's tables say from now on. */
	#show(smmu: SmmuDevice): void {
		if (this.stage === 1) {
			smmu.descriptors.set(NO_PASID, contextDescriptor(this.#stageOne, smmu.stalls));
			smmu.ste = smmu.entryWithDescriptors(S1DSS_SSID0);
		} else {
			smmu.ste = stageTwoEntry(this.stageTwo, smmu.options(true));
			smmu.descriptors.clear(NO_PASID);
			smmu.descriptors.freeUnused();
		}
		smmu.domain = this;
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		const smmu = device as SmmuDevice;
		this.#checkSmmu(smmu);
		if (this.stage === 2) throw new Errno("EINVAL", "the HWPT is a stage 2, and a PASID has a stage 1", "pasid-flag");
		if (!smmu.showsDescriptors && smmu.domain !== undefined)
			throw new Errno(
				"EINVAL",
				`${device.name} itself is attached to something without context descriptors, which PASIDs take`,
				"pasid-flag",
			);
		this.checkDevice(smmu);
		smmu.replaceFaultUser(this, old, () => {
			smmu.descriptors.set(pasid, contextDescriptor(this.#stageOne, smmu.stalls));
			if (!smmu.showsDescriptors) smmu.ste = smmu.entryWithDescriptors(S1DSS_TERMINATE);
		});
	}

	/** The hardware does it wherever an entry lets it, whether anybody wants to know or not. */
	override get marksLeaves(): boolean {
		return this.dirtyTracking !== undefined;
	}

	/** What a device must be for this domain, and for those that nest on it. */
	checkDevice(device: SmmuDevice): void {
		device.checkFaults(this);
		if (this.enforcesCacheCoherency && !device.canwbs)
			throw new Errno(
				"EINVAL",
				`the HWPT has every access snoop, and those of ${device.name} need not`,
				"cache-coherency",
			);
	}

	override enforceCacheCoherency(attached: readonly Device[] = []): boolean {
		this.enforcesCacheCoherency = attached.every((device) => (device as SmmuDevice).canwbs);
		return this.enforcesCacheCoherency;
	}

	/** What an entry says of this stage 2. */
	get stageTwo(): StageTwo {
		const forceWriteBack = this.isNestParent && this.smmu.features.FWB;
		return { ...this.#walk, vmid: this.tag, forceWriteBack };
	}

	override free(): void {
		super.free();
		const pool = this.stage === 1 ? this.smmu.asids : this.smmu.vmids;
		pool.free(this.tag);
	}

	get #stageOne() {
		return { ...this.#walk, asid: this.tag, hardwareDirty: this.dirtyTracking !== undefined };
	}

	get #walk(): WalkControl {
		const { features } = this.smmu;
		const { format, topLevel, topAddress } = this.table;
		return {
			inputBits: this.aperture.last.toString(2).length,
			outputBits: features.outputBits,
			granuleLg2: format.granuleLg2,
			topLevel,
			root: topAddress,
			isCoherent: features.COHACC,
		};
	}

	#checkSmmu(device: SmmuDevice): void {
		if (device.iommu !== this.smmu)
			throw new Errno(
				"EINVAL",
				`the HWPT was made for another SMMU than the one in front of ${device.name}`,
				"domain-does-not-fit",
			);
	}
}

/** @throws EBUSY when a PASID has something attached: then the entry must lead to context descriptors */
export function checkNoPasids(device: SmmuDevice): void {
	if (device.usesPasids)
		throw new Errno(
			"EBUSY",
			`${device.name} has PASIDs attached, so it itself can only be attached to a stage 1`,
			"pasid-flag",
		);
}

/** The SMMU keeps the dirty state in the entries all the time. */
class HardwareDirtyTracking implements DirtyTracking {
	enabled = false;

	set(enable: boolean): void {
		this.enabled = enable;
	}
}
