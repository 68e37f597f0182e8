import { expect, test } from "vitest";
import type { MockDevice } from "../iommu/drivers/selftest.js";
import { codeOf } from "../uapi/errno.js";
import { Destroy, HwptAlloc, HwptDataType, HwptInvalidate, ViommuAlloc, ViommuType } from "../uapi/iommufd.js";
import {
	HwptSelftest,
	IOMMU_TEST_DEV_CACHE_DEFAULT,
	IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID,
	MOCK_DEV_CACHE_NUM,
	TestInvalidateFlags,
	ViommuInvalidateSelftest,
	ViommuSelftest,
} from "../uapi/iommufd-test.js";
import { decode, encode } from "../uapi/struct.js";
import { BUFFER } from "./client.testing.js";
import { BoundDevice } from "./device.js";
import { DATA, TestGuest } from "./guest.testing.js";

const SELFTEST = 0xdeadbeef;

test("a vIOMMU takes a HWPT that was made as a parent, and keeps it", () => {
	const guest = new TestGuest();
	const { client, viommuId } = guest;
	expect(codeOf(() => client.call(Destroy, { id: guest.parentId }))).toBe("EBUSY");
	client.call(Destroy, { id: viommuId });
	client.call(Destroy, { id: guest.parentId });
});

test("a vIOMMU that can't be is refused in Linux's order, and leaves nothing", () => {
	const { client, device, parentId, ioasId } = new TestGuest();
	const { devId } = device;
	const before = client.fd.context.objects.size;
	const good = { type: ViommuType.SELFTEST, devId, hwptId: parentId };
	const refused = (changes: object) => codeOf(() => client.call(ViommuAlloc, { ...good, ...changes }));
	expect(refused({ flags: 1, devId: 99 })).toBe("EOPNOTSUPP");
	expect(refused({ type: ViommuType.DEFAULT, devId: 99 })).toBe("EOPNOTSUPP");
	expect(refused({ devId: 99, type: ViommuType.ARM_SMMUV3 })).toBe("ENOENT");
	expect(refused({ type: ViommuType.ARM_SMMUV3, hwptId: 99 })).toBe("EOPNOTSUPP");
	expect(refused({ hwptId: ioasId })).toBe("ENOENT");
	const { outHwptId: hwptId } = client.call(HwptAlloc, { devId, ptId: ioasId });
	expect(refused({ hwptId })).toBe("EINVAL");
	expect(refused({ dataLen: 4, dataUptr: DATA })).toBe("EINVAL");
	expect(refused({ dataLen: 8, dataUptr: 0x7000_0000 })).toBe("EFAULT");
	client.call(Destroy, { id: hwptId });
	expect(client.fd.context.objects.size).toBe(before);
});

test("the mock vIOMMU gives its data back, in the struct and in what can be mapped", () => {
	const { client, device, parentId } = new TestGuest();
	client.memory.write(DATA, encode(ViommuSelftest, { inData: 0xbeef }));
	const data = { dataLen: ViommuSelftest.size, dataUptr: DATA };
	const alloc = { type: ViommuType.SELFTEST, devId: device.devId, hwptId: parentId, ...data };
	const { outViommuId: id } = client.call(ViommuAlloc, alloc);
	const answer = decode(ViommuSelftest, client.backing.bytes.subarray(0xf000));
	expect(answer).toMatchObject({ outData: 0xbeef, outMmapLength: 0x2000n });

	const offset = Number(answer.outMmapOffset);
	expect(codeOf(() => client.fd.mmap(offset + 4096, 0x2000))).toBe("ENXIO");
	expect(codeOf(() => client.fd.mmap(offset, 0x1000))).toBe("ENXIO");
	const mapping = client.fd.mmap(offset, 0x2000);
	const word = new Uint8Array(4);
	mapping.backing.read(0, word);
	expect(new DataView(word.buffer).getUint32(0, true)).toBe(0xbeef);
	expect(codeOf(() => client.call(Destroy, { id }))).toBe("EBUSY");
	mapping.release();
	client.call(Destroy, { id });
	expect(codeOf(() => client.fd.mmap(offset, 0x2000))).toBe("ENXIO");
});

test("nested HWPTs are made on a vIOMMU, and keep it", () => {
	const guest = new TestGuest();
	const { client, viommuId } = guest;
	const id = guest.addNested();
	client.test("MD_CHECK_IOTLB", { id, iotlbId: 0, iotlb: 1 });
	expect(codeOf(() => client.call(Destroy, { id: viommuId }))).toBe("EBUSY");
	client.call(Destroy, { id });
	client.call(Destroy, { id: viommuId });
});

test("a nested HWPT needs data that the driver knows, and takes few flags", () => {
	const guest = new TestGuest();
	const { client, viommuId: ptId, device } = guest;
	const before = client.fd.context.objects.size;
	const data = { dataType: HwptDataType.SELFTEST, dataLen: HwptSelftest.size, dataUptr: DATA };
	const refused = (changes: object) =>
		codeOf(() => client.call(HwptAlloc, { devId: device.devId, ptId, ...data, ...changes }));
	expect(refused({ flags: 1 })).toBe("EOPNOTSUPP");
	expect(refused({ dataType: HwptDataType.NONE, dataLen: 0 })).toBe("EOPNOTSUPP");
	expect(refused({ dataType: HwptDataType.VTD_S1 })).toBe("EOPNOTSUPP");
	expect(refused({ dataUptr: 0x7000_0000 })).toBe("EFAULT");
	expect(client.fd.context.objects.size).toBe(before);
});

test("a device can be attached to a nested HWPT of a vIOMMU once it has a vDEVICE there", () => {
	const guest = new TestGuest();
	const nested = guest.addNested();
	expect(codeOf(() => guest.attach(nested))).toBe("ENOENT");
	guest.addVdevice(0n);
	guest.attach(nested);
});

/** A guest whose device is number 2, and invalidations of its cache. */
function cacheScene() {
	const guest = new TestGuest();
	const { client } = guest;
	guest.addVdevice(2n);
	const { device } = client.fd.context.objects.get(guest.device.devId, BoundDevice, "");
	const { cache } = device as MockDevice;
	const { size } = ViommuInvalidateSelftest;
	const invalidate = (
		entries: { flags?: number; vdevId?: number; cacheId?: number }[],
		changes: { dataType?: number; entryLen?: number } = {},
	) => {
		const { entryLen = size } = changes;
		for (const [i, entry] of entries.entries())
			client.memory.write(BUFFER + i * entryLen, encode(ViommuInvalidateSelftest, { vdevId: 2, ...entry }));
		const call = { dataUptr: BUFFER, dataType: SELFTEST, entryLen, entryNum: entries.length, ...changes };
		const code = codeOf(() => client.call(HwptInvalidate, { hwptId: guest.viommuId, ...call }));
		return [code, client.lastAnswer(HwptInvalidate).entryNum];
	};
	return { guest, client, cache, invalidate };
}

test("a vIOMMU invalidates caches of its devices, by their numbers in the guest", () => {
	const { client, guest, cache, invalidate } = cacheScene();
	expect(invalidate([{ cacheId: 1 }])).toEqual(["ok", 1]);
	expect([...cache]).toEqual([IOMMU_TEST_DEV_CACHE_DEFAULT, 0, ...Array(2).fill(IOMMU_TEST_DEV_CACHE_DEFAULT)]);
	expect(invalidate([{ flags: TestInvalidateFlags.ALL }])).toEqual(["ok", 1]);
	for (let cacheId = 0; cacheId < MOCK_DEV_CACHE_NUM; cacheId++)
		client.test("DEV_CHECK_CACHE", { id: guest.device.devId, cacheId, cache: 0 });
});

test("invalidations are carried out up to the first that is wrong", () => {
	const { cache, invalidate } = cacheScene();
	const ok = { cacheId: 0 };
	expect(invalidate([ok, { flags: 2 }, { cacheId: 1 }])).toEqual(["EOPNOTSUPP", 1]);
	expect(invalidate([ok, ok, { cacheId: 4 }])).toEqual(["EINVAL", 2]);
	expect(invalidate([{ vdevId: 7 }])).toEqual(["EINVAL", 0]);
	expect([cache[0], cache[1]]).toEqual([0, IOMMU_TEST_DEV_CACHE_DEFAULT]);
});

test("the array of invalidations is read before the first is carried out", () => {
	const { client, cache, invalidate } = cacheScene();
	const { size } = ViommuInvalidateSelftest;
	expect(invalidate([])).toEqual(["ok", 0]);
	expect(invalidate([], { dataType: 1 })).toEqual(["EINVAL", 0]);
	expect(invalidate([{}], { dataType: IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID })).toEqual(["EINVAL", 0]);
	// Longer and shorter entries than the struct are fine, as long as nothing is lost.
	expect(invalidate([{ cacheId: 3 }], { entryLen: size + 4 })).toEqual(["ok", 1]);
	expect(cache[3]).toBe(0);
	client.backing.bytes[size] = 1;
	expect(invalidate([{ cacheId: 2 }], { entryLen: size + 4 })).toEqual(["E2BIG", 0]);
	expect(invalidate([{ cacheId: 2 }], { entryLen: size - 4 })).toEqual(["ok", 1]);
	expect([cache[0], cache[2]]).toEqual([0, IOMMU_TEST_DEV_CACHE_DEFAULT]);
});

test("closing the file takes a whole guest down", () => {
	const guest = new TestGuest();
	const { client } = guest;
	guest.addVdevice(1n);
	guest.attach(guest.addNested());
	client.fd.release();
	expect(client.fd.context.objects.size).toBe(0);
	expect(client.platform.tables.tablesInUse).toBe(0);
});
