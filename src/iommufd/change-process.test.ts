import { expect, test } from "vitest";
import { ArrayBacking } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, IoasChangeProcess, IoasMap, IoasMapFile, IoasMapFlags, IoasUnmap } from "../uapi/iommufd.js";
import { BUFFER, TestClient } from "./client.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;

/** A client with a file of two pages mapped for a device, accounted to user 1000; and a second process with the same fd. */
function setUp(mode: "user" | "mm" = "user"): { old: TestClient; heir: TestClient; ioasId: number; iova: bigint } {
	const old = new TestClient();
	old.capabilities.clear();
	old.fd.context.accountMode = mode;
	const { outIoasId: ioasId } = old.call(IoasAlloc, {});
	old.test("MOCK_DOMAIN", { id: ioasId });
	const fd = old.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x4000)));
	const { iova } = old.call(IoasMapFile, { ioasId, flags: RW, fd, length: 0x2000n });
	const heir = new TestClient(old.platform, {}, old.fd, 2000);
	heir.capabilities.clear();
	return { old, heir, ioasId, iova };
}

function counted(client: TestClient): number {
	return client.platform.memlock.counted("user", client.owner, client.memory);
}

test("what one process has pinned counts for the other from now on", () => {
	const { old, heir, ioasId, iova } = setUp();
	expect([counted(old), counted(heir)]).toEqual([2, 0]);
	heir.call(IoasChangeProcess, {});
	expect([counted(old), counted(heir)]).toEqual([0, 2]);
	old.call(IoasUnmap, { ioasId, iova, length: 0x2000n });
	expect([counted(old), counted(heir)]).toEqual([0, 0]);
});

test("a process that may not lock as much gets ENOMEM, and nothing has changed", () => {
	const { old, heir } = setUp();
	heir.memlockLimit = 4096;
	expect(codeOf(() => heir.call(IoasChangeProcess, {}))).toBe("ENOMEM");
	expect([counted(old), counted(heir)]).toEqual([2, 0]);
});

test("counted by process, what the heir has locked itself takes part of its limit", () => {
	const { heir } = setUp("mm");
	heir.memlockLimit = 4 * 4096;
	heir.memory.selfLocked = 3;
	expect(codeOf(() => heir.call(IoasChangeProcess, {}))).toBe("ENOMEM");
	heir.memory.selfLocked = 2;
	expect(codeOf(() => heir.call(IoasChangeProcess, {}))).toBe("ok");
});

test("memory of a process can't be handed over", () => {
	const { old, heir, ioasId } = setUp();
	old.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: 0x1000n });
	expect(codeOf(() => heir.call(IoasChangeProcess, {}))).toBe("EINVAL");
});
