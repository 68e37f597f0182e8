// What VFIO's errors say: names, what there is, and what was done before.

import { describe, expect, test } from "vitest";
import { TestEventFd } from "../files/event-fd.testing.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { reasonOf } from "../uapi/errno.testing.js";
import { IoasAlloc, VfioIoas, VfioIoasOp } from "../uapi/iommufd.js";
import { encode, ioctlNumber } from "../uapi/struct.js";
import {
	VfioDeviceAttachIommufdPt,
	VfioDeviceGetInfo,
	VfioDeviceReset,
	VfioDeviceSetIrqs,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioGroupGetStatus,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioIrqSetFlags,
	VfioPciIrq,
	VfioSetIommu,
} from "../uapi/vfio.js";
import { ContainerProgram } from "./container.testing.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";

const { DATA_NONE, DATA_EVENTFD, DATA_BOOL, ACTION_MASK, ACTION_TRIGGER } = VfioIrqSetFlags;
const { INTX, MSI, MSIX, ERR } = VfioPciIrq;

describe("SET_IRQS", () => {
	function setUp() {
		const device = new TestBus().add({ msiVectors: 4 });
		const program = new TestProgram();
		const file = program.open(device);
		program.bind(file);
		for (const fd of [10, 11, 12]) program.client.files.set(fd, new TestEventFd().file);
		const set = (index: number, flags: number, start: number, count: number, fds: number[] = []) => {
			const { size } = VfioDeviceSetIrqs;
			const { memory } = program.client;
			memory.write(BUFFER, encode(VfioDeviceSetIrqs, { argsz: size + 4 * fds.length, flags, index, start, count }));
			memory.write(BUFFER + size, new Uint8Array(Int32Array.from(fds).buffer));
			return reasonOf(() => file.ioctl(program.caller, VfioDeviceSetIrqs.number, BUFFER));
		};
		return { name: device.name, set };
	}

	test("says how many vectors there are, also when start and count don't make a range", () => {
		const { name, set } = setUp();
		expect(set(MSI, DATA_NONE | ACTION_TRIGGER, 4, 0)).toBe(
			`EINVAL: start is 4 and count 0: MSI of ${name} has the vectors 0 to 3`,
		);
		expect(set(MSI, DATA_EVENTFD | ACTION_TRIGGER, 3, 2, [10, 11])).toBe(
			`EINVAL: start is 3 and count 2: MSI of ${name} has the vectors 0 to 3`,
		);
		expect(set(MSIX, DATA_EVENTFD | ACTION_TRIGGER, 0, 1, [10])).toBe(`EINVAL: ${name} has no MSI-X`);
	});

	test("says which kind of interrupt is on, when another is to be switched on", () => {
		const { name, set } = setUp();
		expect(set(MSI, DATA_EVENTFD | ACTION_TRIGGER, 0, 1, [10])).toBe("ok");
		expect(set(INTX, DATA_EVENTFD | ACTION_TRIGGER, 0, 1, [10])).toBe(
			`EINVAL: MSI of ${name} is on, so INTx can't be switched on: one kind of interrupt at a time`,
		);
	});

	test("names the flags", () => {
		const { name, set } = setUp();
		expect(set(MSI, DATA_NONE | ACTION_MASK, 0, 1)).toBe(
			`ENOTTY: flags asks MSI of ${name} to MASK: INTx takes one of MASK, UNMASK and TRIGGER, all others TRIGGER alone`,
		);
		expect(set(MSI, DATA_NONE | DATA_BOOL | ACTION_TRIGGER, 0, 1)).toBe(
			"EINVAL: flags is DATA_NONE|DATA_BOOL|ACTION_TRIGGER: it must have one of DATA_NONE, DATA_BOOL and DATA_EVENTFD, and no two",
		);
		expect(set(MSI, 0x100, 0, 1)).toBe("EINVAL: flags has 0x100, which is no flag of SET_IRQS");
		expect(set(ERR, DATA_NONE | ACTION_TRIGGER, 0, 1)).toContain(`ERR of ${name} has no eventfd`);
	});

	test("says which vectors have lost their eventfds, when one of them can't be set", () => {
		const { set } = setUp();
		expect(set(MSI, DATA_EVENTFD | ACTION_TRIGGER, 0, 4, [10, 11, 12, 10])).toBe("ok");
		expect(set(MSI, DATA_EVENTFD | ACTION_TRIGGER, 1, 2, [10, 77])).toBe(
			"EBADF: fd 77, which is to be an eventfd, is not open. Vectors 1 to 2 have no eventfd now",
		);
	});
});

describe("a call on the wrong file", () => {
	test("of a device that isn't bound yet, and one that is", () => {
		const program = new TestProgram();
		const device = program.open(new TestBus().add());
		const call = (number: number) => reasonOf(() => device.ioctl(program.caller, number, BUFFER));
		expect(call(IoasAlloc.number)).toMatch(
			/^EINVAL: IOMMU_IOAS_ALLOC goes to \/dev\/iommu: this is \/dev\/vfio\/devices\//,
		);
		expect(call(VfioDeviceReset.number)).toContain("is not bound to an iommufd: BIND_IOMMUFD comes first");
		program.bind(device);
		expect(call(IoasAlloc.number)).toMatch(/^ENOTTY: IOMMU_IOAS_ALLOC goes to \/dev\/iommu/);
		expect(call(ioctlNumber(115))).toContain(
			"VFIO_DEVICE_GET_GFX_DMABUF is not there: it is for devices with a display",
		);
	});

	test("of a container and a group", () => {
		const program = new ContainerProgram();
		const device = program.addDevice();
		const file = (fd: number) => {
			const found = program.client.file(fd);
			if (found?.kind !== "ours") throw new Error("no such file");
			return found.file;
		};
		const call = (fd: number, number: number) => reasonOf(() => file(fd).ioctl(program.client, number, BUFFER));
		const container = program.openContainer();
		expect(call(container, VfioDeviceGetInfo.number)).toMatch(/^EINVAL: VFIO_DEVICE_GET_INFO goes to a VFIO device /);
		expect(call(container, VfioIommuMapDma.number)).toMatch(
			/^EINVAL: .*VFIO_IOMMU_MAP_DMA: the container has no IOMMU yet/,
		);
		const group = program.openGroup(device);
		expect(call(group, VfioDeviceGetInfo.number)).toMatch(/^ENOTTY: VFIO_DEVICE_GET_INFO goes to a VFIO device /);
		expect(call(container, VfioGroupGetStatus.number)).toMatch(/^EINVAL: VFIO_GROUP_GET_STATUS goes to a VFIO group /);
	});

	test("of a device that was opened through its group", () => {
		const program = new ContainerProgram();
		const device = program.addDevice();
		const container = program.openContainer();
		const group = program.openGroup(device);
		program.setContainer(group, container);
		program.plain(container, VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU);
		const found = program.client.file(program.getDevice(group, device.name));
		if (found?.kind !== "ours") throw new Error("no such file");
		expect(reasonOf(() => found.file.ioctl(program.client, VfioDeviceAttachIommufdPt.number, BUFFER))).toContain(
			"was opened through its group, and is attached to what the group's container maps",
		);
	});
});

test("a device that is bound twice: the reason says by which thread", () => {
	const program = new TestProgram();
	const device = new TestBus().add();
	program.bind(program.open(device));
	expect(reasonOf(() => program.bind(program.open(device)))).toBe(
		`EINVAL: ${device.name} is bound already, by thread 1: one open of its file can bind it`,
	);
});

test("iommufd as a container names the flags of UNMAP_DMA that it hasn't", () => {
	const { client } = new TestProgram();
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.call(VfioIoas, { op: VfioIoasOp.SET, ioasId });
	const unmap = (flags: number) => reasonOf(() => client.call(VfioIommuUnmapDma, { flags, size: 4096n }));
	const { GET_DIRTY_BITMAP, VADDR, ALL } = VfioDmaUnmapFlags;
	expect(unmap(GET_DIRTY_BITMAP)).toBe(
		"EINVAL: flags has GET_DIRTY_BITMAP: on /dev/iommu UNMAP_DMA has no flag but ALL",
	);
	expect(unmap(VADDR | ALL)).toBe("EINVAL: flags has VADDR: on /dev/iommu UNMAP_DMA has no flag but ALL");
});

describe("a container of type 1", () => {
	test("names the device whose interrupt window a mapping touches, and what is mapped already", () => {
		const program = new ContainerProgram();
		const device = program.addDevice();
		const container = program.containerOf(device);
		const map = (iova: bigint) =>
			reasonOf(() => program.call(container, VfioIommuMapDma, { flags: 3, vaddr: BigInt(BUFFER), iova, size: 4096n }));
		expect(map(0xfee0_0000n)).toBe(
			`EINVAL: the mapping 0xfee00000 to 0xfee00fff can't be made: 0xfee00000 to 0xfeefffff is the interrupt (MSI) window of ${device.name}`,
		);
		expect(map(1n << 60n)).toMatch(/can't be made: a group's IOMMU translates 0x0 to 0x[0-9a-f]+ only$/);
		expect(map(0x1000n)).toBe("ok");
		expect(map(0x1000n)).toBe(
			"EEXIST: the mapping 0x1000 to 0x1fff can't be made: the mapping 0x1000 to 0x1fff is there",
		);
	});

	test("says which devices a group has, when another is asked for", () => {
		const program = new ContainerProgram();
		const device = program.addDevice();
		const container = program.openContainer();
		const group = program.openGroup(device);
		program.setContainer(group, container);
		expect(reasonOf(() => program.getDevice(group, "02.0"))).toMatch(
			new RegExp(`^ENODEV: group \\d+ has no device "02.0", but ${device.name}$`),
		);
	});
});
