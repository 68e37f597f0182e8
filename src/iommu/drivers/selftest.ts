// The mock IOMMU of a kernel with CONFIG_IOMMUFD_TEST, which the kernel's own tests drive with IOMMU_TEST_CMD.
// drivers/iommu/iommufd/selftest.c. Its domains are in selftest/domain.ts, its vIOMMUs in selftest/viommu.ts.

import { allocation } from "../../faults/faults.js";
import type { TableMemory } from "../../pagetable/table-memory.js";
import { Errno, hex } from "../../uapi/errno.js";
import { flagsIn, nameIn } from "../../uapi/field.js";
import { HwInfoType, HwptAllocFlags, HwptDataType, ViommuType } from "../../uapi/iommufd.js";
import {
	HwptSelftest,
	IOMMU_HW_INFO_SELFTEST_REGVAL,
	MockDeviceFlags,
	MockPageTable,
	TestHwInfo,
} from "../../uapi/iommufd-test.js";
import { IommuGroup } from "../core/group.js";
import type {
	Device,
	Domain,
	DriverViommu,
	HwInfo,
	IommuCapability,
	IommuDriver,
	NestedDomain,
	PagingDomain,
	ViommuCore,
} from "../core/iommu.js";
import { readUserData, type UserData } from "../core/user-data.js";
import { MockDevice } from "./selftest/device.js";
import { MockBlockedDomain, MockDomain } from "./selftest/domain.js";
import { allocNested, MockViommu } from "./selftest/viommu.js";

export { MockDevice } from "./selftest/device.js";
export { MockDomain, MockNestedDomain } from "./selftest/domain.js";

/** The mock IOMMU with its devices: one per machine. */
export class SelftestIommu {
	readonly driver: SelftestDriver;
	readonly #numbers: boolean[] = [];

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
		allocation("a mock device");
		let number = this.#numbers.indexOf(false);
		if (number < 0) number = this.#numbers.length;
		this.#numbers[number] = true;
		return new MockDevice(this.driver, new IommuGroup(number), number, flags);
	}

	removeDevice(device: MockDevice): void {
		this.#numbers[device.number] = false;
	}
}

export class SelftestDriver implements IommuDriver {
	readonly name = "selftest";
	readonly blockedDomain: Domain = new MockBlockedDomain(this);
	readonly userPasidTable = true;
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
		if (flags & ~known)
			throw new Errno(
				"EOPNOTSUPP",
				`selftest: flags has ${flagsIn(HwptAllocFlags, flags & ~known)}, which it can't do`,
				"hardware-lacks",
			);
		if (flags & HwptAllocFlags.DIRTY_TRACKING && !(device as MockDevice).tracksDirty)
			throw new Errno("EOPNOTSUPP", `selftest: ${device.name} was made with NO_DIRTY`, "hardware-lacks");
		let type: number = MockPageTable.DEFAULT;
		if (data !== undefined) {
			if (data.type !== HwptDataType.SELFTEST)
				throw new Errno(
					"EOPNOTSUPP",
					`selftest: data_type is ${nameIn(HwptDataType, data.type)}, and it knows SELFTEST only`,
				);
			type = readUserData(data, HwptDataType.SELFTEST, HwptSelftest).pagetableType;
		}
		if (type !== MockPageTable.DEFAULT && type !== MockPageTable.HUGE)
			throw new Errno("EOPNOTSUPP", `selftest: pagetable_type ${type} is neither DEFAULT nor HUGE`);
		return new MockDomain(this, this.#memory, type, (flags & HwptAllocFlags.DIRTY_TRACKING) !== 0);
	}

	domainAllocNested(_device: Device, _parent: PagingDomain, flags: number, data: UserData): NestedDomain {
		return allocNested(this, flags, data);
	}

	hwInfo(_device: Device, type: number): HwInfo {
		if (type !== HwInfoType.NONE && type !== HwInfoType.SELFTEST)
			throw new Errno(
				"EOPNOTSUPP",
				`selftest: in_data_type is ${nameIn(HwInfoType, type)}, and it knows SELFTEST only`,
				"data-type",
			);
		allocation("the description of an IOMMU");
		const info = TestHwInfo.newView();
		info.testReg = IOMMU_HW_INFO_SELFTEST_REGVAL;
		return { type: HwInfoType.SELFTEST, bytes: info.bytes };
	}

	/** A mock device waits for no answer. */
	pageResponse(): void {}

	hasViommu(_device: Device, type: number): boolean {
		return type === ViommuType.SELFTEST;
	}

	viommuInit(
		core: ViommuCore,
		_device: Device,
		_type: number,
		parent: PagingDomain,
		data: UserData | undefined,
	): DriverViommu {
		return new MockViommu(this, core, parent as MockDomain, data);
	}
}
