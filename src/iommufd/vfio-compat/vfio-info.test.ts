import { expect, test } from "vitest";
import { codeOf } from "../../uapi/errno.js";
import { decode, encode } from "../../uapi/struct.js";
import {
	VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
	VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
	VfioIommuGetInfo,
	VfioIommuInfoFlags,
	VfioIommuType1InfoCapIovaRange,
	VfioIommuType1InfoDmaAvail,
	VfioIovaRange,
} from "../../uapi/vfio.js";
import { BUFFER, TestClient } from "../client.testing.js";
import { ensureCompatIoas } from "./vfio-compat.js";

const { PGSIZES, CAPS } = VfioIommuInfoFlags;

/** Asks with room for so many bytes; the answer, and the bytes that it is in. */
function ask(client: TestClient, argsz: number) {
	const bytes = client.backing.bytes.fill(0xee, 0, 0x1000);
	bytes.set(encode(VfioIommuGetInfo, { argsz }).subarray(0, 16));
	const code = codeOf(() => client.fd.ioctl(client, VfioIommuGetInfo.number, BUFFER));
	return { code, bytes, ...decode(VfioIommuGetInfo, bytes) };
}

function container(attached: boolean): TestClient {
	const client = new TestClient();
	const { id } = ensureCompatIoas(client.fd.context);
	if (attached) client.test("MOCK_DOMAIN", { id });
	return client;
}

test("the capabilities follow the struct in a chain: how much can be mapped, and where", () => {
	const { code, bytes, argsz, flags, capOffset } = ask(container(true), 512);
	expect([code, argsz, flags, capOffset]).toEqual(["ok", 24 + 16 + 16 + 16, PGSIZES | CAPS, 24]);
	const avail = decode(VfioIommuType1InfoDmaAvail, bytes.subarray(capOffset));
	expect(avail).toEqual({ id: VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, version: 1, next: 40, avail: 0xffffffff });
	const ranges = decode(VfioIommuType1InfoCapIovaRange, bytes.subarray(avail.next));
	expect(ranges).toMatchObject({ id: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, version: 1, next: 0, nrIovas: 1 });
	// The aperture of the mock IOMMU.
	expect(decode(VfioIovaRange, bytes.subarray(avail.next + 16))).toEqual({ start: 0x1000000n, end: 0x7fffffffn });
	expect(bytes[argsz]).toBe(0xee);
});

test("who has no room for all of it learns how much it takes", () => {
	const client = container(true);
	const short = ask(client, 71);
	expect([short.code, short.argsz, short.flags, short.capOffset]).toEqual(["ok", 72, PGSIZES | CAPS, 0]);
	expect(decode(VfioIommuType1InfoDmaAvail, short.bytes.subarray(24)).next).toBe(40);
	expect(short.bytes[40]).toBe(0xee);
	expect(ask(client, 39).bytes.subarray(28, 32)).toEqual(new Uint8Array(4));
	expect(ask(client, 35).bytes[24]).toBe(0xee);
	expect(ask(client, 16).bytes[16]).toBe(0xee);
	expect(ask(client, 15).code).toBe("EINVAL");
});

test("page sizes are those that all domains have, and none below the CPU's", () => {
	expect(ask(container(false), 512).iovaPgsizes).toBe(0xfffffffffffff000n);
	const client = container(true);
	const [domain] = ensureCompatIoas(client.fd.context).map.domains;
	expect(ask(client, 512).iovaPgsizes).toBe(domain.pageSizes & ~0xfffn);
	Object.assign(domain, { pageSizes: 0x200800n });
	expect(ask(client, 512).iovaPgsizes).toBe(0x201000n);
});

test("what can't be written is EFAULT", () => {
	const client = container(false);
	const at = BUFFER + 16 * 4096 - 40;
	client.memory.write(at, encode(VfioIommuGetInfo, { argsz: 512 }));
	expect(codeOf(() => client.fd.ioctl(client, VfioIommuGetInfo.number, at))).toBe("EFAULT");
});
