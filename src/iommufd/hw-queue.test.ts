import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { Destroy, HwQueueAlloc, HwQueueType, IoasMap, IoasMapFlags, IoasUnmap } from "../uapi/iommufd.js";
import { BUFFER, type TestClient } from "./client.testing.js";
import { TestGuest } from "./guest.testing.js";

const TYPE = HwQueueType.SELFTEST;

/** A guest with four pages of memory. */
function scene() {
	const guest = new TestGuest();
	const { client, viommuId } = guest;
	const iova = guest.map(0x4000n);
	const alloc = (values: { type?: number; index?: number; nestingParentIova?: bigint; length?: bigint } = {}) =>
		client.call(HwQueueAlloc, { viommuId, type: TYPE, nestingParentIova: iova, length: 0x1000n, ...values })
			.outHwQueueId;
	const refused = (values: Parameters<typeof alloc>[0]) => codeOf(() => alloc(values));
	return { guest, client, iova, alloc, refused };
}

function pinned(client: TestClient, page: number): boolean {
	const check = { uptr: BigInt(BUFFER + page * 4096), length: 0x1000n, refs: 1 };
	return codeOf(() => client.test("MD_CHECK_REFS", check)) === "ok";
}

test("a queue pins its memory, and nobody unmaps it before the queue is destroyed", () => {
	const { guest, client, iova, alloc } = scene();
	const id = alloc({ nestingParentIova: iova + 0x800n });
	client.call(Destroy, { id: guest.device.stdevId });
	expect(codeOf(() => client.call(IoasUnmap, { ioasId: guest.ioasId, iova, length: 0x4000n }))).toBe("EBUSY");
	expect(codeOf(() => client.call(Destroy, { id: guest.viommuId }))).toBe("EBUSY");
	client.call(Destroy, { id });
	client.call(IoasUnmap, { ioasId: guest.ioasId, iova, length: 0x4000n });
	client.call(Destroy, { id: guest.viommuId });
	expect(client.platform.frames.pinned).toBe(0);
});

test("the memory stays pinned when the parent that maps it can't be the one that holds it", () => {
	const { guest, client, iova, alloc } = scene();
	const id = alloc({ nestingParentIova: iova + 0x1000n, length: 0x1001n });
	expect([0, 1, 2, 3].map((page) => pinned(client, page))).toEqual([true, true, true, true]);
	// The access is an object that user space can't destroy.
	const access = [...client.fd.context.objects].find(({ kind }) => kind === "ACCESS")!;
	expect(access.id).toBe(id + 1);
	expect(codeOf(() => client.call(Destroy, { id: access.id }))).toBe("EBUSY");
	expect(guest.addVdevice(1n)).toBe(id + 2);
});

test("a queue depends on the one before it", () => {
	const { client, alloc, refused } = scene();
	expect(refused({ index: 1 })).toBe("EIO");
	const first = alloc();
	expect(refused({})).toBe("EEXIST");
	const second = alloc({ index: 1 });
	expect(refused({ index: 2 })).toBe("EINVAL");
	expect(codeOf(() => client.call(Destroy, { id: first }))).toBe("EBUSY");
	client.call(Destroy, { id: second });
	// The mock takes the place of queue 0 for the one that is free then: Linux never sets mock_hw_queue.index.
	expect(refused({ index: 1 })).toBe("EEXIST");
	const another = alloc();
	client.call(Destroy, { id: first });
	client.call(Destroy, { id: another });
	alloc();
});

test("a queue that can't be is refused in Linux's order, and leaves nothing", () => {
	const { guest, client, iova, refused } = scene();
	const before = client.fd.context.objects.size;
	const { pinned } = client.platform.frames;
	expect(refused({ type: HwQueueType.DEFAULT, length: 0n })).toBe("EOPNOTSUPP");
	expect(refused({ length: 0n })).toBe("EINVAL");
	expect(refused({ nestingParentIova: 0xffffffffffffffffn, length: 2n })).toBe("EOVERFLOW");
	const onHwpt = { viommuId: guest.parentId, type: TYPE, nestingParentIova: iova, length: 0x1000n };
	expect(codeOf(() => client.call(HwQueueAlloc, onHwpt))).toBe("ENOENT");
	expect(refused({ type: HwQueueType.TEGRA241_CMDQV })).toBe("EOPNOTSUPP");
	expect(refused({ nestingParentIova: 0n, length: 0xffffffffffffffffn })).toBe("ERANGE");
	expect(refused({ nestingParentIova: 0n, length: 1n << 50n })).toBe("ENOMEM");
	expect(refused({ length: 0x5000n })).toBe("ENOENT");
	expect(refused({ nestingParentIova: 0xfffffffffffff000n })).toBe("ENOENT");
	expect([client.fd.context.objects.size, client.platform.frames.pinned]).toEqual([before, pinned]);
});

test("the pages of a queue have to lie side by side in physical memory", () => {
	const { guest, client, alloc, refused } = scene();
	const flags = IoasMapFlags.READABLE | IoasMapFlags.FIXED_IOVA;
	const base = 0x2000000n;
	// The second page comes first.
	for (const [at, page] of [0, 2, 1].entries())
		client.call(IoasMap, {
			ioasId: guest.ioasId,
			flags,
			userVa: BigInt(BUFFER + page * 4096),
			length: 0x1000n,
			iova: base + BigInt(at * 4096),
		});
	expect(refused({ nestingParentIova: base, length: 0x2000n })).toBe("EFAULT");
	expect(alloc({ nestingParentIova: base + 0x1000n, length: 0x1000n })).toBeGreaterThan(0);
});

test("a queue in memory that is mapped write-only is EPERM", () => {
	const { guest, client, refused } = scene();
	const { iova: nestingParentIova } = client.call(IoasMap, {
		ioasId: guest.ioasId,
		flags: IoasMapFlags.WRITEABLE,
		userVa: BigInt(BUFFER),
		length: 0x1000n,
	});
	expect(refused({ nestingParentIova })).toBe("EPERM");
});

test("closing the file frees queues with all that they hold", () => {
	const { client, alloc } = scene();
	alloc();
	alloc({ index: 1 });
	client.fd.release();
	expect(client.fd.context.objects.size).toBe(0);
	expect(client.platform.frames.pinned).toBe(0);
});
