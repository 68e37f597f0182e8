import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { IoasAlloc, IoasMap, IoasMapFlags } from "../uapi/iommufd.js";
import { VfioDeviceAttachIommufdPt, VfioDeviceBindIommufd } from "../uapi/vfio.js";
import { Client } from "./client.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

function newClient(name = "intel") {
	const file = new URL(`../../machines/${name}.json`, import.meta.url);
	const machine = new Machine(parseMachineDescription(readFileSync(file, "utf8"), name));
	return { machine, client: new Client(machine) };
}

const CONFIG = 7 * 2 ** 40;

test("has a device copy through the IOMMU, with no process at all", () => {
	const { machine, client } = newClient();
	const iommu = client.open("/dev/iommu");
	const device = client.open("/dev/vfio/devices/vfio0");
	const page = client.mmap(4096);
	page.bytes.fill(7, 0, 8);
	client.ioctl(device, VfioDeviceBindIommufd, { iommufd: iommu });
	const { outIoasId } = client.ioctl(iommu, IoasAlloc);
	const { FIXED_IOVA, READABLE, WRITEABLE } = IoasMapFlags;
	client.ioctl(iommu, IoasMap, {
		flags: FIXED_IOVA | READABLE | WRITEABLE,
		ioasId: outIoasId,
		userVa: page.address,
		length: 4096n,
		iova: 0x100000n,
	} as never);
	client.ioctl(device, VfioDeviceAttachIommufdPt, { ptId: outIoasId });

	client.write(device, CONFIG + 4, 2, client.read(device, CONFIG + 4, 2) | 4n);
	for (const [at, value] of [
		[0x80, 0x100000n],
		[0x88, 0x40000n],
		[0x90, 8n],
		[0x98, 1n],
		[0x80, 0x40000n],
		[0x88, 0x100800n],
		[0x90, 8n],
		[0x98, 3n],
	] as const)
		client.write(device, at, 8, value);
	expect([...page.bytes.subarray(2048, 2057)]).toEqual([7, 7, 7, 7, 7, 7, 7, 7, 0]);
	client.close(device);
	client.close(iommu);
	expect(machine.leftovers()).toEqual(["1 IOAS when /dev/iommu was closed"]);
});

test("what isn't there, isn't open or has no positions is an errno with a reason", () => {
	const { client } = newClient("selftest");
	expect(() => client.open("/dev/vfio/devices/vfio0")).toThrow(/ENOENT.*selftest has no PCI functions/);
	expect(() => client.open("/dev/null")).toThrow("ENOENT: /dev/null isn't served");
	expect(() => client.close(3)).toThrow("EBADF: fd 3 isn't open");
	const iommu = client.open("/dev/iommu");
	expect(() => client.read(iommu, 0, 4)).toThrow("ESPIPE: /dev/iommu has no positions");
	expect(() => client.ioctl(iommu, IoasAlloc, { flags: 1 })).toThrow("EOPNOTSUPP");
	const one = client.mmap(1);
	expect(client.mmap(1).address).toBeGreaterThan(one.address + 4096n);
});
