// IOMMU_TEST_CMD's ops that make a dma-buf, and take it away. drivers/iommu/iommufd/selftest.c.

import { allocation } from "../../faults/faults.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { ArrayBacking } from "../../memory/array-space.js";
import { Errno, hex } from "../../uapi/errno.js";
import type { TestArgs } from "../../uapi/iommufd-test.js";
import type { Call } from "../call.js";
import { DmaBuf } from "../dmabuf.js";
import { on } from "./test-op.js";

const MAX_LENGTH = 512 * PAGE_SIZE;

/** Makes a dma-buf, and answers its fd as what the ioctl returns. (Linux 7.3.4 returns 0, and nobody gets to know the fd.) */
function dmabufGet(call: Call, args: TestArgs<"DMABUF_GET">): void {
	const length = Math.ceil(args.length / PAGE_SIZE) * PAGE_SIZE;
	if (length === 0 || length > MAX_LENGTH)
		throw new Errno("EINVAL", `length is ${hex(args.length)}, and must be 1 to ${hex(MAX_LENGTH)}`);
	allocation("a dma-buf");
	allocation("the memory of a dma-buf");
	allocation("the file of a dma-buf");
	const backing = new ArrayBacking("memory of a test's dma-buf", new Uint8Array(length));
	call.result = call.caller.install(new DmaBuf({ backing, firstPage: 0, size: length, isOnePiece: true }));
}

/** Takes a dma-buf away from all who have mapped it; `revoked` says whether it can be mapped again. */
function dmabufRevoke(call: Call, args: TestArgs<"DMABUF_REVOKE">): void {
	const fd = args.dmabufFd;
	const found = call.caller.file(fd);
	if (found === undefined) throw new Errno("EBADF", `dmabuf_fd is ${fd}, which is not open`, "fd");
	if (found.kind !== "ours" || !(found.file instanceof DmaBuf))
		throw new Errno("EINVAL", `fd ${fd} is not a dma-buf that DMABUF_GET made`);
	found.file.invalidateMappings(args.revoked !== 0);
}

export const dmabufHandlers = [on("DMABUF_GET", dmabufGet), on("DMABUF_REVOKE", dmabufRevoke)];
