// The vIOMMU of an SMMU: the guest's stage 1, by its stream table entries, on a stage 2 of the host.
// SMMUv3 (IHI 0070), 3.3.2 and 5.2 "Stream Table Entry". Linux: drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-iommufd.c.

import { Errno, hex } from "../../../uapi/errno.js";
import { flagsIn } from "../../../uapi/field.js";
import {
	HwptAllocFlags,
	HwptArmSmmuV3,
	HwptDataType,
	InvalidateDataType,
	ViommuArmSmmuV3Invalidate,
} from "../../../uapi/iommufd.js";
import type { Device, Domain, DriverVdevice, DriverViommu, IommuDriver, ViommuCore } from "../../core/iommu.js";
import { carryOutUserData, readUserData, type UserData, type UserDataArray } from "../../core/user-data.js";
import type { Access } from "../../translation/access.js";
import type { FirstStage } from "../../translation/first-stage.js";
import type { GuestMemory } from "../../translation/guest-memory.js";
import { Iotlb } from "../../translation/iotlb.js";
import { TwoStageDomain } from "../../translation/two-stage-domain.js";
import {
	asidOf,
	type Command,
	checkCommand,
	isForLeaves,
	Opcode,
	opcodeOf,
	rangeOf,
	streamIdOf,
	substreamIdOf,
} from "./commands.js";
import type { SmmuDevice } from "./device.js";
import { checkNoPasids, type SmmuDomain } from "./domains.js";
import { DescriptorCache, GuestStream } from "./guest-tables.js";
import {
	abortEntry,
	CONFIG,
	configOf,
	EATS,
	EATS_ABT,
	EATS_TRANS,
	eatsOf,
	NESTING_ALLOWED,
	nestedEntry,
	type StreamTableEntry,
	stageTwoEntry,
	V,
} from "./ste.js";

/** Linux issues so many commands together: CMDQ_BATCH_ENTRIES - 1. */
const BATCH = 63;

export class VSmmu implements DriverViommu {
	readonly core: ViommuCore;
	readonly parent: SmmuDomain;
	/** All that is cached for the guest carries one VMID. */
	readonly tlb = new Iotlb();
	readonly descriptors = new DescriptorCache();
	readonly #driver: IommuDriver;

	constructor(driver: IommuDriver, core: ViommuCore, parent: SmmuDomain) {
		this.#driver = driver;
		this.core = core;
		this.parent = parent;
	}

	allocDomainNested(flags: number, data: UserData): SmmuNestedDomain {
		if (flags)
			throw new Errno(
				"EOPNOTSUPP",
				`arm-smmu-v3: a nested HWPT takes no flags, and flags has ${flagsIn(HwptAllocFlags, flags)}`,
				"unknown-flag",
			);
		const { ste } = readUserData(data, HwptDataType.ARM_SMMUV3, HwptArmSmmuV3);
		return new SmmuNestedDomain(this.#driver, this, checkedEntry(ste[0], ste[1]));
	}

	/** Commands are issued in batches. Of the batch with one that a guest can't give none is, though those before it count as done. */
	invalidateCache(array: UserDataArray): void {
		let batch: (() => void)[] = [];
		carryOutUserData(array, InvalidateDataType.ARM_SMMUV3, ViommuArmSmmuV3Invalidate, ({ cmd }, index) => {
			batch.push(this.#checked([cmd[0], cmd[1]]));
			if (batch.length < BATCH && index + 1 < array.entries) return;
			for (const issue of batch) issue();
			batch = [];
		});
	}

	vdeviceInit(): DriverVdevice {
		return { free() {} };
	}

	free(): void {}

	/** @returns what the command does @throws EIO */
	#checked(command: Command): () => void {
		checkCommand(command, this.parent.smmu.features);
		switch (opcodeOf(command)) {
			case Opcode.CFGI_CD: {
				const device = this.#deviceOf(streamIdOf(command));
				return () => this.descriptors.forget(device, substreamIdOf(command));
			}
			case Opcode.CFGI_CD_ALL: {
				const device = this.#deviceOf(streamIdOf(command));
				return () => this.descriptors.forgetAll(device);
			}
			case Opcode.ATC_INV:
				// Our devices keep no translations of their own.
				this.#deviceOf(streamIdOf(command));
				return () => {};
			case Opcode.TLBI_NH_VA:
				return () => this.#forgetRange(command, asidOf(command));
			case Opcode.TLBI_NH_VAA:
				return () => this.#forgetRange(command, undefined);
			case Opcode.TLBI_NH_ASID:
				return () => this.tlb.invalidateSpace(asidOf(command));
			default:
				return () => this.tlb.clear();
		}
	}

	#forgetRange(command: Command, asid: number | undefined): void {
		const { first, last } = rangeOf(command);
		this.tlb.invalidate(first, last, { leavesOnly: isForLeaves(command), ...(asid === undefined ? {} : { asid }) });
	}

	#deviceOf(virtualId: bigint): SmmuDevice {
		const device = this.core.findDevice(virtualId);
		if (device === undefined)
			throw new Errno(
				"EIO",
				`the guest has no device with the StreamID ${hex(virtualId)}: no vDEVICE was made for it`,
				"vdevice",
			);
		return device as SmmuDevice;
	}
}

/** What a guest's entry comes to: its two words without EATS, and whether it has ATS. */
interface GuestEntry {
	readonly words: readonly [bigint, bigint];
	readonly ats: boolean;
}

/** @throws EIO for an entry that a guest can't have */
function checkedEntry(word0: bigint, word1: bigint): GuestEntry {
	if (!(word0 & V)) return { words: [0n, 0n], ats: false };
	const [extra0, extra1] = [word0 & ~NESTING_ALLOWED[0], word1 & ~NESTING_ALLOWED[1]];
	if (extra0 !== 0n || extra1 !== 0n)
		throw new Errno("EIO", `the STE has bits ${hex(extra0)}, ${hex(extra1)}, which are the host's`, "first-stage");
	const config = configOf(word0);
	if (config !== CONFIG.ABORT && config !== CONFIG.BYPASS && config !== CONFIG.S1_TRANS)
		throw new Errno(
			"EIO",
			`STE.Config is ${config}: a guest aborts (0), bypasses (4) or has a stage 1 (5)`,
			"first-stage",
		);
	const eats = eatsOf(word1);
	if (eats !== EATS_ABT && eats !== EATS_TRANS)
		throw new Errno("EIO", `STE.EATS is ${eats}: a guest has full ATS (1) or none (0)`, "first-stage");
	return { words: [word0, word1 & ~EATS], ats: config === CONFIG.S1_TRANS && eats === EATS_TRANS };
}

export class SmmuNestedDomain extends TwoStageDomain {
	/** By the guest's context descriptors. */
	override readonly bringsPasids = true;
	readonly vsmmu: VSmmu;
	readonly guestEntry: GuestEntry;

	constructor(driver: IommuDriver, vsmmu: VSmmu, guestEntry: GuestEntry) {
		super(driver, vsmmu.tlb);
		this.vsmmu = vsmmu;
		this.guestEntry = guestEntry;
	}

	override attachDevice(device: Device, old: Domain): void {
		const smmu = device as SmmuDevice;
		const { parent, core } = this.vsmmu;
		if (smmu.iommu !== parent.smmu)
			throw new Errno("EINVAL", `the vIOMMU is on another SMMU than the one in front of ${device.name}`, "viommu");
		checkNoPasids(smmu);
		// Events of the device and invalidations for it go by its number in the guest. Without stage 1 there are none.
		if (this.#config !== CONFIG.ABORT && this.#config !== CONFIG.BYPASS) core.virtualIdOf(device);
		smmu.checkFaults(this);
		parent.checkDevice(smmu);
		smmu.replaceFaultUser(this, old, () => {
			smmu.ste = this.#entryFor(smmu);
			smmu.domain = this;
			// With the entry, what was cached by way of it. The guest's translations stay, until it invalidates them.
			this.vsmmu.descriptors.forgetAll(smmu);
		});
	}

	override get secondStage(): SmmuDomain {
		return this.vsmmu.parent;
	}

	override firstStageFor(access: Access, memory: GuestMemory, fresh: boolean): FirstStage | undefined {
		const { descriptors } = this.vsmmu;
		const known = fresh ? undefined : descriptors.get(access);
		if (known !== undefined) return known.stage;
		const { ste, iommu } = access.device as SmmuDevice;
		const stage = new GuestStream(ste, iommu.features).firstStage(access, memory);
		if (!fresh) descriptors.add(access, stage);
		return stage;
	}

	override cachedFirstStage(access: Access): { readonly stage: FirstStage | undefined } | undefined {
		return this.vsmmu.descriptors.get(access);
	}

	override free(): void {}

	get #config(): number {
		return configOf(this.guestEntry.words[0]);
	}

	/** An entry that is not valid aborts, so that the guest gets the event that it would have got. */
	#entryFor(device: SmmuDevice): StreamTableEntry {
		const { words, ats } = this.guestEntry;
		const { stageTwo } = this.vsmmu.parent;
		switch (this.#config) {
			case CONFIG.S1_TRANS:
				return nestedEntry(words, stageTwo, device.options(ats));
			case CONFIG.BYPASS:
				return stageTwoEntry(stageTwo, device.options(true));
			default:
				return abortEntry();
		}
	}
}
