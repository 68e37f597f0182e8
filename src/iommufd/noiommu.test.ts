import { expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, IoasMap, IoasMapFlags, IoasNoiommuGetPa } from "../uapi/iommufd.js";
import { BUFFER, TestClient } from "./test-client.js";

test("physical addresses are for who may have them, of an IOAS that a device without IOMMU is attached to", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const get = (values: Partial<{ flags: number; reserved: number; ioasId: number; iova: bigint; length: bigint }>) =>
		codeOf(() => client.call(IoasNoiommuGetPa, { ioasId, length: 1n, ...values }));
	expect(get({ flags: 1 })).toBe("EPERM");
	client.capabilities.add("CAP_SYS_RAWIO");
	expect(get({ flags: 1, length: 0n })).toBe("EOPNOTSUPP");
	expect(get({ reserved: 1 })).toBe("EOPNOTSUPP");
	expect(get({ length: 0n, iova: 0xffffffffffffffffn })).toBe("EINVAL");
	expect(get({ iova: 0xffffffffffffffffn, ioasId: 99 })).toBe("EOVERFLOW");
	expect(get({ ioasId: 99 })).toBe("ENOENT");
	expect(get({ iova: 0x1000000n })).toBe("ENOENT");
	const flags = IoasMapFlags.READABLE;
	const { iova } = client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length: 0x1000n });
	expect(get({ iova: iova + 0x10n })).toBe("EOPNOTSUPP");
});
