import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, IoasIovaRanges, IoasMap, IoasMapFlags, Option, OptionId, OptionOp } from "../uapi/iommufd.js";
import { BUFFER, TestClient } from "./client.testing.js";
import { PagingHwpt } from "./hwpt.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;

function set(client: TestClient, optionId: number, objectId: number, val64: bigint): string {
	return codeOf(() => client.call(Option, { optionId, objectId, op: OptionOp.SET, val64 }));
}

function get(client: TestClient, optionId: number, objectId: number): bigint {
	return client.call(Option, { optionId, objectId, op: OptionOp.GET }).val64;
}

test("the rlimit mode is set before the first object, by who may", () => {
	const client = new TestClient();
	expect(get(client, OptionId.RLIMIT_MODE, 0)).toBe(0n);
	expect(set(client, OptionId.RLIMIT_MODE, 1, 1n)).toBe("EOPNOTSUPP");
	expect(set(client, OptionId.RLIMIT_MODE, 0, 2n)).toBe("EINVAL");
	client.capabilities.clear();
	expect(set(client, OptionId.RLIMIT_MODE, 0, 1n)).toBe("EPERM");
	client.capabilities.add("CAP_SYS_RESOURCE");
	expect(set(client, OptionId.RLIMIT_MODE, 0, 1n)).toBe("ok");
	expect(get(client, OptionId.RLIMIT_MODE, 0)).toBe(1n);
	client.call(IoasAlloc, {});
	expect(set(client, OptionId.RLIMIT_MODE, 0, 0n)).toBe("EBUSY");
});

test("without huge pages, memory that lies side by side is mapped page by page", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	expect(get(client, OptionId.HUGE_PAGES, ioasId)).toBe(1n);
	expect(set(client, OptionId.HUGE_PAGES, ioasId, 2n)).toBe("EINVAL");
	expect(set(client, OptionId.HUGE_PAGES, ioasId, 0n)).toBe("ok");
	expect(get(client, OptionId.HUGE_PAGES, ioasId)).toBe(0n);
	const { outIovaAlignment } = client.call(IoasIovaRanges, { ioasId, numIovas: 1, allowedIovas: BUFFER });
	expect(outIovaAlignment).toBe(4096n);

	const { outHwptId } = client.test("MOCK_DOMAIN", { id: ioasId });
	client.call(IoasMap, { ioasId, flags: RW, userVa: BigInt(BUFFER), length: 0x8000n });
	const { table } = client.fd.context.objects.get(outHwptId, PagingHwpt, "hwpt").domain;
	expect([...table.entries()].map((leaf) => leaf.frames)).toEqual(new Array(8).fill(2));
	expect(set(client, OptionId.HUGE_PAGES, ioasId, 1n)).toBe("ok");
	expect(set(client, OptionId.HUGE_PAGES, ioasId, 0n)).toBe("EINVAL");
});

test("an option or an op that doesn't exist is not supported", () => {
	const client = new TestClient();
	expect(set(client, 2, 0, 0n)).toBe("EOPNOTSUPP");
	expect(codeOf(() => client.call(Option, { optionId: OptionId.RLIMIT_MODE, op: 2 }))).toBe("EOPNOTSUPP");
	expect(set(client, OptionId.HUGE_PAGES, 5, 0n)).toBe("ENOENT");
});
