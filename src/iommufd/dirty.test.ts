import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import {
	HwptAlloc,
	HwptAllocFlags,
	HwptGetDirtyBitmap,
	HwptGetDirtyBitmapFlags,
	HwptSetDirtyTracking,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	Option,
	OptionId,
} from "../uapi/iommufd.js";
import { BUFFER, TestClient } from "./client.testing.js";

const FLAGS = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;
const IOVA = 0x1000000n;
const PAGES = 16;
/** Where the bitmaps are. */
const BITMAP = 0x4000_0000;

/** Sixteen pages of 4096 bytes that are mapped one by one, with tracking on. */
function tracked(): { client: TestClient; hwptId: number } {
	const client = new TestClient();
	client.memory.map(BITMAP, 4096);
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.call(Option, { optionId: OptionId.HUGE_PAGES, objectId: ioasId, val64: 0n });
	const { outIdevId: devId } = client.test("MOCK_DOMAIN", { id: ioasId });
	const { outHwptId: hwptId } = client.call(HwptAlloc, { devId, ptId: ioasId, flags: HwptAllocFlags.DIRTY_TRACKING });
	client.call(IoasMap, { ioasId, flags: FLAGS, userVa: BigInt(BUFFER), length: BigInt(PAGES) * 4096n, iova: IOVA });
	client.call(HwptSetDirtyTracking, { hwptId, flags: 1 });
	return { client, hwptId };
}

function write(client: TestClient, id: number, bits: number): bigint {
	client.memory.write(BITMAP, Uint8Array.of(bits & 0xff, bits >> 8));
	const length = BigInt(PAGES) * 4096n;
	return client.test("DIRTY", { id, iova: IOVA, length, pageSize: 4096n, uptr: BITMAP }).outNrDirty;
}

function read(client: TestClient, hwptId: number, values: { flags?: number; pageSize?: bigint } = {}): string {
	client.memory.write(BITMAP, new Uint8Array(64));
	const length = BigInt(PAGES) * 4096n;
	client.call(HwptGetDirtyBitmap, { hwptId, iova: IOVA, length, pageSize: 4096n, data: BITMAP, ...values });
	const bytes = new Uint8Array(4);
	client.memory.read(BITMAP, bytes);
	return [...bytes]
		.reverse()
		.map((byte) => byte.toString(2).padStart(8, "0"))
		.join("");
}

test("what a device wrote is reported once, page by page", () => {
	const { client, hwptId } = tracked();
	expect(write(client, hwptId, 0b1000_0000_0010_0101)).toBe(4n);
	expect(read(client, hwptId, { flags: HwptGetDirtyBitmapFlags.NO_CLEAR })).toBe("00000000000000001000000000100101");
	expect(read(client, hwptId)).toBe("00000000000000001000000000100101");
	expect(read(client, hwptId)).toBe("0".repeat(32));
});

test("a bit stands for as many bytes as the caller says, smaller or larger than a page", () => {
	const { client, hwptId } = tracked();
	write(client, hwptId, 0b0000_0000_0100_0010);
	expect(read(client, hwptId, { pageSize: 2048n, flags: 1 })).toBe("00000000000000000011000000001100");
	expect(read(client, hwptId, { pageSize: 8192n })).toBe("00000000000000000000000000001001");
});

test("switching tracking on begins with clean pages", () => {
	const { client, hwptId } = tracked();
	write(client, hwptId, 0xffff);
	client.call(HwptSetDirtyTracking, { hwptId, flags: 0 });
	client.call(HwptSetDirtyTracking, { hwptId, flags: 1 });
	expect(read(client, hwptId)).toBe("0".repeat(32));
});

test("a HWPT without the flag, and a range that can't be one, are refused", () => {
	const { client, hwptId } = tracked();
	const get = (values: { hwptId?: number; iova?: bigint; length?: bigint; pageSize?: bigint }) =>
		codeOf(() =>
			client.call(HwptGetDirtyBitmap, { hwptId, iova: IOVA, length: 4096n, pageSize: 4096n, data: BITMAP, ...values }),
		);
	expect(get({ length: 0n })).toBe("EINVAL");
	expect(get({ length: (1n << 64n) - 4096n })).toBe("EOVERFLOW");
	expect(get({ pageSize: 0n })).toBe("EINVAL");
	expect(get({ iova: IOVA + 1n })).toBe("EINVAL");
	expect(get({ pageSize: 65536n })).toBe("EINVAL");
	const automatic = client.test("MOCK_DOMAIN", { id: 1 }).outHwptId;
	expect(get({ hwptId: automatic })).toBe("EOPNOTSUPP");
	expect(codeOf(() => client.call(HwptSetDirtyTracking, { hwptId: automatic, flags: 1 }))).toBe("EOPNOTSUPP");
});

test("dirty pages that can't be reported are lost, and that is said", () => {
	const { client, hwptId } = tracked();
	write(client, hwptId, 0b1000_0000_0010_0101);
	const length = BigInt(PAGES) * 4096n;
	client.call(HwptGetDirtyBitmap, { hwptId, iova: IOVA, length, pageSize: 4096n, data: 0 });
	expect(client.platform.remarks).toEqual([
		`IOMMU_HWPT_GET_DIRTY_BITMAP: of HWPT ${hwptId}'s dirty pages 4 bits are lost: the bitmap can't be written from 0x0 on, and these pages count as clean now`,
	]);
	expect(read(client, hwptId)).toBe("0".repeat(32));
});

test("dirty pages in the part of a bitmap that isn't memory are lost, and no others", () => {
	const { client, hwptId } = tracked();
	write(client, hwptId, 0b1000_0000_0010_0101);
	const length = BigInt(PAGES) * 4096n;
	const flags = HwptGetDirtyBitmapFlags.NO_CLEAR;
	client.call(HwptGetDirtyBitmap, { hwptId, flags, iova: IOVA, length, pageSize: 4096n, data: BITMAP + 4095 });
	expect(client.platform.remarks).toEqual([
		`IOMMU_HWPT_GET_DIRTY_BITMAP: of HWPT ${hwptId}'s dirty pages 1 bit is lost: the bitmap can't be written from 0x40001000 on`,
	]);
});
