// The mock IOMMU's devices, which exist only to be attached.

import {
	IOMMU_TEST_DEV_CACHE_DEFAULT,
	MOCK_DEV_CACHE_NUM,
	MOCK_PASID_WIDTH,
	MockDeviceFlags,
} from "../../../uapi/iommufd-test.js";
import { BaseDevice } from "../../core/device.js";
import { FaultUsers } from "../../core/fault.js";
import type { Group, IommuDriver } from "../../core/iommu.js";
import type { MockViommu } from "./viommu.js";

export class MockDevice extends BaseDevice {
	/** MockDeviceFlags */
	readonly flags: number;
	readonly number: number;
	/** A stand-in for a device TLB: values that an invalidation sets to 0. */
	readonly cache = new Uint32Array(MOCK_DEV_CACHE_NUM).fill(IOMMU_TEST_DEV_CACHE_DEFAULT);
	/** Set by one attach of the reserved PASID, so that the next one fails: see attachPasid(). */
	reservedPasidWillFail = false;
	/** The vIOMMU whose nested domain it is attached to, and its number there: who is told of its events. */
	viommu: MockViommu | undefined;
	virtualId = 0n;
	readonly faultUsers = new FaultUsers(this);

	constructor(driver: IommuDriver, group: Group, number: number, flags: number) {
		// Without the flag its PASIDs have a width, too, of 0 bits, which makes one: that of DMA without a PASID.
		super(`iommufd_mock${number}`, driver, group, flags & MockDeviceFlags.PASID ? 2 ** MOCK_PASID_WIDTH : 1);
		this.flags = flags;
		this.number = number;
	}

	get tracksDirty(): boolean {
		return (this.flags & MockDeviceFlags.NO_DIRTY) === 0;
	}
}
