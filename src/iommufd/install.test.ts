// What is left of a file that the caller could not be given, because it has as many fds as it may have.

import { expect, test } from "vitest";
import type { OpenFile } from "../files/open-file.js";
import { codeOf, Errno } from "../uapi/errno.js";
import { FaultQueueAlloc, IoasAlloc } from "../uapi/iommufd.js";
import { TestClient } from "./client.testing.js";

/** A process without a free fd. */
class FullClient extends TestClient {
	refused: OpenFile | undefined;

	override install(file: OpenFile): number {
		this.refused = file;
		throw new Errno("EMFILE", "no fd is free");
	}
}

test.each([
	["a fault queue", (client: FullClient, _ioasId: number) => client.call(FaultQueueAlloc, {})],
	["an access", (client: FullClient, id: number) => client.test("CREATE_ACCESS", { id, flags: 0 })],
])("%s that has no fd leaves the context as it was, when its release is noticed", (_, make) => {
	const client = new FullClient();
	const { outIoasId } = client.call(IoasAlloc, {});
	expect(codeOf(() => make(client, outIoasId))).toBe("EMFILE");
	client.refused!.release();
	expect([...client.fd.context.objects].map(String)).toEqual([`IOAS ${outIoasId}`]);
	expect(client.fd.context.objects.any(outIoasId, "id").users).toBe(1);
	client.fd.release();
	expect([...client.fd.context.objects]).toEqual([]);
});
