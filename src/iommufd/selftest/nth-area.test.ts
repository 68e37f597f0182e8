import { expect, test } from "vitest";
import { codeOf } from "../../uapi/errno.js";
import { IoasAlloc, IoasCopy, IoasMap, IoasMapFlags } from "../../uapi/iommufd.js";
import { IoasCopyTestFlags } from "../../uapi/iommufd-test.js";
import { BUFFER, TestClient, TestPlatform } from "../client.testing.js";
import { IommufdFile } from "../ioctls.js";
import type { Platform } from "../platform.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;

/** A client with two pages at two IOVAs. */
function withTwoAreas(client: TestClient): number {
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	for (const iova of [0x10000n, 0x50000n])
		client.call(IoasMap, {
			ioasId,
			flags: RW | IoasMapFlags.FIXED_IOVA,
			userVa: BigInt(BUFFER),
			length: 0x1000n,
			iova,
		});
	return ioasId;
}

function copyNth(client: TestClient, id: number, packed: bigint) {
	const flags = RW | IoasCopyTestFlags.ACCESS_SYZ;
	return client.call(IoasCopy, { flags, srcIoasId: id, dstIoasId: id, length: 0x800n, srcIova: packed });
}

test("IOAS_COPY by the number of an area answers what that stood for", () => {
	const client = new TestClient();
	const id = withTwoAreas(client);
	const answer = copyNth(client, id, (0x800n << 32n) | 1n);
	expect([answer.srcIova, answer.flags]).toEqual([0x50800n, RW]);
});

test("the number of no area is IOVA 0, and that of no IOAS is looked up as it is", () => {
	const client = new TestClient();
	const id = withTwoAreas(client);
	expect(codeOf(() => copyNth(client, id, 2n))).toBe("ENOENT");
	expect(client.lastAnswer(IoasCopy).srcIova).toBe(2n);
	const flags = RW | IoasCopyTestFlags.ACCESS_SYZ;
	const request = { flags, srcIoasId: id + 1, dstIoasId: id, length: 0x800n, srcIova: 0n };
	expect(codeOf(() => client.call(IoasCopy, request))).toBe("ENOENT");
});

test("a kernel without the mock IOMMU doesn't know the flag", () => {
	const platform = new TestPlatform();
	const withoutTests = Object.create(platform, { selftest: { value: undefined } }) as Platform;
	const client = new TestClient(platform, {}, new IommufdFile(withoutTests));
	const id = withTwoAreas(client);
	expect(codeOf(() => copyNth(client, id, 1n))).toBe("EOPNOTSUPP");
});
