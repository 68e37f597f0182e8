import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { GetHwInfo, HwCapabilities, HwInfoFlags, HwInfoType, IoasAlloc } from "../uapi/iommufd.js";
import { IOMMU_HW_INFO_SELFTEST_REGVAL, MockDeviceFlags, TestHwInfo } from "../uapi/iommufd-test.js";
import { decode } from "../uapi/struct.js";
import { BUFFER, TestClient } from "./client.testing.js";

function mock(devFlags = 0): { client: TestClient; devId: number } {
	const client = new TestClient();
	const { outIoasId: id } = client.call(IoasAlloc, {});
	return { client, devId: client.test("MOCK_DOMAIN_FLAGS", { id, devFlags }).outIdevId };
}

test("a buffer that is too long is filled up with zeroes, one that is too short gets a part, and both learn the length", () => {
	const { client, devId } = mock();
	client.memory.write(BUFFER, new Uint8Array(32).fill(0xaa));
	const long = client.call(GetHwInfo, { devId, dataUptr: BUFFER, dataLen: 12 });
	expect([long.dataLen, long.outDataType]).toEqual([TestHwInfo.size, HwInfoType.SELFTEST]);
	const bytes = new Uint8Array(16);
	client.memory.read(BUFFER, bytes);
	expect(decode(TestHwInfo, bytes).testReg).toBe(IOMMU_HW_INFO_SELFTEST_REGVAL);
	expect([...bytes.subarray(8)]).toEqual([0, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa]);
	client.memory.write(BUFFER, new Uint8Array(8).fill(0xaa));
	expect(client.call(GetHwInfo, { devId, dataUptr: BUFFER, dataLen: 5 }).dataLen).toBe(TestHwInfo.size);
	client.memory.read(BUFFER, bytes);
	expect([...bytes.subarray(4, 8)]).toEqual([0xef, 0xaa, 0xaa, 0xaa]);
});

test("the capabilities and the PASID width are the device's", () => {
	const plain = mock();
	const info = plain.client.call(GetHwInfo, { devId: plain.devId });
	expect(info.outCapabilities).toBe(BigInt(HwCapabilities.DIRTY_TRACKING | HwCapabilities.PCI_ATS_NOT_SUPPORTED));
	expect(info.outMaxPasidLog2).toBe(0);
	const other = mock(MockDeviceFlags.NO_DIRTY | MockDeviceFlags.PASID);
	const otherInfo = other.client.call(GetHwInfo, { devId: other.devId });
	expect(otherInfo.outCapabilities).toBe(BigInt(HwCapabilities.PCI_ATS_NOT_SUPPORTED));
	expect(otherInfo.outMaxPasidLog2).toBe(20);
});

test("a type is looked at only with the flag, and one that the IOMMU doesn't have is not supported", () => {
	const { client, devId } = mock();
	const ask = (values: { flags?: number; inDataType?: number; dataLen?: number }) =>
		codeOf(() => client.call(GetHwInfo, { devId, ...values }));
	expect(ask({ inDataType: HwInfoType.AMD })).toBe("ok");
	expect(ask({ inDataType: HwInfoType.AMD, flags: HwInfoFlags.INPUT_TYPE })).toBe("EOPNOTSUPP");
	expect(ask({ inDataType: HwInfoType.SELFTEST, flags: HwInfoFlags.INPUT_TYPE })).toBe("ok");
	expect(ask({ dataLen: 0xffffffff })).toBe("EFAULT");
});
