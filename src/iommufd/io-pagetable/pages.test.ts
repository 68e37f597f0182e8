// A file that is mapped is kept by whoever can reach it: as long as an area shows it, and as long as a page of it is pinned.

import { expect, test } from "vitest";
import { ArrayBacking } from "../../memory/array-space.js";
import { codeOf } from "../../uapi/errno.js";
import { IoasAlloc, IoasCopy, IoasMapFile, IoasMapFlags, IoasUnmap } from "../../uapi/iommufd.js";
import { TestClient } from "../client.testing.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const LENGTH = 0x4000n;

/** A memfd that counts its holders. */
class CountingBacking extends ArrayBacking {
	holders = 0;

	hold(): void {
		this.holders++;
	}

	drop(): void {
		this.holders--;
	}
}

function scene() {
	const client = new TestClient();
	const memfd = new CountingBacking("memfd", new Uint8Array(Number(LENGTH)));
	const fd = client.addMemfd(memfd);
	const ioasId = client.call(IoasAlloc, {}).outIoasId;
	const map = (into = ioasId) => client.call(IoasMapFile, { ioasId: into, fd, flags: RW, length: LENGTH }).iova;
	return { client, memfd, ioasId, map };
}

test("a file is held as long as an area shows it, pinned or not", () => {
	const { client, memfd, ioasId, map } = scene();
	const iova = map();
	expect(memfd.holders).toBe(1);
	const other = client.call(IoasAlloc, {}).outIoasId;
	const copy = { dstIoasId: other, srcIoasId: ioasId, srcIova: iova, length: LENGTH, flags: RW };
	const { dstIova } = client.call(IoasCopy, copy);
	client.call(IoasUnmap, { ioasId, iova, length: LENGTH });
	expect(memfd.holders).toBe(1);
	client.call(IoasUnmap, { ioasId: other, iova: dstIova, length: LENGTH });
	expect(memfd.holders).toBe(0);
});

test("a file is held as long as a page of it is pinned, and no longer", () => {
	const { client, memfd, ioasId, map } = scene();
	client.test("MOCK_DOMAIN", { id: ioasId });
	const iova = map();
	expect(memfd.holders).toBe(2);
	client.call(IoasUnmap, { ioasId, iova, length: LENGTH });
	expect(memfd.holders).toBe(0);
	map();
	client.fd.release();
	expect(memfd.holders).toBe(0);
});

test("a mapping that fails holds nothing", () => {
	const { client, memfd, ioasId } = scene();
	client.test("MOCK_DOMAIN", { id: ioasId });
	const [fd] = client.files.keys();
	const tooLong = { ioasId, fd, flags: RW, length: LENGTH + 0x1000n };
	expect(codeOf(() => client.call(IoasMapFile, tooLong))).toBe("EINVAL");
	expect(memfd.holders).toBe(0);
});
