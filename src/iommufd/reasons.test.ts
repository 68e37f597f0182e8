// What iommufd's errors say of who stands in the way, of what was done before them, and of limits.

import { describe, expect, test } from "vitest";
import { reasonOf } from "../uapi/errno.testing.js";
import {
	Destroy,
	HwQueueAlloc,
	HwQueueType,
	IoasAlloc,
	IoasAllowIovas,
	IoasMap,
	IoasMapFlags,
	IoasUnmap,
	IovaRange,
	VeventqAlloc,
	VeventqType,
} from "../uapi/iommufd.js";
import { CreateAccessFlags } from "../uapi/iommufd-test.js";
import { encode } from "../uapi/struct.js";
import { BUFFER, TestClient } from "./client.testing.js";
import { TestGuest } from "./guest.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const PAGE = 4096n;

/** An IOAS with a page at each IOVA. */
function scene(...iovas: bigint[]) {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const map = (values: { iova?: bigint; length?: bigint; userVa?: bigint; flags?: number }) =>
		reasonOf(() => client.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: PAGE, ...values }));
	for (const iova of iovas) map({ iova, flags: RW | IoasMapFlags.FIXED_IOVA });
	const unmap = (iova: bigint, length: bigint) => reasonOf(() => client.call(IoasUnmap, { ioasId, iova, length }));
	return { client, ioasId, map, unmap };
}

describe("an unmap that ends in the middle", () => {
	test("says what is gone already", () => {
		const { unmap } = scene(0x1000n, 0x3000n, 0x5000n);
		expect(unmap(0x1000n, 0x4800n)).toBe(
			"ENOENT: the range 0x1000 to 0x57ff cuts the mapping 0x5000 to 0x5fff in two: mappings are unmapped whole. What is mapped before it in the range, 0x2000 bytes, is unmapped by now",
		);
	});

	test("says nothing of that when it is the first mapping that is cut", () => {
		const { unmap } = scene(0x1000n, 0x3000n);
		expect(unmap(0x1800n, 0x4000n)).toBe(
			"ENOENT: the range 0x1800 to 0x57ff cuts the mapping 0x1000 to 0x1fff in two: mappings are unmapped whole",
		);
	});

	test("names the queue that has pinned a mapping, and the IOAS says that the queue's vIOMMU uses it", () => {
		const guest = new TestGuest();
		const { client, ioasId, viommuId } = guest;
		const iova = guest.map(0x4000n);
		const queue = { viommuId, type: HwQueueType.SELFTEST, nestingParentIova: iova, length: 0x1000n };
		const { outHwQueueId } = client.call(HwQueueAlloc, queue);
		expect(reasonOf(() => client.call(IoasUnmap, { ioasId, iova, length: 0x4000n }))).toBe(
			`EBUSY: the mapping 0x1000000 to 0x1003fff can't be unmapped: HW_QUEUE ${outHwQueueId} has pinned it`,
		);
		expect(reasonOf(() => client.call(Destroy, { id: viommuId }))).toBe(
			`EBUSY: vIOMMU ${viommuId} is in use by HW_QUEUE ${outHwQueueId}`,
		);
	});
});

test("a queue of events is in use as long as its fd is open", () => {
	const { client, viommuId } = new TestGuest();
	const { outVeventqId: id } = client.call(VeventqAlloc, { viommuId, type: VeventqType.SELFTEST, veventqDepth: 2 });
	expect(reasonOf(() => client.call(Destroy, { id }))).toBe(`EBUSY: VEVENTQ ${id} is in use by its fd, which is open`);
});

describe("ENOSPC", () => {
	test("says that the first page and the last one are never chosen", () => {
		const { client, ioasId, map } = scene();
		client.memory.write(BUFFER, encode(IovaRange, { start: 0n, last: 0xfffn }));
		client.call(IoasAllowIovas, { ioasId, numIovas: 1, allowedIovas: BUFFER });
		expect(map({})).toBe(
			`ENOSPC: IOAS ${ioasId} has no room for 0x1000 bytes aligned to 0x1000 in what ALLOW_IOVAS allows: the first and the last page of the 64-bit space are never chosen`,
		);
	});
});

describe("the alignment", () => {
	test("is said with who wants it", () => {
		const { client, ioasId, map } = scene();
		expect(map({ length: 0x801n })).toBe("ok");
		client.call(IoasUnmap, { ioasId, iova: 0n, length: 2n ** 64n - 1n });
		const { outHwptId } = client.test("MOCK_DOMAIN", { id: ioasId });
		expect(map({ length: 0x801n })).toBe(
			`EINVAL: length 0x801 is not a multiple of 0x800, the alignment of IOAS ${ioasId} (the smallest page of HWPT ${outHwptId})`,
		);
		client.test("CREATE_ACCESS", { id: ioasId, flags: CreateAccessFlags.NEEDS_PIN_PAGES });
		expect(map({ length: 0x800n })).toMatch(/a multiple of 0x1000, the alignment of IOAS 1 \(what ACCESS \d+ pins\)$/);
	});

	test("isn't blamed when the length is 0", () => {
		expect(scene().map({ length: 0n })).toBe("EINVAL: length is 0: a mapping has one byte at least");
	});
});
