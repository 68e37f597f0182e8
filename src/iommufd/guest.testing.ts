// A guest with a vIOMMU, for tests.

import {
	HwptAlloc,
	HwptAllocFlags,
	HwptDataType,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	VdeviceAlloc,
	ViommuAlloc,
	ViommuType,
} from "../uapi/iommufd.js";
import { HwptSelftest } from "../uapi/iommufd-test.js";
import { encode } from "../uapi/struct.js";
import { BUFFER, TestClient } from "./client.testing.js";

/** Where test data for a driver is put: the last page of the buffer. */
export const DATA = BUFFER + 0xf000;

/** One device, the HWPT that translates the guest's memory, and a vIOMMU on it. */
export class TestGuest {
	readonly client = new TestClient();
	readonly ioasId: number;
	readonly device: { readonly stdevId: number; readonly devId: number };
	readonly parentId: number;
	readonly viommuId: number;

	constructor() {
		this.ioasId = this.client.call(IoasAlloc, {}).outIoasId;
		this.device = this.addDevice();
		const { devId } = this.device;
		const flags = HwptAllocFlags.NEST_PARENT;
		this.parentId = this.client.call(HwptAlloc, { devId, ptId: this.ioasId, flags }).outHwptId;
		this.viommuId = this.addViommu();
	}

	addDevice(): { stdevId: number; devId: number } {
		const mock = this.client.test("MOCK_DOMAIN", { id: this.ioasId });
		return { stdevId: mock.outStdevId, devId: mock.outIdevId };
	}

	addViommu(): number {
		const type = ViommuType.SELFTEST;
		return this.client.call(ViommuAlloc, { type, devId: this.device.devId, hwptId: this.parentId }).outViommuId;
	}

	addVdevice(virtId: bigint, devId = this.device.devId): number {
		return this.client.call(VdeviceAlloc, { viommuId: this.viommuId, devId, virtId }).outVdeviceId;
	}

	/** A nested HWPT on the vIOMMU. */
	addNested(flags = 0, faultId = 0): number {
		this.client.memory.write(DATA, encode(HwptSelftest, { iotlb: 1 }));
		const data = { dataType: HwptDataType.SELFTEST, dataLen: HwptSelftest.size, dataUptr: DATA };
		const request = { devId: this.device.devId, ptId: this.viommuId, flags, faultId, ...data };
		return this.client.call(HwptAlloc, request).outHwptId;
	}

	attach(ptId: number, stdevId = this.device.stdevId): void {
		this.client.test("MOCK_DOMAIN_REPLACE", { id: stdevId, ptId });
	}

	/** Maps the first pages of the buffer; returns where. */
	map(length: bigint): bigint {
		const flags = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
		return this.client.call(IoasMap, { ioasId: this.ioasId, flags, userVa: BigInt(BUFFER), length }).iova;
	}
}
