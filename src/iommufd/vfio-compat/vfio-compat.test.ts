import { expect, test } from "vitest";
import { codeOf } from "../../uapi/errno.js";
import {
	Destroy,
	HwptAlloc,
	HwptAllocFlags,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	VfioIoas,
	VfioIoasOp,
} from "../../uapi/iommufd.js";
import { CreateAccessFlags } from "../../uapi/iommufd-test.js";
import {
	VFIO_API_VERSION,
	VfioCheckExtension,
	VfioDmaMapFlags,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioGetApiVersion,
	VfioIommuGetInfo,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioSetIommu,
} from "../../uapi/vfio.js";
import { BUFFER, TestClient } from "../client.testing.js";
import { ensureCompatIoas } from "./vfio-compat.js";

const RW = VfioDmaMapFlags.READ | VfioDmaMapFlags.WRITE;
/** The mock IOMMU translates from here on. */
const BASE = 0x1000000n;

/** A container, as far as iommufd has one. */
function scene() {
	const client = new TestClient();
	const { id } = ensureCompatIoas(client.fd.context);
	const plain = (command: number, argument: number) => client.fd.ioctl(client, command, argument);
	const map = (iova: bigint, size: bigint, flags: number = RW) =>
		codeOf(() => client.call(VfioIommuMapDma, { flags, vaddr: BigInt(BUFFER), iova, size }));
	const unmap = (iova: bigint, size: bigint, flags = 0) => {
		const code = codeOf(() => client.call(VfioIommuUnmapDma, { flags, iova, size }));
		return [code, client.lastAnswer(VfioIommuUnmapDma).size];
	};
	const areas = () => [...ensureCompatIoas(client.fd.context).map.areas].map(({ first, last }) => [first, last]);
	return { client, id, plain, map, unmap, areas };
}

test("VFIO's ioctls work on the IOAS that VFIO_IOAS names, and are ENODEV without one", () => {
	const client = new TestClient();
	const plain = (command: number, argument: number) => codeOf(() => client.fd.ioctl(client, command, argument));
	const dma = { vaddr: BigInt(BUFFER), iova: BASE, size: 0x1000n };
	expect(codeOf(() => client.call(VfioIoas, { op: VfioIoasOp.GET }))).toBe("ENODEV");
	expect(plain(VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU)).toBe("ENODEV");
	expect(plain(VfioCheckExtension.number, VfioExtension.DMA_CC_IOMMU)).toBe("ENODEV");
	expect(codeOf(() => client.call(VfioIommuMapDma, dma))).toBe("ENODEV");
	expect(codeOf(() => client.call(VfioIommuUnmapDma, dma))).toBe("ENODEV");
	expect(codeOf(() => client.call(VfioIommuGetInfo, {}))).toBe("ENODEV");

	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.call(VfioIoas, { op: VfioIoasOp.SET, ioasId });
	expect(client.call(VfioIoas, { op: VfioIoasOp.GET }).ioasId).toBe(ioasId);
	expect(codeOf(() => client.call(VfioIommuMapDma, dma))).toBe("ok");
	expect(ensureCompatIoas(client.fd.context).id).toBe(ioasId);
	client.call(VfioIoas, { op: VfioIoasOp.CLEAR });
	expect(codeOf(() => client.call(VfioIommuMapDma, dma))).toBe("ENODEV");
});

test("the IOAS that VFIO's ioctls work on can be destroyed like any other", () => {
	const { client, id } = scene();
	client.call(Destroy, { id });
	expect(codeOf(() => client.call(VfioIoas, { op: VfioIoasOp.GET }))).toBe("ENODEV");
});

test("the container says what it can do", () => {
	const { plain } = scene();
	expect(plain(VfioGetApiVersion.number, 0)).toBe(VFIO_API_VERSION);
	const { TYPE1_IOMMU, TYPE1v2_IOMMU, UNMAP_ALL, NOIOMMU_IOMMU, DMA_CC_IOMMU } = VfioExtension;
	const there = Array.from({ length: 13 }, (_, type) => type).filter((type) => plain(VfioCheckExtension.number, type));
	expect(there).toEqual([TYPE1_IOMMU, TYPE1v2_IOMMU, DMA_CC_IOMMU, NOIOMMU_IOMMU, UNMAP_ALL]);
	expect(codeOf(() => plain(VfioSetIommu.number, VfioExtension.NOIOMMU_IOMMU))).toBe("EINVAL");
	expect(codeOf(() => plain(VfioSetIommu.number, 99))).toBe("EINVAL");
	expect(codeOf(() => plain(0x3b79, 0))).toBe("ENOTTY");
});

test("DMA is coherent as long as no HWPT leaves it to the device", () => {
	const { client, id, plain } = scene();
	const extension = VfioExtension.DMA_CC_IOMMU;
	expect(plain(VfioCheckExtension.number, extension)).toBe(1);
	client.test("MOCK_DOMAIN", { id });
	expect(plain(VfioCheckExtension.number, extension)).toBe(0);
});

test("memory is mapped at the IOVA that is asked for, also without any permission", () => {
	const { client, map, areas, id } = scene();
	expect(map(BASE, 0x2000n)).toBe("ok");
	expect(map(BASE + 0x1000n, 0x1000n)).toBe("EEXIST");
	expect(map(BASE, 0n)).toBe("EINVAL");
	expect(map(0xfffffffffffff000n, 0x2000n)).toBe("EOVERFLOW");
	expect(map(BASE, 0x1000n, 4)).toBe("EINVAL");
	expect(map(BASE + 0x2000n, 0x1000n, 0)).toBe("ok");
	expect(areas()).toHaveLength(2);
	// No domain can have it, though.
	expect(codeOf(() => client.test("MOCK_DOMAIN", { id }))).toBe("EINVAL");
});

test("a short struct is EINVAL, one that can't be read EFAULT", () => {
	const { client } = scene();
	const dma = { vaddr: BigInt(BUFFER), iova: BASE, size: 0x1000n };
	expect(codeOf(() => client.call(VfioIommuMapDma, { ...dma, argsz: 31 }))).toBe("EINVAL");
	expect(codeOf(() => client.call(VfioIommuUnmapDma, { ...dma, argsz: 23 }))).toBe("EINVAL");
	expect(codeOf(() => client.fd.ioctl(client, VfioIommuMapDma.number, 0x7000_0000))).toBe("EFAULT");
});

test("an unmap answers how much it was, also when an error ends it", () => {
	const { map, unmap } = scene();
	map(BASE, 0x2000n);
	map(BASE + 0x2000n, 0x2000n);
	expect(unmap(BASE, 0x3000n)).toEqual(["ENOENT", 0x2000n]);
	expect(unmap(BASE, 0x2000n)).toEqual(["ok", 0n]);
	expect(unmap(BASE, 0n)).toEqual(["EINVAL", 0n]);
	expect(unmap(0xfffffffffffff000n, 0x2000n)).toEqual(["EOVERFLOW", 0n]);
	expect(unmap(BASE, 0x1000n, 1)).toEqual(["EINVAL", 0x1000n]);
	expect(unmap(BASE, 0n, VfioDmaUnmapFlags.ALL)).toEqual(["EINVAL", 0n]);
	expect(unmap(0n, 0n, VfioDmaUnmapFlags.ALL)).toEqual(["ok", 0x2000n]);
});

test("version 2 unmaps mappings whole, version 1 any page of them", () => {
	const { client, id, plain, map, unmap, areas } = scene();
	plain(VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU);
	client.test("MOCK_DOMAIN", { id });
	map(BASE, 0x8000n);
	expect(unmap(BASE + 0x1000n, 0x1000n)).toEqual(["ENOENT", 0n]);
	expect(codeOf(() => plain(VfioSetIommu.number, VfioExtension.TYPE1_IOMMU))).toBe("EINVAL");
	unmap(BASE, 0x8000n);
	plain(VfioSetIommu.number, VfioExtension.TYPE1_IOMMU);
	map(BASE, 0x8000n);
	expect(unmap(BASE + 0x2000n, 0x2000n)).toEqual(["ok", 0x2000n]);
	expect(areas()).toEqual([
		[BASE, BASE + 0x1fffn],
		[BASE + 0x4000n, BASE + 0x7fffn],
	]);
	expect(client.platform.frames.pinned).toBe(6);
	expect(unmap(BASE, 0x5000n)).toEqual(["ok", 0x3000n]);
	expect(client.platform.frames.pinned).toBe(3);
});

test("both parts of a mapping that was cut lead where the whole one did", () => {
	const { client, id, plain, map, unmap } = scene();
	plain(VfioSetIommu.number, VfioExtension.TYPE1_IOMMU);
	const { outHwptId } = client.test("MOCK_DOMAIN", { id });
	map(BASE, 0x4000n);
	unmap(BASE + 0x1000n, 0x1000n);
	const check = (iova: bigint, uptr: number, length: bigint) =>
		codeOf(() => client.test("MD_CHECK_MAP", { id: outHwptId, iova, uptr: BigInt(uptr), length }));
	expect(check(BASE, BUFFER, 0x1000n)).toBe("ok");
	expect(check(BASE + 0x2000n, BUFFER + 0x2000, 0x2000n)).toBe("ok");
	expect(check(BASE + 0x1000n, BUFFER + 0x1000, 0x1000n)).toBe("EINVAL");
	// A domain that comes later gets both parts, too.
	const { outIdevId: devId } = client.test("MOCK_DOMAIN", { id });
	const flags = HwptAllocFlags.NEST_PARENT;
	const { outHwptId: second } = client.call(HwptAlloc, { devId, ptId: id, flags });
	client.test("MD_CHECK_MAP", { id: second, iova: BASE + 0x2000n, uptr: BigInt(BUFFER + 0x2000), length: 0x2000n });
	client.fd.release();
	expect(client.platform.frames.pinned).toBe(0);
});

test("a mapping is cut at whole pages, and not while an access has it", () => {
	const { client, id, plain, map, unmap, areas } = scene();
	plain(VfioSetIommu.number, VfioExtension.TYPE1_IOMMU);
	map(BASE, 0x4000n);
	// Its end is cut before its beginning is looked at.
	expect(unmap(BASE + 0x800n, 0x800n)).toEqual(["EINVAL", 0x800n]);
	expect(areas()).toHaveLength(2);
	const flags = CreateAccessFlags.NEEDS_PIN_PAGES;
	const { outAccessFd } = client.test("CREATE_ACCESS", { id, flags });
	client.test("ACCESS_PAGES", { id: outAccessFd, iova: BASE + 0x1000n, length: 0x1000n });
	expect(unmap(BASE + 0x2000n, 0x1000n)).toEqual(["EINVAL", 0x1000n]);
	expect(areas()).toHaveLength(2);
	// The first byte of a mapping is no place to cut, in Linux.
	expect(unmap(BASE - 0x1000n, 0x1001n)).toEqual(["ENOENT", 0n]);
});

test("as /dev/vfio/vfio counts memory, so do maps that are made by it", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.call(VfioIoas, { op: VfioIoasOp.SET, ioasId });
	client.capabilities.delete("CAP_IPC_LOCK");
	client.fd.context.accountMode = "mm";
	client.call(VfioIommuMapDma, { flags: RW, vaddr: BigInt(BUFFER), iova: BASE, size: 0x1000n });
	client.test("MOCK_DOMAIN", { id: ioasId });
	const { memlock } = client.platform;
	expect(memlock.counted("mm", client.owner, client.memory)).toBe(1);
	expect(memlock.counted("user", client.owner, client.memory)).toBe(0);
	const flags = IoasMapFlags.READABLE;
	client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length: 0x1000n });
});
