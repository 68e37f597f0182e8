import { expect, test } from "vitest";
import { ArrayBacking } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { Destroy, IoasAlloc, IoasMap, IoasMapFile, IoasMapFlags, IoasUnmap } from "../uapi/iommufd.js";
import { AccessPagesFlags, AccessRwFlags, CreateAccessFlags } from "../uapi/iommufd-test.js";
import { BUFFER, TestClient } from "./client.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const PAGE = 0x1000n;
/** Where the tests have the bytes that ACCESS_RW copies: the last pages of the buffer. */
const BYTES = BUFFER + 0xe000;

/** An IOAS with an access. */
function scene(flags: number = CreateAccessFlags.NEEDS_PIN_PAGES) {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const { outAccessFd: id } = client.test("CREATE_ACCESS", { id: ioasId, flags });
	const map = (values: { userVa?: bigint; length?: bigint; iova?: bigint; flags?: number; ioasId?: number } = {}) =>
		client.call(IoasMap, {
			ioasId,
			length: 4n * PAGE,
			userVa: BigInt(BUFFER),
			...values,
			flags: (values.flags ?? RW) | (values.iova === undefined ? 0 : IoasMapFlags.FIXED_IOVA),
		}).iova;
	const pin = (iova: bigint, length: bigint, options: { uptr?: number; flags?: number } = {}) =>
		client.test("ACCESS_PAGES", { id, iova, length, ...options }).outAccessPagesId;
	const rw = (iova: bigint, length: bigint, rwFlags: number) =>
		client.test("ACCESS_RW", { id, iova, length, uptr: BYTES, flags: rwFlags });
	const pins = (refs: number, uptr = BUFFER, length = 4n * PAGE) =>
		codeOf(() => client.test("MD_CHECK_REFS", { uptr: BigInt(uptr), length, refs }));
	return { client, ioasId, id, map, pin, rw, pins };
}

test("an access pins pages until they are given back, each once however many ranges have it", () => {
	const { client, id, map, pin, pins } = scene();
	const iova = map();
	const first = pin(iova, 4n * PAGE, { uptr: BUFFER });
	const second = pin(iova + PAGE, PAGE, { uptr: BUFFER + 0x1000, flags: AccessPagesFlags.WRITE });
	expect([first, second]).toEqual([0, 1]);
	expect(pins(1)).toBe("ok");
	client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: first });
	expect(pins(1, BUFFER + 0x1000, PAGE)).toBe("ok");
	expect(pins(0, BUFFER, PAGE)).toBe("ok");
	client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: second });
	expect(pins(0)).toBe("ok");
	expect(codeOf(() => client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: second }))).toBe("ENOENT");
});

test("pages that a domain and an access have stay pinned as long as one of them has them", () => {
	const { client, id, ioasId, map, pin, pins } = scene();
	const iova = map({ iova: 0x1000000n });
	const mock = client.test("MOCK_DOMAIN", { id: ioasId });
	const accessPagesId = pin(iova + PAGE, 2n * PAGE);
	client.call(Destroy, { id: mock.outStdevId });
	expect(pins(0, BUFFER, PAGE)).toBe("ok");
	expect(pins(1, BUFFER + 0x1000, 2n * PAGE)).toBe("ok");
	client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId });
	expect(pins(0)).toBe("ok");
});

test("an unmap has the access let go of what lies in the area, and of nothing else", () => {
	const { client, id, ioasId, map, pin, pins } = scene();
	const low = map({ iova: 0x10000n, length: PAGE });
	const high = map({ iova: 0x11000n, length: PAGE, userVa: BigInt(BUFFER) + PAGE });
	const both = pin(low, 2n * PAGE);
	const one = pin(high, PAGE);
	client.call(IoasUnmap, { ioasId, iova: low, length: PAGE });
	expect(codeOf(() => client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: both }))).toBe("ENOENT");
	expect(pins(1, BUFFER + 0x1000, PAGE)).toBe("ok");
	client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId: one });
	expect(pins(0)).toBe("ok");
});

test("what can't be pinned is refused with the reason's own errno, and leaves nothing pinned", () => {
	const { map, pin, pins } = scene();
	const iova = map({ iova: 0x10000n, length: 2n * PAGE });
	map({ iova: 0x12000n, length: PAGE, flags: IoasMapFlags.READABLE });
	expect(codeOf(() => pin(iova, 0n))).toBe("EINVAL");
	expect(codeOf(() => pin(0xfffffffffffff000n, 2n * PAGE))).toBe("EOVERFLOW");
	expect(codeOf(() => pin(iova, 4n * PAGE))).toBe("ENOENT");
	expect(codeOf(() => pin(iova + 0x10n, PAGE))).toBe("EINVAL");
	expect(codeOf(() => pin(iova, 3n * PAGE, { flags: AccessPagesFlags.WRITE }))).toBe("EPERM");
	expect(codeOf(() => pin(iova, PAGE, { uptr: BUFFER + 0x1000 }))).toBe("EBADE");
	expect(codeOf(() => pin(iova, PAGE, { uptr: 0x7000_0000 }))).toBe("EFAULT");
	expect(codeOf(() => pin(iova, PAGE, { uptr: 2 ** 64 - 4096 }))).toBe("EOVERFLOW");
	expect(codeOf(() => pin(iova, 0x100_0001n))).toBe("ENOMEM");
	expect(codeOf(() => pin(iova, PAGE, { flags: 2 }))).toBe("EOPNOTSUPP");
	expect(pins(0)).toBe("ok");
});

test("a page that isn't there is EFAULT when it is pinned, not when it is mapped", () => {
	const { map, pin } = scene();
	const iova = map({ userVa: 0x7000_0000n, length: PAGE });
	expect(codeOf(() => pin(iova, PAGE))).toBe("EFAULT");
});

test("pinned pages count against RLIMIT_MEMLOCK", () => {
	const { client, id, map, pin } = scene();
	client.capabilities.delete("CAP_IPC_LOCK");
	client.memlockLimit = 2 * 4096;
	const iova = map();
	expect(codeOf(() => pin(iova, 4n * PAGE))).toBe("ENOMEM");
	const accessPagesId = pin(iova, 2n * PAGE);
	expect(codeOf(() => pin(iova + 2n * PAGE, PAGE))).toBe("ENOMEM");
	client.test("DESTROY_ACCESS_PAGES", { id, accessPagesId });
	pin(iova + 2n * PAGE, PAGE);
});

test("an access that pins pages wants IOVAs aligned to them, another one doesn't", () => {
	const { client, ioasId, map } = scene(0);
	map({ userVa: BigInt(BUFFER) + 0x200n, length: 0x200n, iova: 0x1000200n });
	const flags = CreateAccessFlags.NEEDS_PIN_PAGES;
	expect(codeOf(() => client.test("CREATE_ACCESS", { id: ioasId, flags }))).toBe("EADDRINUSE");
	expect(codeOf(() => client.test("CREATE_ACCESS", { id: 99, flags }))).toBe("ENOENT");
	expect(codeOf(() => client.test("CREATE_ACCESS", { id: ioasId, flags: 2 }))).toBe("EOPNOTSUPP");
	expect(client.files.size).toBe(1);
});

test("an access without NEEDS_PIN_PAGES pins nothing", () => {
	const { map, pin } = scene(0);
	const iova = map();
	expect(codeOf(() => pin(iova, PAGE))).toBe("EOPNOTSUPP");
});

test("an access goes over to another IOAS, and lets go of what it had in the old one", () => {
	const { client, ioasId: first, id, map, pin, pins } = scene();
	pin(map(), 4n * PAGE);
	const { outIoasId: second } = client.call(IoasAlloc, {});
	expect(codeOf(() => client.call(Destroy, { id: first }))).toBe("EBUSY");
	expect(codeOf(() => client.test("ACCESS_REPLACE_IOAS", { id, ioasId: 99 }))).toBe("ENOENT");
	client.test("ACCESS_REPLACE_IOAS", { id, ioasId: second });
	expect(pins(0)).toBe("ok");
	client.call(Destroy, { id: first });
	expect(codeOf(() => client.call(Destroy, { id: second }))).toBe("EBUSY");
	pin(map({ ioasId: second }), PAGE);
});

test("an access that can't go over keeps what it has", () => {
	const { client, id, map, pin, pins } = scene();
	pin(map(), PAGE);
	const { outIoasId: second } = client.call(IoasAlloc, {});
	map({ ioasId: second, userVa: BigInt(BUFFER) + 0x200n, length: 0x200n, iova: 0x1000200n });
	expect(codeOf(() => client.test("ACCESS_REPLACE_IOAS", { id, ioasId: second }))).toBe("EADDRINUSE");
	expect(pins(1, BUFFER, PAGE)).toBe("ok");
});

test("the access is an object that only closing its fd destroys", () => {
	const { client, ioasId, id, map, pin, pins } = scene();
	pin(map(), PAGE);
	const access = [...client.fd.context.objects].find((object) => object.kind === "ACCESS")!;
	expect(codeOf(() => client.call(Destroy, { id: access.id }))).toBe("EBUSY");
	client.close(id);
	expect(pins(0)).toBe("ok");
	expect(codeOf(() => client.call(Destroy, { id: access.id }))).toBe("ENOENT");
	client.call(Destroy, { id: ioasId });
});

test("an access keeps the context when /dev/iommu is closed before it", () => {
	const { client, id, map, pin } = scene();
	pin(map(), PAGE);
	client.fd.release();
	expect(client.platform.frames.pinned).toBe(1);
	client.close(id);
	expect(client.platform.frames.pinned).toBe(0);
	expect(client.fd.context.objects.size).toBe(0);
});

test.each([
	["the fast path", 0],
	["the slow path", AccessRwFlags.SLOW_PATH],
])("%s reads and writes what is mapped, across pages and areas", (_name, path) => {
	const { client, map, rw } = scene();
	map({ iova: 0x10000n, length: 2n * PAGE, userVa: BigInt(BUFFER) + 2n * PAGE });
	map({ iova: 0x12000n, length: PAGE });
	client.backing.bytes.fill(7, 0x2000, 0x4000);
	client.backing.bytes.fill(9, 0, 0x1000);
	rw(0x11ff0n, 0x20n, path);
	expect([...client.backing.bytes.subarray(0xe000, 0xe020)]).toEqual([...Array(16).fill(7), ...Array(16).fill(9)]);
	client.memory.write(BYTES, new Uint8Array(0x1800).fill(3));
	rw(0x10800n, 0x1800n, path | AccessRwFlags.WRITE);
	expect(client.backing.bytes.subarray(0x2800, 0x4000).every((byte) => byte === 3)).toBe(true);
	expect([client.backing.bytes[0x27ff], client.backing.bytes[0]]).toEqual([7, 9]);
	expect(client.platform.frames.pinned).toBe(0);
});

test.each([
	["the fast path", 0],
	["the slow path", AccessRwFlags.SLOW_PATH],
])("%s is refused where the mapping or the memory doesn't let it", (_name, path) => {
	const { client, map, rw } = scene();
	const write = path | AccessRwFlags.WRITE;
	map({ iova: 0x10000n, length: PAGE, flags: IoasMapFlags.READABLE });
	map({ iova: 0x20000n, length: PAGE, flags: IoasMapFlags.WRITEABLE });
	map({ iova: 0x30000n, length: 2n * PAGE, userVa: 0x7000_0000n });
	expect(codeOf(() => rw(0x10000n, 0n, path))).toBe("EINVAL");
	expect(codeOf(() => rw(0xffffffffffffffffn, 2n, path))).toBe("EOVERFLOW");
	expect(codeOf(() => rw(0x10000n, 8n, write))).toBe("EPERM");
	expect(codeOf(() => rw(0x20000n, 8n, path))).toBe("EPERM");
	expect(codeOf(() => rw(0x30000n, 8n, path))).toBe("EFAULT");
	expect(codeOf(() => rw(0x30ff0n, 0x20n, write))).toBe("EFAULT");
	expect(codeOf(() => rw(0x40000n, 8n, path))).toBe("ENOENT");
	expect(codeOf(() => rw(0x10ff8n, 0x10n, path))).toBe("ENOENT");
	client.memory.map(0x7000_0000, 0x1000, { writable: false });
	expect(codeOf(() => rw(0x30000n, 8n, write))).toBe("EFAULT");
	expect(codeOf(() => rw(0x30000n, 8n, path))).toBe("ok");
});

test("several pages of memory that was mapped writeable are looked up for writing, also by who only reads", () => {
	const { client, map, rw } = scene();
	client.memory.map(0x7000_0000, 0x2000, { writable: false });
	map({ iova: 0x10000n, length: 2n * PAGE, userVa: 0x7000_0000n });
	expect(codeOf(() => rw(0x10ff0n, 0x20n, 0))).toBe("ok");
	expect(codeOf(() => rw(0x10ff0n, 0x20n, AccessRwFlags.SLOW_PATH))).toBe("EFAULT");
});

test("a mapping of a file is read by way of its pages", () => {
	const { client, ioasId, rw } = scene();
	const backing = new ArrayBacking("memfd", new Uint8Array(0x4000).fill(5));
	const fd = client.addMemfd(backing);
	const flags = RW | IoasMapFlags.FIXED_IOVA;
	client.call(IoasMapFile, { ioasId, fd, start: 0x1000n, length: 2n * PAGE, iova: 0x10000n, flags });
	rw(0x10ff0n, 0x20n, 0);
	expect(client.backing.bytes.subarray(0xe000, 0xe020).every((byte) => byte === 5)).toBe(true);
});

test("memory of another process is reached through its pages, and by nobody once it is gone", () => {
	const { client, id, map } = scene();
	const iova = map();
	client.backing.bytes.fill(4, 0, 0x1000);
	const other = new TestClient(client.platform, {}, client.fd);
	other.files.set(id, client.files.get(id)!);
	const rw = () => codeOf(() => other.test("ACCESS_RW", { id, iova, length: 8n, uptr: BYTES }));
	expect(rw()).toBe("ok");
	expect([...other.backing.bytes.subarray(0xe000, 0xe008)]).toEqual(Array(8).fill(4));
	client.memory.alive = false;
	expect(rw()).toBe("EFAULT");
});

test("an fd that is no access is EBADFD, whether it is open or not", () => {
	const { client, ioasId } = scene();
	const memfd = client.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x1000)));
	for (const id of [memfd, 77]) {
		expect(codeOf(() => client.test("ACCESS_RW", { id, iova: 0n, length: 8n, uptr: BYTES }))).toBe("EBADFD");
		expect(codeOf(() => client.test("ACCESS_PAGES", { id }))).toBe("EBADFD");
		expect(codeOf(() => client.test("ACCESS_REPLACE_IOAS", { id, ioasId }))).toBe("EBADFD");
		expect(codeOf(() => client.test("DESTROY_ACCESS_PAGES", { id }))).toBe("EBADFD");
	}
});

test("with SYZ an IOVA is the number of an area, and an offset into it", () => {
	const { client, map, rw } = scene();
	map({ iova: 0x10000n, length: PAGE });
	map({ iova: 0x50000n, length: PAGE, userVa: BigInt(BUFFER) + PAGE });
	client.backing.bytes[0x1010] = 42;
	rw((0x10n << 32n) | 1n, 1n, AccessRwFlags.SYZ);
	expect(client.backing.bytes[0xe000]).toBe(42);
});

test("what is mapped while an access pins pages has to be aligned to them", () => {
	const { client, ioasId, id, map } = scene();
	const half = { userVa: BigInt(BUFFER) + 0x800n, length: 0x800n, iova: 0x10800n };
	expect(codeOf(() => map(half))).toBe("EINVAL");
	client.test("ACCESS_REPLACE_IOAS", { id, ioasId: client.call(IoasAlloc, {}).outIoasId });
	expect(map(half)).toBe(0x10800n);
	client.call(IoasUnmap, { ioasId, iova: half.iova, length: half.length });
});
