// Every kind of object has a line that says what it hangs on.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BUFFER, TestClient } from "../iommufd/client.testing.js";
import { TestGuest } from "../iommufd/guest.testing.js";
import { parseMachineDescription } from "../machine/description.js";
import { inventoryOf, recordOfContext } from "../machine/inventory.js";
import { Machine } from "../machine/machine.js";
import {
	FaultQueueAlloc,
	HwQueueAlloc,
	HwQueueType,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	VeventqAlloc,
	VeventqType,
} from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { VfioDmaMapFlags, VfioExtension, VfioGroupSetContainer, VfioIommuMapDma, VfioSetIommu } from "../uapi/vfio.js";
import { fileText, mappedInWords } from "./objects-text.js";

const machine = (name: string, change: object = {}) => {
	const text = { ...JSON.parse(readFileSync(`machines/${name}.json`, "utf8")), ...change };
	return new Machine(parseMachineDescription(JSON.stringify(text), name));
};

test("a guest's vIOMMU, vDEVICE and queues say what they are of", () => {
	const guest = new TestGuest();
	const { client, viommuId, parentId, ioasId, device } = guest;
	const iova = guest.map(0x4000n);
	const vdevice = guest.addVdevice(0x10n);
	const queue = { viommuId, type: HwQueueType.SELFTEST, nestingParentIova: iova, length: 0x1000n };
	const { outHwQueueId } = client.call(HwQueueAlloc, queue);
	const { outVeventqId } = client.call(VeventqAlloc, { viommuId, type: VeventqType.SELFTEST, veventqDepth: 2 });
	const { outFaultId } = client.call(FaultQueueAlloc, {});
	const { lines } = fileText(recordOfContext(machine("selftest"), client.fd.context));
	const start = (text: string) => expect.stringContaining(text);
	expect(lines).toEqual(
		expect.arrayContaining([
			start(`  IOAS ${ioasId}: 1 mapping of 0x4000 bytes at `),
			start(`  HWPT ${parentId} (selftest): shows IOAS ${ioasId}, can be nested on`),
			start(`  vIOMMU ${viommuId}: on HWPT ${parentId}`),
			`  VDEVICE ${vdevice}: device ${device.devId} in vIOMMU ${viommuId}, as 0x10`,
			start(`  HW_QUEUE ${outHwQueueId}: of vIOMMU ${viommuId}`),
			`  VEVENTQ ${outVeventqId}: of vIOMMU ${viommuId}`,
			`  FAULT ${outFaultId}: of no HWPT`,
			expect.stringMatching(new RegExp(`^  ACCESS \\d+ .*: attached to IOAS ${ioasId}, has pinned 0x`)),
		]),
	);
});

test("an IOAS that nobody has used is looked at without being changed", () => {
	const client = new TestClient();
	client.call(IoasAlloc, {});
	const { lines } = fileText(recordOfContext(machine("selftest"), client.fd.context));
	expect(lines).toEqual(["/dev/iommu:", "  IOAS 1: nothing mapped"]);
	const [ioas] = client.fd.context.objects as unknown as Iterable<{ mapIfMade: unknown }>;
	expect(ioas.mapIfMade).toBeUndefined();
});

test("mappings that lie side by side are one range", () => {
	const client = new TestClient();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const flags = IoasMapFlags.READABLE | IoasMapFlags.FIXED_IOVA;
	for (const iova of [0x1000n, 0x5000n, 0x2000n])
		client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length: 0x1000n, iova });
	const { lines } = fileText(recordOfContext(machine("selftest"), client.fd.context));
	expect(lines[1]).toBe("  IOAS 1: 3 mappings of 0x3000 bytes at 0x1000 to 0x2fff, 0x5000 to 0x5fff");
});

test("of many ranges the rest is counted", () => {
	const ranges = Array.from({ length: 10 }, (_, i) => [`${i}`, `${i}`] as const);
	expect(mappedInWords({ mappings: 30, bytes: "0x9", ranges, more: 5 })).toMatch(/ 7 to 7 and 7 more$/);
});

test("a container of VFIO's own has its groups, page tables and mappings", () => {
	const on = machine("intel", { container: "vfio" });
	const client = new TestClient();
	const open = (path: string) => {
		const file = on.open(path, client)!;
		return { file, fd: client.install(file) };
	};
	const argument = 0x1000_0000;
	const call = ({ file }: ReturnType<typeof open>, { number }: { number: number }, bytes: ArrayBufferView) => {
		client.memory.write(argument, new Uint8Array(bytes.buffer));
		file.ioctl(client, number, argument);
	};
	const container = open("/dev/vfio/vfio");
	const group = open(on.vfioGroups[0].path);
	call(group, VfioGroupSetContainer, Int32Array.of(container.fd));
	container.file.ioctl(client, VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU);
	const mapping = { flags: VfioDmaMapFlags.READ, vaddr: BigInt(BUFFER), iova: 0x1000_0000n, size: 0x2000n };
	call(container, VfioIommuMapDma, encode(VfioIommuMapDma, mapping));
	expect(inventoryOf(on).map((file) => fileText(file).lines)).toEqual([
		[
			"/dev/vfio/vfio:",
			expect.stringMatching(/^ {2}group 0: .*0000:00:/),
			"  page table (intel-vtd)",
			"  1 mapping of 0x2000 bytes at 0x10000000 to 0x10001fff",
		],
	]);
});
