import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import {
	HwptAlloc,
	HwptAllocFlags,
	HwptDataType,
	HwptInvalidate,
	InvalidateDataType,
	IoasAlloc,
} from "../uapi/iommufd.js";
import { HwptInvalidateSelftest, HwptSelftest, TestInvalidateFlags } from "../uapi/iommufd-test.js";
import { encode } from "../uapi/struct.js";
import { BUFFER, TestClient } from "./client.testing.js";

const IOTLB = 0xabcd;
const ENTRIES = BUFFER + 0x1000;

function nestedHwpt(): { client: TestClient; hwptId: number } {
	const client = new TestClient();
	const { outIoasId: ptId } = client.call(IoasAlloc, {});
	const { outIdevId: devId } = client.test("MOCK_DOMAIN", { id: ptId });
	const { outHwptId: parent } = client.call(HwptAlloc, { devId, ptId, flags: HwptAllocFlags.NEST_PARENT });
	client.memory.write(BUFFER, encode(HwptSelftest, { iotlb: IOTLB }));
	const data = { dataType: HwptDataType.SELFTEST, dataLen: HwptSelftest.size, dataUptr: BUFFER };
	return { client, hwptId: client.call(HwptAlloc, { devId, ptId: parent, ...data }).outHwptId };
}

function invalidate(client: TestClient, hwptId: number, entries: { flags?: number; iotlbId?: number }[]): string {
	for (const [i, entry] of entries.entries())
		client.memory.write(ENTRIES + i * HwptInvalidateSelftest.size, encode(HwptInvalidateSelftest, entry));
	return codeOf(() =>
		client.call(HwptInvalidate, {
			hwptId,
			dataUptr: ENTRIES,
			dataType: InvalidateDataType.SELFTEST,
			entryLen: HwptInvalidateSelftest.size,
			entryNum: entries.length,
		}),
	);
}

function iotlb(client: TestClient, id: number): boolean[] {
	return [0, 1, 2, 3].map(
		(iotlbId) => codeOf(() => client.test("MD_CHECK_IOTLB", { id, iotlbId, iotlb: IOTLB })) === "ok",
	);
}

test("entries are carried out in order, up to the first that is wrong, and the answer says how many", () => {
	const { client, hwptId } = nestedHwpt();
	expect(iotlb(client, hwptId)).toEqual([true, true, true, true]);
	expect(invalidate(client, hwptId, [{ iotlbId: 1 }, { iotlbId: 4 }, { iotlbId: 2 }])).toBe("EINVAL");
	expect(client.lastAnswer(HwptInvalidate).entryNum).toBe(1);
	expect(iotlb(client, hwptId)).toEqual([true, false, true, true]);
	expect(invalidate(client, hwptId, [{ flags: TestInvalidateFlags.ALL }])).toBe("ok");
	expect(iotlb(client, hwptId)).toEqual([false, false, false, false]);
});

test("an error before the first entry answers 0", () => {
	const { client, hwptId } = nestedHwpt();
	expect(invalidate(client, 99, [{}])).toBe("ENOENT");
	expect(client.lastAnswer(HwptInvalidate).entryNum).toBe(0);
	expect(invalidate(client, 1, [{}])).toBe("EINVAL");
	expect(codeOf(() => client.call(HwptInvalidate, { hwptId, entryNum: 1 }))).toBe("EINVAL");
	expect(codeOf(() => client.call(HwptInvalidate, { hwptId, reserved: 1 }))).toBe("EOPNOTSUPP");
	const huge = { hwptId, dataUptr: ENTRIES, entryLen: 8, entryNum: 2 ** 20 };
	expect(codeOf(() => client.call(HwptInvalidate, huge))).toBe("EINVAL");
});
