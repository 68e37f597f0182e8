import { describe, expect, test } from "vitest";
import { NO_PASID } from "../iommu/core/pasid.js";
import { deviceBehind } from "../iommu/drivers/function.testing.js";
import { NoIommuDriver } from "../iommu/drivers/noiommu.js";
import { PAGE_SIZE } from "../memory/address-space.js";
import { codeOf } from "../uapi/errno.js";
import {
	FaultQueueAlloc,
	GetHwInfo,
	HwptAlloc,
	HwptAllocFlags,
	HwptDataType,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	IoasNoiommuGetPa,
	ViommuAlloc,
	ViommuType,
} from "../uapi/iommufd.js";
import { attachDevice, detachDevice, replaceDevice } from "./attach.js";
import { BUFFER, TestClient } from "./client.testing.js";
import { type BoundDevice, bindDevice, unbindDevice } from "./device.js";
import { PagingHwpt } from "./hwpt.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const PAGE = 0x1000n;
/** Behind what mock devices reserve. */
const IOVA = 0x100_0000n;
const LAST = 0xffff_ffff_ffff_ffffn;

/** A client that may have physical addresses, and has a device without an IOMMU. */
function scene() {
	const client = new TestClient();
	client.capabilities.add("CAP_SYS_RAWIO");
	const device = deviceBehind(new NoIommuDriver(client.platform.tables).addIommu());
	const { context } = client.fd;
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	/** @returns the IOVA */
	const map = (page: number, pages: number, iova = IOVA) =>
		client.call(IoasMap, {
			ioasId,
			flags: RW | IoasMapFlags.FIXED_IOVA,
			iova,
			userVa: BigInt(BUFFER + page * PAGE_SIZE),
			length: BigInt(pages) * PAGE,
		}).iova;
	const get = (iova: bigint, length: bigint) => {
		const answer = client.call(IoasNoiommuGetPa, { ioasId, iova, length });
		return [answer.outPhys, answer.length];
	};
	const physical = (page: number) => BigInt(client.platform.frames.frameOf(client.backing, page)) * PAGE;
	return { client, context, ioasId, bound: bindDevice(context, device), map, get, physical };
}

const attach = (bound: BoundDevice, ptId: number, pasid = NO_PASID) => attachDevice(bound, pasid, ptId);

describe("IOAS_NOIOMMU_GET_PA", () => {
	test("is for who may have physical addresses, of an IOAS that a device without IOMMU is attached to", () => {
		const client = new TestClient();
		const { outIoasId: ioasId } = client.call(IoasAlloc, {});
		const get = (values: Partial<{ flags: number; reserved: number; ioasId: number; iova: bigint; length: bigint }>) =>
			codeOf(() => client.call(IoasNoiommuGetPa, { ioasId, length: 1n, ...values }));
		expect(get({ flags: 1 })).toBe("EPERM");
		client.capabilities.add("CAP_SYS_RAWIO");
		expect(get({ flags: 1, length: 0n })).toBe("EOPNOTSUPP");
		expect(get({ reserved: 1 })).toBe("EOPNOTSUPP");
		expect(get({ length: 0n, iova: LAST })).toBe("EINVAL");
		expect(get({ iova: LAST, ioasId: 99 })).toBe("EOVERFLOW");
		expect(get({ ioasId: 99 })).toBe("ENOENT");
		expect(get({ iova: IOVA })).toBe("ENOENT");
		const flags = RW | IoasMapFlags.FIXED_IOVA;
		client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length: PAGE, iova: IOVA });
		expect(get({ iova: IOVA + 0x10n })).toBe("EOPNOTSUPP");
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect(get({ iova: IOVA + 0x10n })).toBe("EOPNOTSUPP");
	});

	test("tells where an IOVA leads, and how far memory goes on there", () => {
		const { bound, ioasId, map, get, physical } = scene();
		const iova = map(2, 4);
		attach(bound, ioasId);
		expect(get(iova, 16n * PAGE)).toEqual([physical(2), 4n * PAGE]);
		expect(get(iova + PAGE + 0x10n, LAST)).toEqual([physical(3) + 0x10n, 3n * PAGE - 0x10n]);
		expect(get(iova + 0x10n, 0x20n)).toEqual([physical(2) + 0x10n, 0x20n]);
		expect(get(iova + 0xff0n, 0x20n)).toEqual([physical(2) + 0xff0n, 0x20n]);
		expect(get(iova + 4n * PAGE - 1n, 2n)).toEqual([physical(5) + 0xfffn, 1n]);
		expect(codeOf(() => get(iova + 4n * PAGE, 1n))).toBe("ENOENT");
	});

	test("stops where memory goes on elsewhere, and at the end of the mapping", () => {
		const { client, bound, ioasId, map, get, physical } = scene();
		const other = 0x3000_0000;
		// Two pages that follow one another for the process only.
		client.memory.map(other, PAGE_SIZE, { backing: client.backing, page: 7 });
		client.memory.map(other + PAGE_SIZE, PAGE_SIZE, { backing: client.backing, page: 3 });
		const flags = RW | IoasMapFlags.FIXED_IOVA;
		client.call(IoasMap, { ioasId, flags, userVa: BigInt(other), length: 2n * PAGE, iova: IOVA });
		map(4, 1, IOVA + 2n * PAGE);
		attach(bound, ioasId);
		expect(get(IOVA, 3n * PAGE)).toEqual([physical(7), PAGE]);
		// The page that follows is side by side with it, but another mapping's.
		expect(get(IOVA + PAGE, 3n * PAGE)).toEqual([physical(3), PAGE]);
		expect(physical(4)).toBe(physical(3) + PAGE);
	});

	test("asks the table that the IOAS had first, which may be an IOMMU's", () => {
		const { client, bound, ioasId, map, get, physical } = scene();
		const iova = map(0, 1);
		const mock = client.test("MOCK_DOMAIN", { id: ioasId });
		const hwptId = client.call(HwptAlloc, { devId: bound.id, ptId: ioasId }).outHwptId;
		expect(codeOf(() => get(iova, 1n))).toBe("EOPNOTSUPP");
		expect(attach(bound, ioasId)).toBe(mock.outHwptId); // it fits a device that nothing can be attached to
		replaceDevice(bound, NO_PASID, hwptId);
		expect(codeOf(() => get(iova, 1n))).toBe("EOPNOTSUPP");
		client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId: client.call(IoasAlloc, {}).outIoasId });
		expect(get(iova, 1n)).toEqual([physical(0), 1n]);
	});
});

test("a device without an IOMMU shares its HWPT with no other, and gives back what it had", () => {
	const { client, context, bound, ioasId, map, get } = scene();
	const iova = map(0, 1);
	const hwptId = attach(bound, ioasId);
	const { domain } = context.objects.get(hwptId, PagingHwpt, "");
	expect([domain.table.format.name, domain.table.topLevel, domain.aperture.last]).toEqual(["AMDv1", 2, LAST]);
	const mock = client.test("MOCK_DOMAIN", { id: ioasId });
	expect(mock.outHwptId).not.toBe(hwptId);
	const replace = (ptId: number) => codeOf(() => client.test("MOCK_DOMAIN_REPLACE", { id: mock.outStdevId, ptId }));
	expect([replace(hwptId), replace(mock.outHwptId)]).toEqual(["ENODEV", "ok"]);
	expect(codeOf(() => attach(bound, hwptId))).toBe("EBUSY");
	detachDevice(bound, NO_PASID);
	expect(codeOf(() => get(iova, 1n))).toBe("EOPNOTSUPP");
	unbindDevice(bound);
	expect(codeOf(() => client.call(GetHwInfo, { devId: bound.id }))).toBe("ENOENT");
});

test("there is nothing to choose where there is no IOMMU, and nothing to be told of it", () => {
	const { client, bound, ioasId } = scene();
	const { outFaultId: faultId } = client.call(FaultQueueAlloc, {});
	const alloc = (values: object) =>
		codeOf(() => client.call(HwptAlloc, { devId: bound.id, ptId: ioasId, faultId, ...values }));
	const { NEST_PARENT, DIRTY_TRACKING, PASID, FAULT_ID_VALID } = HwptAllocFlags;
	for (const flags of [NEST_PARENT, DIRTY_TRACKING, PASID]) expect(alloc({ flags })).toBe("EOPNOTSUPP");
	expect(alloc({ dataType: HwptDataType.VTD_S1, dataLen: 8, dataUptr: BUFFER })).toBe("EOPNOTSUPP");
	expect(alloc({})).toBe("ok");
	expect(codeOf(() => client.call(GetHwInfo, { devId: bound.id }))).toBe("EOPNOTSUPP");
	const viommu = { type: ViommuType.ARM_SMMUV3, devId: bound.id, hwptId: 99 };
	expect(codeOf(() => client.call(ViommuAlloc, viommu))).toBe("EOPNOTSUPP");
	expect(codeOf(() => attach(bound, ioasId, 5))).toBe("EINVAL");
	// A queue for faults is no wish of the driver's. Nobody ever faults.
	const values = { devId: bound.id, ptId: ioasId, faultId, flags: FAULT_ID_VALID };
	const { outHwptId } = client.call(HwptAlloc, values);
	attach(bound, outHwptId);
	replaceDevice(bound, NO_PASID, ioasId);
	replaceDevice(bound, NO_PASID, outHwptId);
	detachDevice(bound, NO_PASID);
});
