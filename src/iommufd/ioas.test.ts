import { describe, expect, test } from "vitest";
import { copyIn } from "../memory/address-space.js";
import { ArrayBacking } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import {
	IoasAlloc,
	IoasAllowIovas,
	IoasCopy,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasMapFlags,
	IoasUnmap,
	IovaRange,
} from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { BUFFER, BUFFER_PAGES, TestClient } from "./client.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const FIXED = RW | IoasMapFlags.FIXED_IOVA;
const ALL = (1n << 64n) - 1n;
/** Where tests keep arrays of ranges. */
const RANGES = BUFFER;

function newIoas(client: TestClient): number {
	return client.call(IoasAlloc, {}).outIoasId;
}

function rangesOf(client: TestClient, ioasId: number): [bigint, bigint][] {
	const query = client.call(IoasIovaRanges, { ioasId, numIovas: 8, allowedIovas: RANGES });
	return Array.from({ length: query.numIovas }, (_, i) => {
		const range = IovaRange.newView();
		copyIn(client.memory, RANGES + i * IovaRange.size, range.bytes, "ranges");
		return [range.start, range.last];
	});
}

function allow(client: TestClient, ioasId: number, ranges: [bigint, bigint][]): string {
	for (const [i, [start, last]] of ranges.entries())
		client.memory.write(RANGES + i * IovaRange.size, encode(IovaRange, { start, last }));
	return codeOf(() => client.call(IoasAllowIovas, { ioasId, numIovas: ranges.length, allowedIovas: RANGES }));
}

describe("IOVA ranges", () => {
	test("a new IOAS has all of them and no alignment; a device narrows them, and its going widens them again", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		expect(rangesOf(client, ioasId)).toEqual([[0n, ALL]]);
		const alignment = () => client.call(IoasIovaRanges, { ioasId, numIovas: 8, allowedIovas: RANGES }).outIovaAlignment;
		expect(alignment()).toBe(1n);
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect(rangesOf(client, ioasId)).toEqual([[0x1000000n, 0x7fffffffn]]);
		expect(alignment()).toBe(2048n);
	});

	test("too little room is EMSGSIZE, and says how much is needed", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		client.test("ADD_RESERVED", { id: ioasId, start: 0x10000n, length: 0x1000n });
		const query = { ioasId, numIovas: 1, allowedIovas: RANGES };
		expect(codeOf(() => client.call(IoasIovaRanges, query))).toBe("EMSGSIZE");
		expect(client.lastAnswer(IoasIovaRanges).numIovas).toBe(2);
	});

	test("what was allowed can't be narrowed by a device that comes later, nor allowed where it is reserved", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		expect(allow(client, ioasId, [[0x100n, 0xfffn]])).toBe("ok");
		expect(codeOf(() => client.test("MOCK_DOMAIN", { id: ioasId }))).toBe("EADDRINUSE");
		expect(allow(client, ioasId, [])).toBe("ok");
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect(allow(client, ioasId, [[0x100n, 0xfffn]])).toBe("EADDRINUSE");
	});

	test("allowed ranges must go forwards and not overlap", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		expect(allow(client, ioasId, [[5n, 5n]])).toBe("EINVAL");
		expect(
			allow(client, ioasId, [
				[0x5000n, 0x5fffn],
				[0x1000n, 0x5000n],
			]),
		).toBe("EINVAL");
		expect(codeOf(() => client.call(IoasAllowIovas, { ioasId, numIovas: 1, allowedIovas: 0 }))).toBe("EFAULT");
	});
});

describe("mapping", () => {
	test("the checks come in Linux's order", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		const map = (values: {
			flags: number;
			ioasId?: number;
			reserved?: number;
			userVa?: bigint;
			length?: bigint;
			iova?: bigint;
		}) => codeOf(() => client.call(IoasMap, { ioasId, userVa: BigInt(BUFFER), length: 4096n, ...values }));
		expect(map({ flags: 8, iova: ALL })).toBe("EOPNOTSUPP");
		expect(map({ flags: RW, reserved: 1 })).toBe("EOPNOTSUPP");
		expect(map({ flags: 0, length: ALL })).toBe("EOVERFLOW");
		expect(map({ flags: 0, ioasId: 77 })).toBe("EINVAL");
		expect(map({ flags: RW, ioasId: 77, length: 0n })).toBe("ENOENT");
		expect(map({ flags: RW, userVa: ALL, length: 4096n })).toBe("EOVERFLOW");
		expect(map({ flags: RW, length: 0n })).toBe("EINVAL");
		expect(map({ flags: RW })).toBe("ok");
	});

	test("memory that isn't there is found out when a domain needs it", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		const iova = 0x1000000n;
		const hole = { ioasId, flags: FIXED, userVa: 0x5000_0000n, length: 4096n, iova };
		client.call(IoasMap, hole);
		expect(codeOf(() => client.test("MOCK_DOMAIN", { id: ioasId }))).toBe("EFAULT");
		client.call(IoasUnmap, { ioasId, iova, length: 4096n });
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect(codeOf(() => client.call(IoasMap, hole))).toBe("EFAULT");
	});

	test("read-only memory can be mapped for reading, not for writing", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		client.memory.map(0x6000_0000, 4096, { writable: false });
		client.test("MOCK_DOMAIN", { id: ioasId });
		const values = { ioasId, userVa: 0x6000_0000n, length: 4096n };
		expect(codeOf(() => client.call(IoasMap, { ...values, flags: RW }))).toBe("EFAULT");
		client.call(IoasMap, { ...values, flags: IoasMapFlags.READABLE });
	});

	test("an answer that can't be written back is EFAULT", () => {
		const client = new TestClient();
		client.memory.map(0x7000_0000, 4096, { writable: false }).set(encode(IoasAlloc, {}));
		expect(codeOf(() => client.fd.ioctl(client, IoasAlloc.number, 0x7000_0000))).toBe("EFAULT");
		expect(client.fd.context.objects.size).toBe(0);
	});
});

describe("mapping a file", () => {
	const map = (client: TestClient, values: Partial<{ fd: number; start: bigint; length: bigint }>) => {
		const request = { ioasId: 1, flags: RW, fd: 3, start: 0n, length: 4096n, ...values };
		return codeOf(() => client.call(IoasMapFile, request));
	};

	test("two mappings of one page are one frame, pinned once for each", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		const memfd = new ArrayBacking("memfd", new Uint8Array(0x4000));
		const fd = client.addMemfd(memfd);
		client.memory.map(0x6000_0000, 0x4000, { backing: memfd });
		const { outHwptId: id } = client.test("MOCK_DOMAIN", { id: ioasId });
		const { iova } = client.call(IoasMapFile, { ioasId, flags: RW, fd, start: 0x1000n, length: 0x2000n });
		client.call(IoasMap, { ioasId, flags: RW, userVa: 0x6000_0000n, length: 0x4000n });
		client.test("MD_CHECK_MAP", { id, iova, length: 0x2000n, uptr: 0x6000_1000n });
		expect([0, 1, 2, 3].map((page) => client.platform.frames.pins(memfd, page))).toEqual([1, 2, 2, 1]);
	});

	test("a file that isn't open is EBADF; one that isn't memory, or ends too early, is EINVAL when it is needed", () => {
		const client = new TestClient();
		newIoas(client);
		expect(map(client, {})).toBe("EBADF");
		client.files.set(3, { kind: "other" });
		expect(map(client, {})).toBe("ok");
		client.test("MOCK_DOMAIN", { id: newIoas(client) });
		client.call(IoasUnmap, { ioasId: 1, iova: 0n, length: ALL });
		client.test("MOCK_DOMAIN", { id: 1 });
		expect(map(client, {})).toBe("EINVAL");
		client.files.delete(3);
		client.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x1800)));
		expect(map(client, { length: 0x1000n })).toBe("ok");
		expect(map(client, { start: 0x1000n })).toBe("EINVAL");
		expect(map(client, { length: 0n })).toBe("EINVAL");
		expect(map(client, { start: ALL, length: 2n })).toBe("EOVERFLOW");
	});
});

describe("copying", () => {
	test("a copied mapping survives the unmap of the mapping it was copied from", () => {
		const client = new TestClient();
		const [srcIoasId, dstIoasId] = [newIoas(client), newIoas(client)];
		const { outHwptId: id } = client.test("MOCK_DOMAIN", { id: dstIoasId });
		const { iova: srcIova } = client.call(IoasMap, {
			ioasId: srcIoasId,
			flags: RW,
			userVa: BigInt(BUFFER),
			length: 0x4000n,
		});
		const copy = { srcIoasId, dstIoasId, flags: RW, length: 0x2000n, srcIova: srcIova + 0x1000n };
		const { dstIova: iova } = client.call(IoasCopy, copy);
		client.call(IoasUnmap, { ioasId: srcIoasId, iova: srcIova, length: 0x4000n });
		client.test("MD_CHECK_MAP", { id, iova, length: 0x2000n, uptr: BigInt(BUFFER + 0x1000) });
	});

	test("what is mapped read-only can't be copied as writeable", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		const { iova: srcIova } = client.call(IoasMap, {
			ioasId,
			flags: IoasMapFlags.READABLE,
			userVa: BigInt(BUFFER),
			length: 4096n,
		});
		const copy = { srcIoasId: ioasId, dstIoasId: ioasId, srcIova, length: 4096n };
		expect(codeOf(() => client.call(IoasCopy, { ...copy, flags: RW }))).toBe("EPERM");
		client.call(IoasCopy, { ...copy, flags: IoasMapFlags.READABLE });
	});
});

describe("unmapping", () => {
	test("0 to U64_MAX unmaps everything, and nothing at all is no error there", () => {
		const client = new TestClient();
		const ioasId = newIoas(client);
		const everything = { ioasId, iova: 0n, length: ALL };
		expect(client.call(IoasUnmap, everything).length).toBe(0n);
		for (const iova of [0x1000n, 0x8000n, ALL & ~0xfffn])
			client.call(IoasMap, { ioasId, flags: FIXED, userVa: BigInt(BUFFER), length: 0x1000n, iova });
		expect(client.call(IoasUnmap, everything).length).toBe(0x3000n);
		expect(codeOf(() => client.call(IoasUnmap, { ioasId, iova: 0x1000n, length: 0x1000n }))).toBe("ENOENT");
	});
});

/** Somebody who may have that many pages locked. */
function limitedClient(pages: number): TestClient {
	const client = new TestClient();
	client.capabilities.clear();
	client.memlockLimit = pages * 4096;
	return client;
}

describe("accounting", () => {
	test("a user without CAP_IPC_LOCK pins as much as RLIMIT_MEMLOCK allows, and gets it back with the unmap", () => {
		const client = new TestClient();
		client.capabilities.clear();
		client.memlockLimit = 4 * 4096;
		const ioasId = newIoas(client);
		client.test("MOCK_DOMAIN", { id: ioasId });
		const map = (pages: bigint) =>
			codeOf(() => client.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: pages * 4096n }));
		expect(map(BigInt(BUFFER_PAGES))).toBe("ENOMEM");
		expect(client.platform.frames.pinned).toBe(0);
		expect(map(4n)).toBe("ok");
		expect(map(1n)).toBe("ENOMEM");
		client.call(IoasUnmap, { ioasId, iova: 0n, length: ALL });
		expect(map(3n)).toBe("ok");
		client.fd.release();
		expect(client.platform.memlock.counted("user", client.owner, client.memory)).toBe(0);
	});

	test("what a closed context still has pinned is given back before a mapping is refused for it", () => {
		const client = limitedClient(4);
		const other = new TestClient(client.platform);
		other.capabilities.clear();
		const map = (by: TestClient) => {
			const ioasId = newIoas(by);
			by.test("MOCK_DOMAIN", { id: ioasId });
			return codeOf(() => by.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: 4n * 4096n }));
		};
		expect(map(other)).toBe("ok");
		expect(map(client)).toBe("ENOMEM");
		client.platform.closed.push(other.fd);
		expect(map(client)).toBe("ok");
		expect(client.platform.frames.pinned).toBe(4);
	});

	test("what is closed while a domain is filled is looked after later, for the domain may go with it", () => {
		const client = limitedClient(2);
		const ioasId = newIoas(client);
		for (let at = 0; at < 3 * 4096; at += 4096) {
			const [userVa, iova] = [BigInt(BUFFER + at), BigInt(0x1000000 + at)];
			client.call(IoasMap, { ioasId, flags: FIXED, userVa, length: 4096n, iova });
		}
		client.fd.context.hold();
		let released = 0;
		Object.defineProperty(client, "memlockLimit", {
			get: () => {
				client.platform.closed.push({ release: () => released++ });
				return 2 * 4096;
			},
		});
		expect(codeOf(() => client.test("MOCK_DOMAIN", { id: ioasId }))).toBe("ENOMEM");
		expect(released).toBe(0);
		client.call(IoasAlloc, {});
		expect(released).toBeGreaterThan(0);
	});

	test("a context whose file is closed while it is charged lives until the end of the call", () => {
		const client = limitedClient(2);
		const ioasId = newIoas(client);
		client.test("MOCK_DOMAIN", { id: ioasId });
		const map = (page: number) => {
			const [userVa, iova] = [BigInt(BUFFER + page * 4096), BigInt(0x1000000 + page * 4096)];
			return codeOf(() => client.call(IoasMap, { ioasId, flags: FIXED, userVa, length: 4096n, iova }));
		};
		expect([map(0), map(1)]).toEqual(["ok", "ok"]);
		let open = [client.fd];
		Object.defineProperty(client, "memlockLimit", {
			get: () => {
				client.platform.closed.push(...open);
				open = [];
				return 2 * 4096;
			},
		});
		expect(map(2)).toBe("ENOMEM");
		expect(client.platform.closed).toEqual([]);
		expect(client.platform.frames.pinned).toBe(0);
		expect(client.platform.memlock.counted("user", client.owner, client.memory)).toBe(0);
	});

	test("counted by process, what it has locked itself takes part of the limit: in a mapping, an attach and a copy", () => {
		const client = limitedClient(4);
		client.fd.context.accountMode = "mm";
		client.memory.selfLocked = 3;
		const [ioasId, other] = [newIoas(client), newIoas(client)];
		const map = (pages: bigint, iova: bigint) => {
			const request = { ioasId, flags: FIXED, userVa: BigInt(BUFFER), length: pages * 4096n, iova };
			return codeOf(() => client.call(IoasMap, request));
		};
		expect(map(2n, 0x1000000n)).toBe("ok");
		expect(codeOf(() => client.test("MOCK_DOMAIN", { id: ioasId }))).toBe("ENOMEM");
		client.test("MOCK_DOMAIN", { id: other });
		const copy = (length: bigint) =>
			codeOf(() =>
				client.call(IoasCopy, {
					flags: FIXED,
					dstIoasId: other,
					srcIoasId: ioasId,
					length,
					dstIova: 0x1000000n,
					srcIova: 0x1000000n,
				}),
			);
		expect([copy(0x2000n), copy(0x1000n)]).toEqual(["ENOMEM", "ok"]);
		client.memory.selfLocked = 2;
		client.call(IoasUnmap, { ioasId: other, iova: 0n, length: ALL });
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect([map(1n, 0x2000000n)]).toEqual(["ENOMEM"]);
	});

	test("a domain that can show only some of the mappings shows none, and nothing stays pinned", () => {
		const client = new TestClient();
		client.capabilities.clear();
		client.memlockLimit = 2 * 4096;
		const ioasId = newIoas(client);
		for (let at = 0; at < 3 * 4096; at += 4096) {
			const [userVa, iova] = [BigInt(BUFFER + at), BigInt(0x1000000 + at)];
			client.call(IoasMap, { ioasId, flags: FIXED, userVa, length: 4096n, iova });
		}
		expect(codeOf(() => client.test("MOCK_DOMAIN", { id: ioasId }))).toBe("ENOMEM");
		expect(client.platform.frames.pinned).toBe(0);
		expect(client.platform.memlock.counted("user", client.owner, client.memory)).toBe(0);
		client.memlockLimit = 3 * 4096;
		client.test("MOCK_DOMAIN", { id: ioasId });
		expect(client.platform.frames.pinned).toBe(3);
	});
});
