// The mock IOMMU's domains. drivers/iommu/iommufd/selftest.c. The page table is AMDv1 with a granule of 2 KiB, so that
// code which takes the IOMMU's smallest page for the CPU's page is found.

import { PAGE_SIZE } from "../../../memory/address-space.js";
import { amdv1Mock } from "../../../pagetable/formats/amdv1.js";
import { PageTable } from "../../../pagetable/pagetable.js";
import type { TableMemory } from "../../../pagetable/table-memory.js";
import { Errno, hex } from "../../../uapi/errno.js";
import { nameIn } from "../../../uapi/field.js";
import { InvalidateDataType } from "../../../uapi/iommufd.js";
import {
	HwptInvalidateSelftest,
	IOMMU_TEST_PASID_RESERVED,
	MOCK_APERTURE_LAST,
	MOCK_APERTURE_START,
	MOCK_HUGE_PAGE_SIZE,
	MOCK_NESTED_DOMAIN_IOTLB_ID_MAX,
	MOCK_NESTED_DOMAIN_IOTLB_NUM,
	MockPageTable,
	TestInvalidateFlags,
} from "../../../uapi/iommufd-test.js";
import { worked } from "../../../uapi/slices.js";
import { BaseDomain, PageTableDomain } from "../../core/domain.js";
import type { Device, DirtyTracking, Domain, IommuDriver } from "../../core/iommu.js";
import type { Pasid } from "../../core/pasid.js";
import { PER_ENTRY, readUserDataEntry, type UserDataArray } from "../../core/user-data.js";
import { TwoStageDomain } from "../../translation/two-stage-domain.js";
import type { MockDevice } from "./device.js";
import type { MockViommu } from "./viommu.js";

export class MockDomain extends PageTableDomain {
	/** @param type MockPageTable */
	constructor(driver: IommuDriver, memory: TableMemory, type: number, tracksDirty: boolean) {
		super(driver, new PageTable(amdv1Mock, { vaBits: 56, paBits: 51, topLevel: 2 }, memory));
		if (type === MockPageTable.HUGE) {
			// Meant for huge pages alone, but iommufd takes only domains that can map a page of the CPU.
			this.pageSizes = BigInt(MOCK_HUGE_PAGE_SIZE | PAGE_SIZE);
		} else this.aperture = { first: MOCK_APERTURE_START, last: MOCK_APERTURE_LAST };
		if (tracksDirty) this.dirtyTracking = new MockDirtyTracking();
	}

	override attachDevice(device: Device, old: Domain): void {
		attach(this, device as MockDevice, old);
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		attachPasid(this, device as MockDevice, pasid, old);
	}
}

class MockDirtyTracking implements DirtyTracking {
	enabled = false;

	set(enable: boolean): void {
		this.enabled = enable;
	}
}

export class MockNestedDomain extends TwoStageDomain {
	/** A stand-in for cached translations: values that an invalidation sets to 0. */
	readonly iotlb: Uint32Array;
	/** The vIOMMU that it was made on, if it was not made on a parent. */
	readonly viommu: MockViommu | undefined;

	constructor(driver: IommuDriver, iotlb: number, viommu?: MockViommu) {
		super(driver);
		this.iotlb = new Uint32Array(MOCK_NESTED_DOMAIN_IOTLB_NUM).fill(iotlb);
		this.viommu = viommu;
	}

	override attachDevice(device: Device, old: Domain): void {
		attach(this, device as MockDevice, old);
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		attachPasid(this, device as MockDevice, pasid, old);
	}

	override invalidateCache(array: UserDataArray): void {
		const type = InvalidateDataType.SELFTEST;
		if (array.type !== type)
			throw new Errno(
				"EINVAL",
				`data_type is ${nameIn(InvalidateDataType, array.type)}: a nested HWPT of selftest takes SELFTEST`,
				"data-type",
			);
		for (; array.done < array.entries; array.done++) {
			worked(PER_ENTRY);
			const entry = readUserDataEntry(array, array.done, type, HwptInvalidateSelftest);
			if (entry.flags & ~TestInvalidateFlags.ALL)
				throw new Errno(
					"EOPNOTSUPP",
					`entry ${array.done}: flags is ${hex(entry.flags)}, and only ALL is known`,
					"invalidation-entry",
				);
			if (entry.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX)
				throw new Errno(
					"EINVAL",
					`entry ${array.done}: iotlb_id is ${entry.iotlbId}, and the last one is ${MOCK_NESTED_DOMAIN_IOTLB_ID_MAX}`,
					"invalidation-entry",
				);
			if (entry.flags & TestInvalidateFlags.ALL) this.iotlb.fill(0);
			else this.iotlb[entry.iotlbId] = 0;
		}
	}

	override free(): void {}
}

export class MockBlockedDomain extends BaseDomain {
	override readonly type = "blocked";

	override attachDevice(device: Device, old: Domain): void {
		attach(this, device as MockDevice, old);
	}

	override setDevicePasid(device: Device, pasid: Pasid, old: Domain | undefined): void {
		attachPasid(this, device as MockDevice, pasid, old);
	}

	override free(): void {}
}

function attach(domain: Domain, device: MockDevice, old: Domain): void {
	if (domain instanceof MockDomain && domain.dirtyTracking && !device.tracksDirty)
		throw new Errno(
			"EINVAL",
			`${device.name} was made with NO_DIRTY, and the HWPT enforces dirty tracking`,
			"domain-does-not-fit",
		);
	const viommu = domain instanceof MockNestedDomain ? domain.viommu : undefined;
	// Whoever attaches to a nested domain of a vIOMMU must have a vDEVICE there.
	const virtualId = viommu?.core.virtualIdOf(device) ?? 0n;
	device.faultUsers.replace(domain, old, () => {
		if (viommu === device.viommu) return;
		device.viommu = viommu;
		device.virtualId = virtualId;
	});
}

/** Every second attach of the reserved PASID fails, so that a test sees a replace being taken back. */
function attachPasid(domain: Domain, device: MockDevice, pasid: Pasid, old: Domain | undefined): void {
	if (pasid === IOMMU_TEST_PASID_RESERVED) {
		const fails = domain.type !== "blocked" && device.reservedPasidWillFail;
		device.reservedPasidWillFail = domain.type !== "blocked" && !fails;
		if (fails)
			throw new Errno("ENOMEM", `selftest: every second attach of PASID ${pasid} fails, as the kernel's test expects`);
	}
	device.faultUsers.replace(domain, old, () => {});
}
