// Programs that call all there is to be called, step by step: for tests that play them again and again, each time with something
// else in their way.

import type { MemoryBudget } from "../faults/memory-budget.js";
import { reportPageRequest } from "../iommu/core/fault.js";
import { ArrayBacking } from "../memory/array-space.js";
import {
	Destroy,
	FaultQueueAlloc,
	GetHwInfo,
	HwptAlloc,
	HwptAllocFlags,
	HwptDataType,
	HwptGetDirtyBitmap,
	HwptInvalidate,
	HwptPgfault,
	HwptSetDirtyTracking,
	HwQueueAlloc,
	HwQueueType,
	InvalidateDataType,
	IoasAlloc,
	IoasAllowIovas,
	IoasChangeProcess,
	IoasCopy,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasMapFlags,
	IoasUnmap,
	IovaRange,
	Option,
	OptionId,
	PgfaultFlags,
	PgfaultPerm,
	VdeviceAlloc,
	VeventqAlloc,
	VeventqType,
	VfioIoas,
	VfioIoasOp,
	ViommuAlloc,
	ViommuType,
} from "../uapi/iommufd.js";
import {
	AccessRwFlags,
	CreateAccessFlags,
	HwptSelftest,
	MockDeviceFlags,
	TestCommand,
	TestInvalidateFlags,
	TestOp,
	testVariants,
	ViommuInvalidateSelftest,
	ViommuSelftest,
} from "../uapi/iommufd-test.js";
import { encode } from "../uapi/struct.js";
import { VfioDmaMapFlags, VfioExtension, VfioIommuMapDma, VfioIommuUnmapDma, VfioSetIommu } from "../uapi/vfio.js";
import { BUFFER, TestClient, TestPlatform } from "./client.testing.js";
import type { BoundDevice } from "./device.js";

/** One call, or a few that succeed or fail together. What it learns it keeps for the steps after it. */
export type Step = () => unknown;
export type Scenario = (client: TestClient) => readonly Step[];

const PAGE = 0x1000n;
const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const FIXED = RW | IoasMapFlags.FIXED_IOVA;
/** The mock IOMMU translates from here on. */
const BASE = 0x1000000n;
/** Where a test has its data, and what it can map beside the buffer: enough for page tables of more than one level. */
const DATA = 0x3000_0000;
const LARGE = 0x4000_0000;
const LARGE_BYTES = 0x20_0000;

export function newClient(budget?: MemoryBudget, platform = new TestPlatform({}, budget)): TestClient {
	const client = new TestClient(platform);
	client.memory.map(DATA, 0x4000);
	client.memory.map(LARGE, LARGE_BYTES);
	// Counted memory can be left over, too.
	client.capabilities.delete("CAP_IPC_LOCK");
	return client;
}

const allocIoas = (client: TestClient) => client.call(IoasAlloc, {}).outIoasId;
const mapBuffer = (client: TestClient, ioasId: number, iova: bigint, length: bigint, userVa = BigInt(BUFFER)) =>
	client.call(IoasMap, { ioasId, flags: FIXED, userVa, iova, length }).iova;

export const scenarios: { readonly [name: string]: Scenario } = {
	"an IOAS without domains": (client) => {
		let ioasId = 0;
		let other = 0;
		let iova = 0n;
		return [
			() => (ioasId = allocIoas(client)),
			() => (other = allocIoas(client)),
			() => client.call(IoasIovaRanges, { ioasId, numIovas: 4, allowedIovas: DATA }),
			() => {
				const ranges = [0x4000n, 0x20_0000n].map((start) => encode(IovaRange, { start, last: start + 0x10_0000n }));
				client.memory.write(DATA, Buffer.concat(ranges));
				client.call(IoasAllowIovas, { ioasId, numIovas: 2, allowedIovas: DATA });
			},
			() => client.test("ADD_RESERVED", { id: ioasId, start: 0x100_0000n, length: PAGE }),
			() => (iova = client.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: 4n * PAGE }).iova),
			() => mapBuffer(client, ioasId, iova + 4n * PAGE, 2n * PAGE),
			() => {
				const copy = { srcIoasId: ioasId, dstIoasId: other, srcIova: iova + PAGE, length: 4n * PAGE, flags: RW };
				client.call(IoasCopy, copy);
			},
			() => client.call(IoasUnmap, { ioasId, iova, length: 4n * PAGE }),
			() => client.call(Destroy, { id: ioasId }),
			() => client.call(Destroy, { id: other }),
		];
	},
	"mappings in several domains": (client) => {
		let ioasId = 0;
		let other = 0;
		let stdevId = 0;
		let devId = 0;
		let hwptId = 0;
		let fd = 0;
		return [
			() => (ioasId = allocIoas(client)),
			() => (other = allocIoas(client)),
			() => client.test("SET_TEMP_MEMORY_LIMIT", { limit: 32 }),
			() => mapBuffer(client, ioasId, BASE, 4n * PAGE),
			() => mapBuffer(client, ioasId, BASE + 0x1000_0000n, BigInt(LARGE_BYTES), BigInt(LARGE)),
			() => {
				const mock = client.test("MOCK_DOMAIN", { id: ioasId });
				stdevId = mock.outStdevId;
				devId = mock.outIdevId;
			},
			() => client.test("MOCK_DOMAIN", { id: ioasId }),
			() => (hwptId = client.call(HwptAlloc, { devId, ptId: ioasId }).outHwptId),
			() => mapBuffer(client, ioasId, BASE + 0x2000_0000n, 3n * PAGE, BigInt(BUFFER) + PAGE),
			() => (fd = client.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x8000)))),
			() => {
				const iova = BASE + 0x3000_0000n;
				client.call(IoasMapFile, { ioasId, fd, flags: FIXED, start: PAGE, length: 4n * PAGE, iova });
			},
			() => client.test("MOCK_DOMAIN", { id: other }),
			() => {
				const copy = { srcIoasId: ioasId, srcIova: BASE, dstIoasId: other, length: 2n * PAGE, flags: RW };
				client.call(IoasCopy, copy);
			},
			() => client.call(IoasUnmap, { ioasId, iova: BASE + 0x2000_0000n, length: 3n * PAGE }),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: stdevId, ptId: other }),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: stdevId, ptId: hwptId }),
			() => client.call(Destroy, { id: stdevId }),
			() => client.call(Destroy, { id: hwptId }),
			() => client.call(IoasUnmap, { ioasId, iova: 0n, length: (1n << 64n) - 1n }),
		];
	},
	accesses: (client) => {
		let ioasId = 0;
		let other = 0;
		let id = 0;
		let pagesId = 0;
		const rw = (length: bigint, rwFlags: number) => () =>
			client.test("ACCESS_RW", { id, iova: BASE + 8n, length, uptr: DATA, flags: rwFlags });
		const { WRITE, SLOW_PATH } = AccessRwFlags;
		return [
			() => (ioasId = allocIoas(client)),
			() => (other = allocIoas(client)),
			() => mapBuffer(client, ioasId, BASE, 2n * PAGE),
			() => mapBuffer(client, ioasId, BASE + 2n * PAGE, 6n * PAGE, BigInt(BUFFER) + 2n * PAGE),
			() => {
				id = client.test("CREATE_ACCESS", { id: ioasId, flags: CreateAccessFlags.NEEDS_PIN_PAGES }).outAccessFd;
			},
			() => {
				const values = { id, iova: BASE, length: 5n * PAGE, uptr: BUFFER };
				pagesId = client.test("ACCESS_PAGES", values).outAccessPagesId;
			},
			() => client.test("MOCK_DOMAIN", { id: ioasId }),
			() => client.test("ACCESS_PAGES", { id, iova: BASE + PAGE, length: 6n * PAGE, uptr: BUFFER + 0x1000 }),
			rw(64n, 0),
			rw(64n, WRITE),
			rw(64n, SLOW_PATH),
			rw(64n, SLOW_PATH | WRITE),
			rw(3n * PAGE, SLOW_PATH),
			() => client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: pagesId }),
			() => client.call(IoasUnmap, { ioasId, iova: BASE, length: 2n * PAGE }),
			() => client.test("ACCESS_REPLACE_IOAS", { id, ioasId: other }),
		];
	},
	"HWPTs of all kinds, and PASIDs": (client) => {
		const ids = { ioas: 0, ioas2: 0, stdev: 0, dev: 0, first: 0, parent: 0, fault: 0, nested: 0, other: 0, fd: 0 };
		const pasid = 200;
		const { PASID, NEST_PARENT, FAULT_ID_VALID } = HwptAllocFlags;
		const data = { dataType: HwptDataType.SELFTEST, dataLen: HwptSelftest.size, dataUptr: DATA };
		const alloc = (ptId: number, flags: number, more: object = {}) =>
			client.call(HwptAlloc, { devId: ids.dev, ptId, flags, ...more }).outHwptId;
		return [
			() => (ids.ioas = allocIoas(client)),
			() => (ids.ioas2 = allocIoas(client)),
			() => mapBuffer(client, ids.ioas, BASE, PAGE),
			() => mapBuffer(client, ids.ioas2, BASE, PAGE),
			() => {
				const mock = client.test("MOCK_DOMAIN_FLAGS", { id: ids.ioas, devFlags: MockDeviceFlags.PASID });
				ids.stdev = mock.outStdevId;
				ids.dev = mock.outIdevId;
			},
			() => client.call(GetHwInfo, { devId: ids.dev, dataLen: 8, dataUptr: DATA }),
			() => (ids.first = alloc(ids.ioas, PASID)),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.ioas2 }),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.first }),
			() => (ids.parent = alloc(ids.ioas, NEST_PARENT | PASID)),
			() => {
				const { outFaultId, outFaultFd } = client.call(FaultQueueAlloc, {});
				ids.fault = outFaultId;
				ids.fd = outFaultFd;
			},
			() => {
				client.memory.write(DATA, encode(HwptSelftest, { iotlb: 1 }));
				ids.nested = alloc(ids.parent, FAULT_ID_VALID, { faultId: ids.fault, ...data });
			},
			() => (ids.other = alloc(ids.ioas, PASID)),
			() => client.test("PASID_ATTACH", { id: ids.stdev, pasid, ptId: ids.parent }),
			() => client.test("PASID_REPLACE", { id: ids.stdev, pasid, ptId: ids.other }),
			() => client.test("PASID_DETACH", { id: ids.stdev, pasid }),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.nested }),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.ioas }),
			() => client.call(Destroy, { id: ids.nested }),
			() => client.close(ids.fd),
			() => client.call(Destroy, { id: ids.fault }),
			() => client.call(Destroy, { id: ids.stdev }),
		];
	},
	"a vIOMMU with all that it can have": (client) => {
		const ids = { ioas: 0, stdev: 0, dev: 0, parent: 0, viommu: 0, vdev: 0, fault: 0, nested: 0, queue: 0 };
		const fds = { fault: 0, events: 0 };
		const data = { dataType: HwptDataType.SELFTEST, dataLen: HwptSelftest.size, dataUptr: DATA };
		const device = () => client.fd.context.objects.existing(ids.dev, "") as BoundDevice;
		return [
			() => (ids.ioas = allocIoas(client)),
			() => mapBuffer(client, ids.ioas, BASE, 4n * PAGE),
			() => {
				const mock = client.test("MOCK_DOMAIN", { id: ids.ioas });
				ids.stdev = mock.outStdevId;
				ids.dev = mock.outIdevId;
			},
			() => {
				const flags = HwptAllocFlags.NEST_PARENT;
				ids.parent = client.call(HwptAlloc, { devId: ids.dev, ptId: ids.ioas, flags }).outHwptId;
			},
			() => {
				client.memory.write(DATA, encode(ViommuSelftest, { inData: 7 }));
				const given = { dataLen: ViommuSelftest.size, dataUptr: DATA };
				const values = { type: ViommuType.SELFTEST, devId: ids.dev, hwptId: ids.parent, ...given };
				ids.viommu = client.call(ViommuAlloc, values).outViommuId;
			},
			() => {
				const values = { viommuId: ids.viommu, devId: ids.dev, virtId: 0x99n };
				ids.vdev = client.call(VdeviceAlloc, values).outVdeviceId;
			},
			() => {
				const values = { viommuId: ids.viommu, type: HwQueueType.SELFTEST, nestingParentIova: BASE, length: PAGE };
				ids.queue = client.call(HwQueueAlloc, values).outHwQueueId;
			},
			() => {
				const { outFaultId, outFaultFd } = client.call(FaultQueueAlloc, {});
				ids.fault = outFaultId;
				fds.fault = outFaultFd;
			},
			() => {
				client.memory.write(DATA, encode(HwptSelftest, { iotlb: 1 }));
				const flags = HwptAllocFlags.FAULT_ID_VALID;
				const values = { devId: ids.dev, ptId: ids.viommu, flags, faultId: ids.fault, ...data };
				ids.nested = client.call(HwptAlloc, values).outHwptId;
			},
			() => {
				const values = { viommuId: ids.viommu, type: VeventqType.SELFTEST, veventqDepth: 2 };
				fds.events = client.call(VeventqAlloc, values).outVeventqFd;
			},
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.nested }),
			() => {
				client.memory.write(DATA, encode(ViommuInvalidateSelftest, { flags: TestInvalidateFlags.ALL, vdevId: 0x99 }));
				const entries = { dataType: InvalidateDataType.SELFTEST, entryLen: ViommuInvalidateSelftest.size, entryNum: 1 };
				client.call(HwptInvalidate, { hwptId: ids.viommu, dataUptr: DATA, ...entries });
			},
			() => {
				const flags = PgfaultFlags.LAST_PAGE;
				const request = { flags, pasid: 0, group: 1, permissions: PgfaultPerm.READ, address: 0n };
				reportPageRequest(device().device, request);
			},
			() => client.queue(fds.fault).read(client.memory, DATA, HwptPgfault.size),
			() => client.test("MOCK_DOMAIN_REPLACE", { id: ids.stdev, ptId: ids.ioas }),
			() => client.call(Destroy, { id: ids.nested }),
			() => client.call(Destroy, { id: ids.queue }),
			() => client.call(Destroy, { id: ids.vdev }),
			() => client.close(fds.events),
		];
	},
	"dirty tracking": (client) => {
		const ids = { ioas: 0, dev: 0, hwpt: 0 };
		const range = { iova: BASE, length: 16n * PAGE, pageSize: PAGE };
		return [
			() => (ids.ioas = allocIoas(client)),
			() => client.call(Option, { optionId: OptionId.HUGE_PAGES, objectId: ids.ioas, val64: 0n }),
			() => (ids.dev = client.test("MOCK_DOMAIN", { id: ids.ioas }).outIdevId),
			() => {
				const values = { devId: ids.dev, ptId: ids.ioas, flags: HwptAllocFlags.DIRTY_TRACKING };
				ids.hwpt = client.call(HwptAlloc, values).outHwptId;
			},
			() => mapBuffer(client, ids.ioas, BASE, 16n * PAGE),
			() => client.call(HwptSetDirtyTracking, { hwptId: ids.hwpt, flags: 1 }),
			() => client.test("DIRTY", { id: ids.hwpt, ...range, uptr: DATA }),
			() => client.call(HwptGetDirtyBitmap, { hwptId: ids.hwpt, ...range, data: DATA }),
			() => client.call(HwptSetDirtyTracking, { hwptId: ids.hwpt, flags: 0 }),
		];
	},
	"a container of VFIO's first version, whose mappings are cut": (client) => {
		let ioasId = 0;
		const flags = VfioDmaMapFlags.READ | VfioDmaMapFlags.WRITE;
		return [
			() => (ioasId = allocIoas(client)),
			() => client.call(VfioIoas, { op: VfioIoasOp.SET, ioasId }),
			() => client.fd.ioctl(client, VfioSetIommu.number, VfioExtension.TYPE1_IOMMU),
			() => client.call(VfioIommuMapDma, { flags, vaddr: BigInt(BUFFER), iova: BASE, size: 8n * PAGE }),
			() => client.test("MOCK_DOMAIN", { id: ioasId }),
			() => client.call(VfioIommuUnmapDma, { iova: BASE + 4n * PAGE, size: 4n * PAGE }),
			() => client.call(VfioIommuMapDma, { flags, vaddr: BigInt(BUFFER), iova: BASE + 4n * PAGE, size: PAGE }),
			() => client.call(VfioIommuUnmapDma, { iova: BASE, size: 5n * PAGE }),
		];
	},
	"a dma-buf, and mappings that go over to another process": (client) => {
		let ioasId = 0;
		let fd = 0;
		return [
			() => (ioasId = allocIoas(client)),
			() => client.test("MOCK_DOMAIN", { id: ioasId }),
			() => {
				client.memory.write(DATA, encode(testVariants.DMABUF_GET, { op: TestOp.DMABUF_GET, length: 0x4000 }));
				fd = client.fd.ioctl(client, TestCommand.number, DATA);
			},
			() => client.call(IoasMapFile, { ioasId, fd, flags: RW, length: 4n * PAGE }),
			() => client.test("DMABUF_REVOKE", { dmabufFd: fd, revoked: 1 }),
			() => client.call(IoasUnmap, { ioasId, iova: 0n, length: (1n << 64n) - 1n }),
			() => (fd = client.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x8000)))),
			() => client.call(IoasMapFile, { ioasId, fd, flags: RW, length: 4n * PAGE }),
			() => client.call(IoasChangeProcess, {}),
		];
	},
};
