import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import {
	HwptAlloc,
	HwptAllocFlags,
	IoasAlloc,
	IoasCopy,
	IoasMapFile,
	IoasMapFlags,
	IoasUnmap,
} from "../uapi/iommufd.js";
import { CreateAccessFlags, TestCommand, TestOp, testVariants } from "../uapi/iommufd-test.js";
import { encode } from "../uapi/struct.js";
import { TestClient } from "./client.testing.js";
import { PagingHwpt } from "./hwpt.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const SIZE = 0x4000n;

/** A device attached to an IOAS, and a dma-buf of four pages. */
function scene() {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const mock = client.test("MOCK_DOMAIN", { id: ioasId });
	const get = (length: number) => {
		const bytes = encode(testVariants.DMABUF_GET, { op: TestOp.DMABUF_GET, length });
		client.memory.map(0x7000_0000, 0x1000).set(bytes);
		try {
			return client.fd.ioctl(client, TestCommand.number, 0x7000_0000);
		} finally {
			client.memory.unmap(0x7000_0000);
		}
	};
	const fd = get(Number(SIZE));
	const map = (values: { start?: bigint; length?: bigint } = {}) =>
		client.call(IoasMapFile, { ioasId, fd, flags: RW, length: SIZE, ...values }).iova;
	const revoke = (revoked: number) => client.test("DMABUF_REVOKE", { dmabufFd: fd, revoked });
	/** Whether a HWPT shows something at an IOVA. */
	const shows = (iova: bigint, id = mock.outHwptId) => {
		const { table } = client.fd.context.objects.get(id, PagingHwpt, "").domain;
		return table.translate(Number(iova >> BigInt(table.format.granuleLg2))) >= 0;
	};
	return { client, ioasId, mock, fd, get, map, revoke, shows };
}

test("a dma-buf is mapped like a file, within its size, and counts for nobody", () => {
	const { client, map, shows, get } = scene();
	client.capabilities.delete("CAP_IPC_LOCK");
	client.memlockLimit = 0;
	expect(shows(map())).toBe(true);
	expect(codeOf(() => map({ start: 0x1000n }))).toBe("EINVAL");
	expect(codeOf(() => map({ length: SIZE + 1n }))).toBe("EINVAL");
	expect(codeOf(() => map({ length: 0n }))).toBe("EINVAL");
	expect(codeOf(() => get(0))).toBe("EINVAL");
	expect(codeOf(() => get(0x200001))).toBe("EINVAL");
});

test("when it is revoked its mappings lead to nothing, and stay so", () => {
	const { client, ioasId, mock, map, revoke, shows } = scene();
	const iova = map();
	revoke(1);
	expect(shows(iova)).toBe(false);
	expect(codeOf(() => map())).toBe("ENODEV");
	const { outHwptId } = client.call(HwptAlloc, {
		devId: mock.outIdevId,
		ptId: ioasId,
		flags: HwptAllocFlags.NEST_PARENT,
	});
	expect(shows(iova, outHwptId)).toBe(false);
	revoke(0);
	const second = map();
	expect([shows(iova), shows(second), shows(second, outHwptId)]).toEqual([false, true, true]);
	client.call(IoasUnmap, { ioasId, iova, length: SIZE });
	client.call(IoasUnmap, { ioasId, iova: second, length: SIZE });
	expect(client.platform.frames.pinned).toBe(0);
});

test("a copy is revoked with what it was copied from", () => {
	const { client, ioasId, map, revoke, shows } = scene();
	const { outIoasId: dstIoasId } = client.call(IoasAlloc, {});
	const { outHwptId } = client.test("MOCK_DOMAIN", { id: dstIoasId });
	const copy = { dstIoasId, srcIoasId: ioasId, flags: RW, srcIova: map(), length: SIZE };
	const { dstIova } = client.call(IoasCopy, copy);
	expect(shows(dstIova, outHwptId)).toBe(true);
	revoke(0);
	expect(shows(dstIova, outHwptId)).toBe(false);
	const again = client.call(IoasCopy, copy).dstIova;
	expect(shows(again, outHwptId)).toBe(false);
	client.fd.release();
	expect(client.platform.tables.tablesInUse).toBe(0);
});

test("in-kernel users get nothing of it", () => {
	const { client, ioasId, map } = scene();
	const iova = map();
	const flags = CreateAccessFlags.NEEDS_PIN_PAGES;
	const { outAccessFd: id } = client.test("CREATE_ACCESS", { id: ioasId, flags });
	expect(codeOf(() => client.test("ACCESS_PAGES", { id, iova, length: 0x1000n }))).toBe("EINVAL");
	expect(codeOf(() => client.test("ACCESS_RW", { id, iova, length: 8n }))).toBe("EINVAL");
});

test("only a dma-buf can be revoked", () => {
	const { client, ioasId } = scene();
	const { outAccessFd } = client.test("CREATE_ACCESS", { id: ioasId, flags: 0 });
	expect(codeOf(() => client.test("DMABUF_REVOKE", { dmabufFd: 99, revoked: 1 }))).toBe("EBADF");
	expect(codeOf(() => client.test("DMABUF_REVOKE", { dmabufFd: outAccessFd, revoked: 1 }))).toBe("EINVAL");
});
