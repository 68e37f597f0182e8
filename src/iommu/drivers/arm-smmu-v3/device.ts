// An SMMUv3, and the stream table entry and context descriptors of each device behind it.
// SMMUv3 (IHI 0070), 3.3 "Data structures and translation procedure". struct arm_smmu_master in Linux.

import type { TableMemory } from "../../../pagetable/table-memory.js";
import { Errno } from "../../../uapi/errno.js";
import { FaultUsers } from "../../core/fault.js";
import type { Domain, Group, IommuDriver } from "../../core/iommu.js";
import { NO_PASID } from "../../core/pasid.js";
import { type Iommu, PciDevice, type PciFunction } from "../../core/pci.js";
import { IdPool } from "../id-pool.js";
import { CdTable } from "./cd-table.js";
import { SmmuFeatures, type SmmuRegisters } from "./registers.js";
import { abortEntry, CONFIG, configOf, type Options, type StreamTableEntry, stageOneEntry } from "./ste.js";

/** What the firmware says of the root complex in front of an SMMU. IORT (DEN 0049), "Root complex node". */
export interface RootComplex {
	readonly ats: boolean;
	/** Every access is cacheable, write-back and shareable, whatever the device asks for. */
	readonly canwbs: boolean;
}

export interface SmmuOptions {
	readonly rootComplex: RootComplex;
	/** CONFIG_ARM_SMMU_V3_SVA, without which Linux takes no page faults. */
	readonly sva: boolean;
}

export class Smmu implements Iommu {
	readonly driver: IommuDriver;
	readonly registers: SmmuRegisters;
	readonly features: SmmuFeatures;
	readonly options: SmmuOptions;
	/** VMID 0 is for devices whose stage 2 is bypassed. */
	readonly vmids: IdPool;
	readonly asids: IdPool;
	readonly #memory: TableMemory;

	constructor(driver: IommuDriver, registers: SmmuRegisters, options: SmmuOptions, memory: TableMemory) {
		this.driver = driver;
		this.registers = registers;
		this.features = new SmmuFeatures(registers);
		this.options = options;
		this.vmids = new IdPool("VMIDs of an SMMU", 1, 2 ** this.features.vmidBits - 1, "ENOSPC");
		this.asids = new IdPool("ASIDs of an SMMU", 1, 2 ** this.features.asidBits - 1, "EBUSY");
		this.#memory = memory;
	}

	probe(pci: PciFunction, group: Group): SmmuDevice {
		return new SmmuDevice(pci, group, this, this.#memory);
	}
}

export class SmmuDevice extends PciDevice {
	declare readonly iommu: Smmu;
	readonly descriptors: CdTable;
	ste: StreamTableEntry = abortEntry();
	/** What is attached for requests without a PASID; undefined for none. */
	domain: Domain | undefined;
	readonly #faultUsers = new FaultUsers(this);

	constructor(pci: PciFunction, group: Group, smmu: Smmu, memory: TableMemory) {
		const ssidBits = Math.min(pci.pasidBits, smmu.features.SSIDSIZE);
		super(pci, smmu.driver, group, pci.pasidBits === 0 ? 0 : 2 ** ssidBits, smmu);
		this.descriptors = new CdTable(ssidBits, smmu.features.CD2L, memory);
	}

	/** Every access snoops whatever the device asks for. */
	get canwbs(): boolean {
		return this.iommu.options.rootComplex.canwbs;
	}

	get ats(): boolean {
		return this.iommu.features.ATS && this.iommu.options.rootComplex.ats && this.pci.ats;
	}

	get stalls(): boolean {
		return this.iommu.features.forcesStalls;
	}

	/** Whether a PASID has something attached. */
	get usesPasids(): boolean {
		return this.descriptors.usesOthersThan(NO_PASID);
	}

	/** Whether the stream table entry leads to context descriptors of ours. */
	get showsDescriptors(): boolean {
		return configOf(this.ste[0]) === CONFIG.S1_TRANS;
	}

	/** A stream table entry that leads to the context descriptors. */
	entryWithDescriptors(dss: number): StreamTableEntry {
		return stageOneEntry(this.descriptors, dss, this.options(true));
	}

	options(atsWanted: boolean): Options {
		return { ats: atsWanted && this.ats, stalls: this.stalls };
	}

	/** @throws EOPNOTSUPP when the domain wants page faults and the kernel takes none from an SMMU */
	checkFaults({ faultHandler }: Domain): void {
		if (faultHandler !== undefined && !this.iommu.options.sva)
			throw new Errno(
				"EOPNOTSUPP",
				"the HWPT takes page faults, and this kernel is built without CONFIG_ARM_SMMU_V3_SVA, which they take",
				"hardware-lacks",
			);
	}

	/** Attaches a domain in the place of another one. Only a device that waits when it faults asks for pages. */
	replaceFaultUser(domain: Domain, old: Domain | undefined, attach: () => void): void {
		if (this.stalls) this.#faultUsers.replace(domain, old, attach);
		else attach();
	}
}
