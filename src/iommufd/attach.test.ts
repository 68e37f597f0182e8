import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { Destroy, HwptAlloc, HwptAllocFlags, HwptDataType, IoasAlloc, IoasMap, IoasMapFlags } from "../uapi/iommufd.js";
import { MockDeviceFlags } from "../uapi/iommufd-test.js";
import { BUFFER, TestClient } from "./client.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;

function twoIoases(): { client: TestClient; first: number; second: number } {
	const client = new TestClient();
	return { client, first: client.call(IoasAlloc, {}).outIoasId, second: client.call(IoasAlloc, {}).outIoasId };
}

test("devices attached to one IOAS share a HWPT, which goes with the last of them", () => {
	const { client, first: id } = twoIoases();
	const one = client.test("MOCK_DOMAIN", { id });
	const two = client.test("MOCK_DOMAIN", { id });
	expect(two.outHwptId).toBe(one.outHwptId);
	client.call(Destroy, { id: one.outStdevId });
	expect(client.fd.context.objects.find(one.outHwptId)).toBeDefined();
	client.call(Destroy, { id: two.outStdevId });
	expect(client.fd.context.objects.find(one.outHwptId)).toBeUndefined();
});

test("a device that can't use the shared HWPT gets one of its own", () => {
	const { client, first: id } = twoIoases();
	const probe = client.test("MOCK_DOMAIN", { id });
	const dirty = { devId: probe.outIdevId, ptId: id, flags: HwptAllocFlags.DIRTY_TRACKING };
	const { outHwptId } = client.call(HwptAlloc, dirty);
	const noDirty = { id: outHwptId, devFlags: MockDeviceFlags.NO_DIRTY };
	expect(codeOf(() => client.test("MOCK_DOMAIN_FLAGS", noDirty))).toBe("EINVAL");
	expect(client.test("MOCK_DOMAIN_FLAGS", { ...noDirty, id }).outHwptId).toBe(probe.outHwptId);
});

test("a replace moves the device, lets go of the old HWPT, and frees the old IOAS", () => {
	const { client, first, second } = twoIoases();
	const mock = client.test("MOCK_DOMAIN", { id: first });
	const replaced = client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: second });
	expect(client.fd.context.objects.find(mock.outHwptId)).toBeUndefined();
	expect(client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: second }).ptId).toBe(replaced.ptId);
	client.call(Destroy, { id: first });
	expect(codeOf(() => client.call(Destroy, { id: second }))).toBe("EBUSY");
});

test("a replace that fails leaves the device where it was", () => {
	const { client, first, second } = twoIoases();
	const mock = client.test("MOCK_DOMAIN", { id: first });
	// Below the mock IOMMU's aperture.
	client.call(IoasMap, {
		ioasId: second,
		flags: RW | IoasMapFlags.FIXED_IOVA,
		userVa: BigInt(BUFFER),
		length: 4096n,
		iova: 0n,
	});
	const replace = (ptId: number) => codeOf(() => client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId }));
	expect(replace(second)).toBe("EADDRINUSE");
	expect(replace(99)).toBe("ENOENT");
	expect(replace(mock.outIdevId)).toBe("EINVAL");
	const { iova } = client.call(IoasMap, { ioasId: first, flags: RW, userVa: BigInt(BUFFER), length: 4096n });
	client.test("MD_CHECK_MAP", { id: mock.outHwptId, iova, length: 4096n, uptr: BigInt(BUFFER) });
	const before = client.fd.context.objects.size;
	expect(replace(second)).toBe("EADDRINUSE");
	expect(client.fd.context.objects.size).toBe(before);
});

test("an attach that fails leaves no object behind", () => {
	const { client } = twoIoases();
	expect(codeOf(() => client.test("MOCK_DOMAIN", { id: 77 }))).toBe("ENOENT");
	expect(codeOf(() => client.test("MOCK_DOMAIN_FLAGS", { id: 1, devFlags: 2 }))).toBe("EINVAL");
	expect(client.fd.context.objects.size).toBe(2);
	expect(client.test("MOCK_DOMAIN", { id: 1 }).outStdevId).toBe(3);
});

test("the bound device and the HWPT are busy as long as the device is attached", () => {
	const { client, first } = twoIoases();
	const mock = client.test("MOCK_DOMAIN", { id: first });
	for (const id of [mock.outIdevId, mock.outHwptId, first])
		expect(codeOf(() => client.call(Destroy, { id }))).toBe("EBUSY");
	client.call(Destroy, { id: mock.outStdevId });
	expect(codeOf(() => client.call(Destroy, { id: mock.outIdevId }))).toBe("ENOENT");
});

test("a mock device without PASIDs has one, which nothing can be attached to", () => {
	const { client, first } = twoIoases();
	const mock = client.test("MOCK_DOMAIN", { id: first });
	const hwpt = { devId: mock.outIdevId, ptId: first, flags: HwptAllocFlags.PASID };
	const { outHwptId: ptId } = client.call(HwptAlloc, hwpt);
	client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId });
	expect(codeOf(() => client.test("PASID_ATTACH", { id: mock.outStdevId, pasid: 1, ptId }))).toBe("EINVAL");
	client.test("PASID_DETACH", { id: mock.outStdevId, pasid: 0 });
	client.test("PASID_ATTACH", { id: mock.outStdevId, pasid: 0, ptId });
});

test("a PASID takes only HWPTs that were made for it, as does the device beside it", () => {
	const { client, first } = twoIoases();
	const mock = client.test("MOCK_DOMAIN_FLAGS", { id: first, devFlags: MockDeviceFlags.PASID });
	const hwpt = { devId: mock.outIdevId, ptId: first, flags: HwptAllocFlags.PASID };
	const { outHwptId: withPasid } = client.call(HwptAlloc, hwpt);
	const attach = (ptId: number, pasid = 100) =>
		codeOf(() => client.test("PASID_ATTACH", { id: mock.outStdevId, pasid, ptId }));
	expect(attach(withPasid)).toBe("EINVAL"); // the device itself is attached to a HWPT without the flag
	client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: withPasid });
	expect(attach(withPasid)).toBe("ok");
	expect(attach(withPasid)).toBe("EBUSY");
	expect(attach(withPasid, 2 ** 20)).toBe("EINVAL");
	client.test("PASID_CHECK_HWPT", { id: mock.outStdevId, pasid: 100, hwptId: withPasid });
	const back = () => client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: first });
	expect(codeOf(back)).toBe("EINVAL");
	client.test("PASID_DETACH", { id: mock.outStdevId, pasid: 100 });
	expect(codeOf(back)).toBe("ok");
});

test("nested HWPTs stand on a parent that was made to be one", () => {
	const { client, first } = twoIoases();
	const mock = client.test("MOCK_DOMAIN", { id: first });
	const data = { dataType: HwptDataType.SELFTEST, dataLen: 4, dataUptr: BUFFER };
	const alloc = (values: { ptId: number; flags?: number; dataType?: number; dataLen?: number; dataUptr?: number }) =>
		client.call(HwptAlloc, { devId: mock.outIdevId, ...values });
	const { outHwptId: plain } = alloc({ ptId: first });
	const { outHwptId: parent } = alloc({ ptId: first, flags: HwptAllocFlags.NEST_PARENT });
	expect(codeOf(() => alloc({ ptId: plain, ...data }))).toBe("EINVAL");
	expect(codeOf(() => alloc({ ptId: mock.outHwptId, ...data }))).toBe("EINVAL");
	expect(codeOf(() => alloc({ ptId: parent }))).toBe("EOPNOTSUPP");
	const { outHwptId: nested } = alloc({ ptId: parent, ...data });
	expect(codeOf(() => client.call(Destroy, { id: parent }))).toBe("EBUSY");
	client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: nested });
	expect(codeOf(() => client.call(Destroy, { id: nested }))).toBe("EBUSY");
	client.fd.release();
	expect(client.platform.tables.tablesInUse).toBe(0);
});
