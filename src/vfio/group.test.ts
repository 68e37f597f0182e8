import { expect, test } from "vitest";
import type { Endpoint } from "../devices/endpoint.js";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, VfioIoas, VfioIoasOp } from "../uapi/iommufd.js";
import {
	VfioDeviceAttachIommufdPt,
	VfioDeviceBindIommufd,
	VfioDeviceGetInfo,
	VfioDevicePciHotReset,
	VfioDmaMapFlags,
	VfioExtension,
	VfioGroupFlags,
	VfioIommuMapDma,
	VfioSetIommu,
} from "../uapi/vfio.js";
import { BUFFER, ContainerProgram } from "./container.testing.js";
import { DeviceFile } from "./device-file.js";
import { LocalRegisters } from "./registers.js";
import { VfToken } from "./vf-token.js";

const { VIABLE, CONTAINER_SET } = VfioGroupFlags;
const TYPE1v2 = VfioExtension.TYPE1v2_IOMMU;

function scene() {
	const program = new ContainerProgram();
	const device = program.addDevice();
	return { program, device };
}

/** The fd of an iommufd. */
function iommufdOf({ client }: ContainerProgram): number {
	return client.install(client.fd);
}

test("a group is open once, and free again when that is closed", () => {
	const { program, device } = scene();
	const fd = program.openGroup(device);
	expect(codeOf(() => program.openGroup(device))).toBe("EBUSY");
	program.close(fd);
	expect(codeOf(() => program.openGroup(device))).toBe("ok");
});

test("the way to a device leads through a container with an IOMMU", () => {
	const { program, device } = scene();
	const group = program.openGroup(device);
	expect(program.status(group)).toBe(VIABLE);
	expect(codeOf(() => program.getDevice(group, device.name))).toBe("EINVAL");
	expect(codeOf(() => program.setContainer(group, 77))).toBe("EBADF");
	expect(codeOf(() => program.setContainer(group, group))).toBe("EBADFD");
	expect(codeOf(() => program.unsetContainer(group))).toBe("EINVAL");

	const container = program.openContainer();
	expect(codeOf(() => program.plain(container, VfioSetIommu.number, TYPE1v2))).toBe("EINVAL");
	program.setContainer(group, container);
	expect(program.status(group)).toBe(VIABLE | CONTAINER_SET);
	expect(codeOf(() => program.setContainer(group, container))).toBe("EINVAL");
	expect(codeOf(() => program.getDevice(group, device.name))).toBe("EINVAL");

	program.plain(container, VfioSetIommu.number, TYPE1v2);
	const fd = program.getDevice(group, device.name);
	expect(program.call(fd, VfioDeviceGetInfo, {}).numRegions).toBe(9);
	expect(codeOf(() => program.unsetContainer(group))).toBe("EBUSY");
	program.close(fd);
	program.unsetContainer(group);
	expect(program.status(group)).toBe(VIABLE);
});

test("a device is found by its name alone, and nothing but a VF token can follow that", () => {
	const { program, device } = scene();
	const group = program.openGroup(device);
	program.setContainer(group, program.openContainer());
	program.plain(group + 1, VfioSetIommu.number, TYPE1v2);
	const get = (name: string) => codeOf(() => program.getDevice(group, name));
	expect(get("0000:00:1f.0")).toBe("ENODEV");
	expect(get(`${device.name}x`)).toBe("ENODEV");
	expect(get(`${device.name} x`)).toBe("EINVAL");
	expect(get(`${device.name} vf_token=x`)).toBe("EINVAL");
	// It is neither a physical nor a virtual function, so nobody has asked for one.
	expect(get(`${device.name} vf_token=bd8d9d2b-5a5f-4f5a-a211-f591514ba1f3`)).toBe("EINVAL");
	expect(get(`${device.name}  `)).toBe("ok");
});

test("who opens a virtual function shows the token that the physical function has got", () => {
	const program = new ContainerProgram();
	const token = new VfToken();
	const physical = program.addDevice(undefined, {}, { kind: "physical", token });
	const virtual = program.addDevice(undefined, {}, { kind: "virtual", token });
	const container = program.openContainer();
	const groups = [physical, virtual].map((device) => program.openGroup(device));
	for (const group of groups) program.setContainer(group, container);
	program.plain(container, VfioSetIommu.number, TYPE1v2);
	const uuid = "52ac9bff-3a88-4fbd-901a-0d767c3b6c97";
	const other = "88594674-90a0-47a9-aea8-9d9b352ac08a";
	program.getDevice(groups[0], `${physical.name} vf_token=${uuid}`);
	const get = (options: string) => codeOf(() => program.getDevice(groups[1], virtual.name + options));
	expect([get(""), get(` vf_token=${other}`), get(` vf_token=${uuid.toUpperCase()}`)]).toEqual([
		"EACCES",
		"EACCES",
		"ok",
	]);
});

test("a device is opened again and again through its group, and reset at the first and the last", () => {
	const { program, device } = scene();
	let resets = 0;
	device.registers = new LocalRegisters(device.barsOf({ reset: () => resets++ } as unknown as Endpoint));
	const container = program.openContainer();
	const group = program.openGroup(device);
	program.setContainer(group, container);
	program.plain(container, VfioSetIommu.number, TYPE1v2);
	const fds = [1, 2, 3].map(() => program.getDevice(group, device.name));
	expect(resets).toBe(1);
	for (const fd of fds.slice(1)) program.close(fd);
	expect([resets, device.isOpen]).toEqual([1, true]);
	program.close(fds[0]);
	expect([resets, device.isOpen]).toEqual([2, false]);
});

test("a device keeps its group, and its group's container, when their files are closed", () => {
	const { program, device } = scene();
	const container = program.openContainer();
	const group = program.openGroup(device);
	program.setContainer(group, container);
	program.plain(container, VfioSetIommu.number, TYPE1v2);
	program.call(container, VfioIommuMapDma, { flags: VfioDmaMapFlags.READ, vaddr: BigInt(BUFFER), size: 0x1000n });
	const fd = program.getDevice(group, device.name);
	program.close(group);
	program.close(container);
	expect(codeOf(() => program.openGroup(device))).toBe("EBUSY");
	expect(program.client.platform.frames.pinned).toBe(1);
	program.close(fd);
	expect(program.client.platform.frames.pinned).toBe(0);
	expect(codeOf(() => program.openGroup(device))).toBe("ok");
});

test("a device's own file and its group's exclude each other", () => {
	const { program, device } = scene();
	const iommufd = iommufdOf(program);
	const cdev = program.client.install(new DeviceFile(device, () => {}));
	const bind = () => codeOf(() => program.call(cdev, VfioDeviceBindIommufd, { iommufd }));
	const group = program.openGroup(device);
	expect(bind()).toBe("EBUSY");
	program.close(group);
	expect(bind()).toBe("ok");
	expect(codeOf(() => program.openGroup(device))).toBe("EBUSY");
	program.close(cdev);
	expect(codeOf(() => program.openGroup(device))).toBe("ok");
});

test("what a device's own file has of iommufd, one that was opened through its group hasn't", () => {
	const { program, device } = scene();
	const iommufd = iommufdOf(program);
	const group = program.openGroup(device);
	program.setContainer(group, iommufd);
	const fd = program.getDevice(group, device.name);
	expect(codeOf(() => program.call(fd, VfioDeviceBindIommufd, { iommufd }))).toBe("EINVAL");
	expect(codeOf(() => program.call(fd, VfioDeviceAttachIommufdPt, { ptId: 1 }))).toBe("ENOTTY");
	expect(codeOf(() => program.call(fd, VfioDevicePciHotReset, { count: 0 }))).toBe("EINVAL");
	expect(codeOf(() => program.call(fd, VfioDevicePciHotReset, { count: 1 }))).toBe("ENODEV");
});

test("an iommufd is a container, whose IOAS is made for its first group and found by VFIO_IOAS", () => {
	const { program, device } = scene();
	const { client } = program;
	const group = program.openGroup(device);
	program.setContainer(group, iommufdOf(program));
	const { ioasId } = client.call(VfioIoas, { op: VfioIoasOp.GET });
	expect(ioasId).toBe(1);
	const fd = program.getDevice(group, device.name);
	// The device and the page table that it is attached to come after the IOAS.
	expect(client.call(IoasAlloc, {}).outIoasId).toBe(4);
	client.call(VfioIommuMapDma, { flags: VfioDmaMapFlags.READ, vaddr: BigInt(BUFFER), size: 0x1000n });
	expect(client.platform.frames.pinned).toBe(1);
	program.close(fd);
	client.call(VfioIoas, { op: VfioIoasOp.CLEAR });
	expect(codeOf(() => program.getDevice(group, device.name))).toBe("ENODEV");
	expect(device.isOpen).toBe(false);
});

test("a group can be closed while a device of it is open by way of an iommufd, which keeps that", () => {
	const { program, device } = scene();
	const iommufd = iommufdOf(program);
	const group = program.openGroup(device);
	program.setContainer(group, iommufd);
	const fd = program.getDevice(group, device.name);
	program.close(group);
	program.close(iommufd);
	expect(codeOf(() => program.openGroup(device))).toBe("ok");
	expect(program.call(fd, VfioDeviceGetInfo, {}).numIrqs).toBe(5);
	program.close(fd);
	expect(program.client.platform.tables.tablesInUse).toBe(0);
});

test("a group that another owner has isn't viable, and can't be put into a container", () => {
	const { program, device } = scene();
	const group = program.openGroup(device);
	const owner = {};
	device.device.group.claim(owner, "a test");
	expect(program.status(group)).toBe(0);
	expect(codeOf(() => program.setContainer(group, program.openContainer()))).toBe("EPERM");
	device.device.group.release();
	expect(program.status(group)).toBe(VIABLE);
});

test("a name must be in memory, and end within a page", () => {
	const { program, device } = scene();
	const group = program.openGroup(device);
	const get = (address: number) => codeOf(() => program.plain(group, 0x3b6a, address));
	expect(get(0x1234_0000)).toBe("EFAULT");
	program.client.memory.write(BUFFER, new Uint8Array(8192).fill(65));
	expect(get(BUFFER)).toBe("EINVAL");
	expect(get(BUFFER + 16 * 4096 - 100)).toBe("ENODEV"); // zeroes: the empty name
	program.client.memory.write(BUFFER + 16 * 4096 - 4, new Uint8Array(4).fill(65));
	expect(get(BUFFER + 16 * 4096 - 4)).toBe("EFAULT");
});
