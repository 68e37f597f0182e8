// A first stage in a guest's own memory, on top of a second stage.
// Intel VT-d Architecture Specification 5.0, 3.8 "Nested Translation"; 6.5.2.3 "PASID-based IOTLB Invalidate Descriptor".
// Linux: drivers/iommu/intel/nested.c, and intel_pasid_setup_nested() in pasid.c.

import { Errno, hex } from "../../../uapi/errno.js";
import { nameIn } from "../../../uapi/field.js";
import {
	HwptDataType,
	HwptVtdS1,
	HwptVtdS1Flags,
	HwptVtdS1Invalidate,
	InvalidateDataType,
	VtdInvalidateFlags,
} from "../../../uapi/iommufd.js";
import { worked } from "../../../uapi/slices.js";
import type { Device, Domain, IommuDriver, PagingDomain } from "../../core/iommu.js";
import { NO_PASID, type Pasid } from "../../core/pasid.js";
import { PER_ENTRY, readUserData, readUserDataEntry, type UserData, type UserDataArray } from "../../core/user-data.js";
import type { DmaRequest } from "../../translation/dma-fault.js";
import type { FirstStage } from "../../translation/first-stage.js";
import { TwoStageDomain } from "../../translation/two-stage-domain.js";
import { guestX86_64 } from "../guest-x86-64.js";
import { DomainIds, type VtdDevice, type VtdDomain, type VtdUnit } from "./device.js";
import { SecondStageDomain } from "./domains.js";
import { EAFE, nestedEntry, type PasidEntry, SRE, WPE } from "./entries.js";

const PAGE_SIZE = 4096n;
const EVERYTHING = (1n << 64n) - 1n;

/** @throws EOPNOTSUPP for another type of data or a unit that can't nest, EINVAL for another parent or data of another length */
export function allocNested(driver: IommuDriver, unit: VtdUnit, parent: PagingDomain, data: UserData): VtdNestedDomain {
	if (!unit.registers.canNest)
		throw new Errno(
			"EOPNOTSUPP",
			"intel-vtd: nesting takes scalable mode and ECAP_REG.NEST, and the unit lacks one",
			"hardware-lacks",
		);
	if (data.type !== HwptDataType.VTD_S1)
		throw new Errno(
			"EOPNOTSUPP",
			`intel-vtd: data_type is ${nameIn(HwptDataType, data.type)}, and it nests with VTD_S1 only`,
			"data-type",
		);
	if (!(parent instanceof SecondStageDomain) || !parent.isNestParent)
		throw new Errno(
			"EINVAL",
			"intel-vtd: the parent is not a second stage that was made with NEST_PARENT",
			"nest-parent",
		);
	const { flags: s1Flags, pgtblAddr, addrWidth } = readUserData(data, HwptDataType.VTD_S1, HwptVtdS1);
	return new VtdNestedDomain(driver, parent, { flags: s1Flags, root: pgtblAddr, addressWidth: addrWidth });
}

/** What the guest says of its first stage. Linux looks at none of it before a device is attached. */
export interface GuestFirstStage {
	/** HwptVtdS1Flags */
	readonly flags: bigint;
	/** Address of the top table, which the second stage translates. */
	readonly root: bigint;
	/** 48 or 57 bits: 4 or 5 levels. */
	readonly addressWidth: number;
}

export class VtdNestedDomain extends TwoStageDomain implements VtdDomain {
	readonly ids = new DomainIds();
	readonly entries = new Set<BigUint64Array>();
	readonly parent: SecondStageDomain;
	readonly firstStage: GuestFirstStage;
	/** What firstStageFor() answers to the unit that asked last: most domains are behind one. */
	#unit: VtdUnit | undefined;
	#stage!: FirstStage;

	constructor(driver: IommuDriver, parent: SecondStageDomain, firstStage: GuestFirstStage) {
		super(driver);
		this.parent = parent;
		this.firstStage = firstStage;
		parent.nested.add(this);
	}

	override attachDevice(device: Device, old: Domain): void {
		const vtd = device as VtdDevice;
		vtd.detach(NO_PASID);
		this.parent.checkCompatible(vtd.iommu);
		vtd.checkFaults(this);
		vtd.faultUsers.replace(this, old, () => vtd.attach(NO_PASID, this));
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		const vtd = device as VtdDevice;
		if (!vtd.iommu.registers.hasPasids)
			throw new Errno(
				"EOPNOTSUPP",
				`no PASID of ${device.name} can nest: ECAP_REG.SMTS or ECAP_REG.PASID is 0`,
				"hardware-lacks",
			);
		this.parent.checkCompatible(vtd.iommu);
		vtd.checkFaults(this);
		vtd.faultUsers.replace(this, old, () => vtd.attach(pasid, this));
	}

	entryFor({ iommu: { registers } }: VtdDevice, domainId: number): PasidEntry {
		const { flags, root, addressWidth } = this.firstStage;
		if (addressWidth !== 48 && addressWidth !== 57)
			throw new Errno("EINVAL", `addr_width is ${addressWidth}: a first stage has 48 bits or 57`, "first-stage");
		if (addressWidth === 57 && !registers.FS5LP)
			throw new Errno("EINVAL", "addr_width is 57, and the unit walks 4 levels: CAP_REG.FS5LP is 0", "first-stage");
		const has = (flag: number) => (flags & BigInt(flag)) !== 0n;
		if (has(HwptVtdS1Flags.SRE) && !registers.SRS)
			throw new Errno(
				"EINVAL",
				"flags has SRE, and the unit takes no supervisor requests: ECAP_REG.SRS is 0",
				"first-stage",
			);
		if (has(HwptVtdS1Flags.EAFE) && !registers.EAFS)
			throw new Errno(
				"EINVAL",
				"flags has EAFE, and the unit has no extended accessed flag: ECAP_REG.EAFS is 0",
				"first-stage",
			);
		let entryFlags = 0n;
		if (has(HwptVtdS1Flags.SRE)) entryFlags |= has(HwptVtdS1Flags.WPE) ? SRE | WPE : SRE;
		if (has(HwptVtdS1Flags.EAFE)) entryFlags |= EAFE;
		const levels = addressWidth === 57 ? 5 : 4;
		const first = { root, levels, flags: entryFlags, snoops: this.parent.forcesSnooping };
		return nestedEntry(domainId, first, this.parent.stage);
	}

	override get secondStage(): SecondStageDomain {
		return this.parent;
	}

	override firstStageFor({ device }: DmaRequest): FirstStage {
		const unit = (device as VtdDevice).iommu;
		if (unit !== this.#unit) {
			this.#unit = unit;
			this.#stage = this.#stageBehind(unit);
		}
		return this.#stage;
	}

	#stageBehind({ registers }: VtdUnit): FirstStage {
		const { flags, root, addressWidth } = this.firstStage;
		return guestX86_64({
			root,
			levels: addressWidth === 57 ? 5 : 4,
			signExtends: true,
			has1GPages: registers.FS1GP,
			extendedAccessed: (flags & BigInt(HwptVtdS1Flags.EAFE)) !== 0n,
			// What is cached carries the domain ID, and this domain has one of its own.
			asid: 0,
		});
	}

	override invalidateCache(array: UserDataArray): void {
		const type = InvalidateDataType.VTD_S1;
		if (array.type !== type)
			throw new Errno(
				"EINVAL",
				`data_type is ${nameIn(InvalidateDataType, array.type)}: a nested HWPT of intel-vtd takes VTD_S1`,
				"data-type",
			);
		for (; array.done < array.entries; array.done++) {
			worked(PER_ENTRY);
			const entry = readUserDataEntry(array, array.done, type, HwptVtdS1Invalidate);
			const { addr, npages, flags } = entry;
			if (flags & ~VtdInvalidateFlags.LEAF)
				throw new Errno(
					"EOPNOTSUPP",
					`entry ${array.done}: flags has ${hex(flags & ~VtdInvalidateFlags.LEAF)}, and only LEAF (0x1) is known`,
					"invalidation-entry",
				);
			if (entry.reserved !== 0)
				throw new Errno(
					"EOPNOTSUPP",
					`entry ${array.done}: __reserved is ${hex(entry.reserved)}, and must be 0`,
					"invalidation-entry",
				);
			if (addr % PAGE_SIZE !== 0n)
				throw new Errno("EINVAL", `entry ${array.done}: addr ${hex(addr)} is not that of a page`, "invalidation-entry");
			if (npages === EVERYTHING && addr !== 0n)
				throw new Errno(
					"EINVAL",
					`entry ${array.done}: npages says everything, and addr is ${hex(addr)} instead of 0`,
					"invalidation-entry",
				);
			const last = npages === EVERYTHING ? EVERYTHING : addr + npages * PAGE_SIZE - 1n;
			this.tlb.invalidate(addr, last, { leavesOnly: (flags & VtdInvalidateFlags.LEAF) !== 0 });
		}
	}

	override free(): void {
		this.parent.nested.delete(this);
	}
}
