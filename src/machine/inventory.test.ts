import fc from "fast-check";
import { expect, test } from "vitest";
import { BUFFER, TestClient } from "../iommufd/client.testing.js";
import { TestGuest } from "../iommufd/guest.testing.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import { FaultQueueAlloc, HwptAlloc, HwptAllocFlags, IoasAlloc, IoasMap, IoasMapFlags } from "../uapi/iommufd.js";
import { TestProgram } from "../vfio/program.testing.js";
import { type IommufdRecord, inventoryOf, type ObjectRecord, recordOfContext } from "./inventory.js";
import type { Machine } from "./machine.js";
import { machineWith } from "./vtd-machine.testing.js";

const flags = IoasMapFlags.READABLE | IoasMapFlags.FIXED_IOVA;
const userVa = BigInt(BUFFER);
const PAGE = 0x1000n;

function programOn(machine: Machine): TestProgram {
	return new TestProgram(machine.open("/dev/iommu") as IommufdFile);
}

/** The objects of the only open of /dev/iommu, by their ids. */
function objectsOn(machine: Machine): ReadonlyMap<number, ObjectRecord> {
	const [{ objects }] = inventoryOf(machine) as IommufdRecord[];
	return new Map(objects.map((object) => [object.id, object]));
}

test("a device has its names, its group, and each HWPT that it is attached to, with the PASID", () => {
	const on = machineWith({}, { express: true, pasidBits: 20 });
	const program = programOn(on);
	const file = program.open(on.vfioDevices[1]);
	const devId = program.bind(file);
	const { outIoasId: ioasId } = program.client.call(IoasAlloc, {});
	const hwpt = program.attach(file, ioasId);
	const common = { kind: "DEVICE", device: "0000:00:02.0", vfio: "vfio1", group: 1 };
	const attached = [{ pasid: 0, hwpt }];
	expect(objectsOn(on).get(devId)).toMatchObject({ ...common, attached, uses: [hwpt] });
	const withPasid = program.client.call(HwptAlloc, { devId, ptId: ioasId, flags: HwptAllocFlags.PASID }).outHwptId;
	program.detach(file);
	program.attach(file, withPasid);
	program.attach(file, withPasid, 3);
	expect(objectsOn(on).get(devId)).toMatchObject({
		attached: [
			{ pasid: 0, hwpt: withPasid },
			{ pasid: 3, hwpt: withPasid },
		],
		uses: [withPasid],
	});
	expect(objectsOn(on).get(withPasid)).toMatchObject({ usedBy: [devId], ioas: ioasId });
	expect(objectsOn(on).get(ioasId)).toMatchObject({ usedBy: [withPasid] });
});

test("a HWPT that an attach has made is automatic, one that was asked for isn't", () => {
	const on = machineWith({});
	const program = programOn(on);
	const file = program.open(on.vfioDevices[0]);
	const devId = program.bind(file);
	const { client } = program;
	const { outIoasId: ioas } = client.call(IoasAlloc, {});
	const { outHwptId: own } = client.call(HwptAlloc, { devId, ptId: ioas, flags: HwptAllocFlags.NEST_PARENT });
	const { outIoasId: other } = client.call(IoasAlloc, {});
	const made = program.attach(file, other);
	const found = objectsOn(on);
	const driver = "intel-vtd";
	expect(found.get(own)).toMatchObject({ driver, ioas, isNestParent: true, isAutomatic: false });
	expect(found.get(made)).toMatchObject({ driver, ioas: other, isNestParent: false, isAutomatic: true });
	expect(found.get(other)?.reserved).toContainEqual({ range: ["0xfee00000", "0xfeefffff"], what: expect.any(String) });
});

test("what a guest has names what it is on, and who uses it", () => {
	const guest = new TestGuest();
	const { client, parentId, viommuId, device } = guest;
	const { outFaultId } = client.call(FaultQueueAlloc, {});
	const vdevice = guest.addVdevice(0x10n);
	const { objects } = recordOfContext(machineWith({}), client.fd.context);
	const of = (id: number) => objects.find((object) => object.id === id);
	expect(of(viommuId)).toMatchObject({ kind: "VIOMMU", uses: [parentId], usedBy: [vdevice] });
	expect(of(vdevice)).toMatchObject({ virtualId: "0x10", uses: [viommuId, device.devId] });
	expect(of(parentId)?.usedBy).toContain(viommuId);
	expect(of(outFaultId)).toMatchObject({ kind: "FAULT", usedBy: [], keptBy: ["its fd, which is open"] });
});

test("neighbours are joined, and all mappings and bytes counted", () => {
	const on = machineWith({});
	fc.assert(
		fc.property(fc.uniqueArray(fc.nat({ max: 31 }), { maxLength: 20 }), (pages) => {
			const client = new TestClient();
			const { outIoasId: ioasId } = client.call(IoasAlloc, {});
			for (const page of pages)
				client.call(IoasMap, { ioasId, flags, userVa, length: PAGE, iova: BigInt(page) * PAGE });
			const [{ mapped }] = recordOfContext(on, client.fd.context).objects;
			const has = (page: number) => pages.includes(page);
			const all = Array.from({ length: 32 }, (_, page) => page);
			const starts = all.filter((page) => has(page) && !has(page - 1));
			const ends = all.filter((page) => has(page) && !has(page + 1));
			const hex = (address: number) => `0x${address.toString(16)}`;
			expect(mapped).toEqual({
				...{ mappings: pages.length, bytes: hex(pages.length * 4096), more: 0 },
				ranges: starts.map((start, i) => [hex(start * 4096), hex(ends[i] * 4096 + 4095)]),
			});
		}),
		{ numRuns: 50 },
	);
});

test("each open is a record of its own, of values that can be sent", () => {
	const on = machineWith({});
	expect(inventoryOf(on)).toEqual([]);
	const { client } = programOn(on);
	client.call(IoasAlloc, {});
	client.call(IoasMap, { ioasId: 1, flags, userVa, length: PAGE, iova: PAGE });
	const other = programOn(on).client;
	on.open("/dev/vfio/vfio", client);
	const found = inventoryOf(on);
	expect(found).toMatchObject([
		{ path: "/dev/iommu", objects: [{ name: "IOAS 1" }] },
		{ path: "/dev/iommu", objects: [] },
		{ path: "/dev/vfio/vfio", groups: [], domains: [], mapped: { mappings: 0 } },
	]);
	expect(JSON.parse(JSON.stringify(found))).toEqual(found);
	other.fd.release();
	expect(inventoryOf(on)).toHaveLength(2);
});
