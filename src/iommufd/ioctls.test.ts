import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { Destroy, IoasAlloc, IoasMap, IoasMapFlags, IoasUnmap } from "../uapi/iommufd.js";
import { BUFFER, TestClient } from "./client.testing.js";

const READ_WRITE = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;

test("a device attached to an IOAS sees what is mapped, and the memory is pinned as long as it is", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const mock = client.test("MOCK_DOMAIN", { id: ioasId });
	expect([ioasId, mock.outStdevId, mock.outIdevId, mock.outHwptId]).toEqual([1, 2, 3, 4]);

	const map = client.call(IoasMap, { ioasId, flags: READ_WRITE, userVa: BigInt(BUFFER), length: 0x4000n });
	client.test("MD_CHECK_MAP", { id: mock.outHwptId, iova: map.iova, length: 0x4000n, uptr: BigInt(BUFFER) });
	client.test("MD_CHECK_REFS", { length: 0x4000n, uptr: BigInt(BUFFER), refs: 1 });

	expect(client.call(IoasUnmap, { ioasId, iova: map.iova, length: 0x4000n }).length).toBe(0x4000n);
	client.test("MD_CHECK_REFS", { length: 0x4000n, uptr: BigInt(BUFFER), refs: 0 });
	expect(codeOf(() => client.call(Destroy, { id: ioasId }))).toBe("EBUSY");
	client.call(Destroy, { id: mock.outStdevId });
	client.call(Destroy, { id: ioasId });
	expect(client.fd.context.objects.size).toBe(0);
	expect(client.platform.tables.tablesInUse).toBe(0);
});

test("closing the file destroys users before what they use, and leaves nothing", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.test("MOCK_DOMAIN", { id: ioasId });
	client.call(IoasMap, { ioasId, flags: READ_WRITE, userVa: BigInt(BUFFER), length: 0x4000n });
	client.fd.release();
	expect(client.fd.context.objects.size).toBe(0);
	expect(client.platform.frames.pinned).toBe(0);
	expect(client.platform.frames.blocks).toBe(0);
	expect(client.platform.tables.tablesInUse).toBe(0);
});

test("a number that is no ioctl of iommufd is ENOTTY, but EFAULT where its struct can't be read", () => {
	const client = new TestClient();
	expect(codeOf(() => client.fd.ioctl(client, 0x3b9e, BUFFER))).toBe("ENOTTY");
	expect(codeOf(() => client.fd.ioctl(client, 0x3b9e, 0))).toBe("EFAULT");
	expect(codeOf(() => client.fd.ioctl(client, 0x3b10, 0))).toBe("ENOTTY");
	expect(codeOf(() => client.fd.ioctl(client, 0xc0003b81, BUFFER))).toBe("ENOTTY");
});
