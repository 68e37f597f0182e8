// The mock IOMMU of a kernel with CONFIG_IOMMUFD_TEST, which the kernel's own tests drive with IOMMU_TEST_CMD.
// drivers/iommu/iommufd/selftest.c. Its page table is AMDv1 with a granule of 2 KiB, so that code which takes the
// IOMMU's smallest page for the CPU's page is found.

import { PAGE_SIZE } from "../../memory/address-space.js";
import { amdv1Mock } from "../../pagetable/formats/amdv1.js";
import { PageTable } from "../../pagetable/pagetable.js";
import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno, hex } from "../../uapi/errno.js";
import { HwInfoType, HwptAllocFlags, HwptDataType, InvalidateDataType } from "../../uapi/iommufd.js";
import {
	HwptInvalidateSelftest,
	HwptSelftest,
	IOMMU_HW_INFO_SELFTEST_REGVAL,
	IOMMU_TEST_DEV_CACHE_DEFAULT,
	IOMMU_TEST_PASID_RESERVED,
	MOCK_APERTURE_LAST,
	MOCK_APERTURE_START,
	MOCK_DEV_CACHE_NUM,
	MOCK_HUGE_PAGE_SIZE,
	MOCK_NESTED_DOMAIN_IOTLB_ID_MAX,
	MOCK_NESTED_DOMAIN_IOTLB_NUM,
	MOCK_PASID_WIDTH,
	MockDeviceFlags,
	MockPageTable,
	TestHwInfo,
	TestInvalidateFlags,
} from "../../uapi/iommufd-test.js";
import { Device } from "../device.js";
import { type DirtyTracking, Domain, NestedDomain, PagingDomain, type Pasid } from "../domain.js";
import type { HwInfo, IommuCapability, IommuDriver } from "../driver.js";
import { Group } from "../group.js";
import { readUserData, readUserDataEntry, type UserData, type UserDataArray } from "../user-data.js";

/** A device that exists only to be attached. */
export class MockDevice extends Device {
	/** MockDeviceFlags */
	readonly flags: number;
	readonly number: number;
	/** A stand-in for a device TLB: values that an invalidation sets to 0. */
	readonly cache = new Uint32Array(MOCK_DEV_CACHE_NUM).fill(IOMMU_TEST_DEV_CACHE_DEFAULT);
	/** Set by one attach of the reserved PASID, so that the next one fails: see attachPasid(). */
	reservedPasidWillFail = false;

	constructor(driver: IommuDriver, group: Group, number: number, flags: number) {
		super(`iommufd_mock${number}`, driver, group, flags & MockDeviceFlags.PASID ? 2 ** MOCK_PASID_WIDTH : 0);
		this.flags = flags;
		this.number = number;
	}

	get tracksDirty(): boolean {
		return (this.flags & MockDeviceFlags.NO_DIRTY) === 0;
	}
}

/** The mock IOMMU with its devices: one per machine. */
export class SelftestIommu {
	readonly driver: SelftestDriver;
	readonly #numbers: boolean[] = [];
	#groups = 0;

	constructor(memory: TableMemory) {
		this.driver = new SelftestDriver(memory);
	}

	/**
	 * Makes a device, in a group of its own.
	 * @param flags MockDeviceFlags
	 * @throws EINVAL for another flag
	 */
	addDevice(flags: number): MockDevice {
		const known = MockDeviceFlags.NO_DIRTY | MockDeviceFlags.PASID;
		if (flags & ~known)
			throw new Errno("EINVAL", `dev_flags has ${hex(flags & ~known)}, which is neither NO_DIRTY nor PASID`);
		let number = this.#numbers.indexOf(false);
		if (number < 0) number = this.#numbers.length;
		this.#numbers[number] = true;
		return new MockDevice(this.driver, new Group(this.#groups++), number, flags);
	}

	removeDevice(device: MockDevice): void {
		this.#numbers[device.number] = false;
	}
}

export class SelftestDriver implements IommuDriver {
	readonly name = "selftest";
	readonly blockedDomain: Domain = new MockBlockedDomain(this);
	readonly #memory: TableMemory;

	constructor(memory: TableMemory) {
		this.#memory = memory;
	}

	capable(device: Device, capability: IommuCapability): boolean {
		if (capability === "cache-coherency") return true;
		return capability === "dirty-tracking" && (device as MockDevice).tracksDirty;
	}

	domainAllocPagingFlags(device: Device, flags: number, data: UserData | undefined): PagingDomain {
		const known = HwptAllocFlags.DIRTY_TRACKING | HwptAllocFlags.NEST_PARENT | HwptAllocFlags.PASID;
		if (flags & ~known) throw new Errno("EOPNOTSUPP", `selftest: flags has ${hex(flags & ~known)}, which it can't do`);
		if (flags & HwptAllocFlags.DIRTY_TRACKING && !(device as MockDevice).tracksDirty)
			throw new Errno("EOPNOTSUPP", `selftest: ${device.name} was made with NO_DIRTY`);
		let type: number = MockPageTable.DEFAULT;
		if (data !== undefined) {
			if (data.type !== HwptDataType.SELFTEST)
				throw new Errno("EOPNOTSUPP", `selftest: data_type is ${hex(data.type)}, and it knows SELFTEST only`);
			type = readUserData(data, HwptDataType.SELFTEST, HwptSelftest).pagetableType;
		}
		if (type !== MockPageTable.DEFAULT && type !== MockPageTable.HUGE)
			throw new Errno("EOPNOTSUPP", `selftest: pagetable_type ${type} is neither DEFAULT nor HUGE`);
		return new MockDomain(this, this.#memory, type, (flags & HwptAllocFlags.DIRTY_TRACKING) !== 0);
	}

	domainAllocNested(_device: Device, _parent: PagingDomain, flags: number, data: UserData): NestedDomain {
		if (flags & ~HwptAllocFlags.PASID)
			throw new Errno("EOPNOTSUPP", `selftest: a nested HWPT takes no flag but PASID, and flags is ${hex(flags)}`);
		if (data.type !== HwptDataType.SELFTEST)
			throw new Errno("EOPNOTSUPP", `selftest: data_type is ${hex(data.type)}, and it knows SELFTEST only`);
		return new MockNestedDomain(this, readUserData(data, HwptDataType.SELFTEST, HwptSelftest).iotlb);
	}

	hwInfo(_device: Device, type: number): HwInfo {
		if (type !== HwInfoType.NONE && type !== HwInfoType.SELFTEST)
			throw new Errno("EOPNOTSUPP", `selftest: in_data_type is ${hex(type)}, and it knows SELFTEST only`);
		const info = TestHwInfo.newView();
		info.testReg = IOMMU_HW_INFO_SELFTEST_REGVAL;
		return { type: HwInfoType.SELFTEST, bytes: info.bytes };
	}
}

export class MockDomain extends PagingDomain {
	constructor(driver: SelftestDriver, memory: TableMemory, type: number, tracksDirty: boolean) {
		super(driver, new PageTable(amdv1Mock, { vaBits: 56, paBits: 51, topLevel: 2 }, memory));
		if (type === MockPageTable.HUGE) {
			// Meant for huge pages alone, but iommufd takes only domains that can map a page of the CPU.
			this.pageSizes = BigInt(MOCK_HUGE_PAGE_SIZE | PAGE_SIZE);
		} else this.aperture = { first: MOCK_APERTURE_START, last: MOCK_APERTURE_LAST };
		if (tracksDirty) this.dirtyTracking = new MockDirtyTracking();
	}

	override attachDevice(device: Device): void {
		attach(this, device);
	}

	override setDevicePasid(device: Device, pasid: Pasid): void {
		attachPasid(device, pasid);
	}
}

class MockDirtyTracking implements DirtyTracking {
	enabled = false;

	set(enable: boolean): void {
		this.enabled = enable;
	}
}

export class MockNestedDomain extends NestedDomain {
	/** A stand-in for cached translations: values that an invalidation sets to 0. */
	readonly iotlb: Uint32Array;

	constructor(driver: SelftestDriver, iotlb: number) {
		super(driver);
		this.iotlb = new Uint32Array(MOCK_NESTED_DOMAIN_IOTLB_NUM).fill(iotlb);
	}

	override attachDevice(device: Device): void {
		attach(this, device);
	}

	override setDevicePasid(device: Device, pasid: Pasid): void {
		attachPasid(device, pasid);
	}

	override invalidateCache(array: UserDataArray): void {
		const type = InvalidateDataType.SELFTEST;
		if (array.type !== type)
			throw new Errno("EINVAL", `data_type is ${hex(array.type)}: a nested HWPT of selftest takes ${hex(type)}`);
		for (; array.done < array.entries; array.done++) {
			const entry = readUserDataEntry(array, array.done, type, HwptInvalidateSelftest);
			if (entry.flags & ~TestInvalidateFlags.ALL)
				throw new Errno("EOPNOTSUPP", `entry ${array.done}: flags is ${hex(entry.flags)}, and only ALL is known`);
			if (entry.iotlbId > MOCK_NESTED_DOMAIN_IOTLB_ID_MAX)
				throw new Errno(
					"EINVAL",
					`entry ${array.done}: iotlb_id is ${entry.iotlbId}, and the last one is ${MOCK_NESTED_DOMAIN_IOTLB_ID_MAX}`,
				);
			if (entry.flags & TestInvalidateFlags.ALL) this.iotlb.fill(0);
			else this.iotlb[entry.iotlbId] = 0;
		}
	}

	override free(): void {}
}

class MockBlockedDomain extends Domain {
	override readonly type = "blocked";

	override attachDevice(): void {}

	override setDevicePasid(device: Device, pasid: Pasid): void {
		if (pasid === IOMMU_TEST_PASID_RESERVED) (device as MockDevice).reservedPasidWillFail = false;
	}

	override free(): void {}
}

function attach(domain: MockDomain | MockNestedDomain, device: Device): void {
	if (domain instanceof MockDomain && domain.dirtyTracking && !(device as MockDevice).tracksDirty)
		throw new Errno("EINVAL", `${device.name} was made with NO_DIRTY, and the HWPT enforces dirty tracking`);
}

/** Every second attach of the reserved PASID fails, so that a test sees a replace being taken back. */
function attachPasid(device: Device, pasid: Pasid): void {
	if (pasid !== IOMMU_TEST_PASID_RESERVED) return;
	const mock = device as MockDevice;
	mock.reservedPasidWillFail = !mock.reservedPasidWillFail;
	if (!mock.reservedPasidWillFail)
		throw new Errno("ENOMEM", `selftest: every second attach of PASID ${pasid} fails, as the kernel's test expects`);
}
