import { expect, test } from "vitest";
import { codeOf, Errno } from "../uapi/errno.js";
import {
	VFIO_API_VERSION,
	VfioCheckExtension,
	VfioExtension,
	VfioGetApiVersion,
	VfioIommuMapDma,
	VfioSetIommu,
} from "../uapi/vfio.js";
import { ContainerProgram } from "./container.testing.js";

const { TYPE1_IOMMU, TYPE1v2_IOMMU, DMA_CC_IOMMU, TYPE1_NESTING_IOMMU, NOIOMMU_IOMMU, UNMAP_ALL, UPDATE_VADDR } =
	VfioExtension;
const ALL = [TYPE1_IOMMU, TYPE1v2_IOMMU, DMA_CC_IOMMU, TYPE1_NESTING_IOMMU, NOIOMMU_IOMMU, UNMAP_ALL, UPDATE_VADDR];

test("a container has an API version before all else, and no ioctl of a back end's before SET_IOMMU", () => {
	const program = new ContainerProgram();
	const container = program.openContainer();
	expect(program.plain(container, VfioGetApiVersion.number, 0)).toBe(VFIO_API_VERSION);
	expect(codeOf(() => program.plain(container, VfioIommuMapDma.number, 0))).toBe("EINVAL");
	expect(codeOf(() => program.plain(container, 0x3bff, 0))).toBe("EINVAL");
	program.setContainer(program.openGroup(program.addDevice()), container);
	program.plain(container, VfioSetIommu.number, TYPE1_IOMMU);
	expect(codeOf(() => program.plain(container, VfioIommuMapDma.number, 0))).toBe("EFAULT");
	expect(codeOf(() => program.plain(container, 0x3bff, 0))).toBe("ENOTTY");
});

test("what a container can do depends on what is in it, and on whether it has its IOMMU", () => {
	for (const takesNoIommu of [false, true]) {
		const program = new ContainerProgram(takesNoIommu);
		const container = program.openContainer();
		const extensions = () => ALL.map((extension) => program.plain(container, VfioCheckExtension.number, extension));
		expect(extensions()).toEqual([1, 1, 0, 0, takesNoIommu ? 1 : 0, 1, 0]);
		program.setContainer(program.openGroup(program.addDevice()), container);
		expect(extensions()).toEqual([1, 1, 0, 0, 0, 1, 0]);
		program.plain(container, VfioSetIommu.number, TYPE1v2_IOMMU);
		expect(extensions()).toEqual([1, 1, 1, 0, 0, 1, 1]);
	}
});

test("an IOMMU is set once, after a group, and of a type that there is", () => {
	const program = new ContainerProgram(true);
	const container = program.openContainer();
	const set = (type: number) => codeOf(() => program.plain(container, VfioSetIommu.number, type));
	expect(set(TYPE1_IOMMU)).toBe("EINVAL");
	const group = program.openGroup(program.addDevice());
	program.setContainer(group, container);
	expect([2, 0, TYPE1_NESTING_IOMMU, NOIOMMU_IOMMU, UPDATE_VADDR].map(set)).toEqual(Array(5).fill("ENODEV"));
	// An extension that type 1 has, but no type of IOMMU.
	expect(set(UNMAP_ALL)).toBe("EINVAL");
	expect([set(TYPE1_IOMMU), set(TYPE1_IOMMU), set(TYPE1v2_IOMMU)]).toEqual(["ok", "EINVAL", "EINVAL"]);
	program.unsetContainer(group);
	expect(set(TYPE1v2_IOMMU)).toBe("EINVAL");
	program.setContainer(group, container);
	expect(set(TYPE1v2_IOMMU)).toBe("ok");
});

test("where one of the groups can't be attached the container stays without an IOMMU, and no group is attached", () => {
	const program = new ContainerProgram();
	const container = program.openContainer();
	const devices = [program.addDevice(), program.addDevice()];
	const groups = devices.map((device) => program.openGroup(device));
	for (const group of groups) program.setContainer(group, container);
	const theirs = devices[1].device.group;
	const attach = theirs.attach.bind(theirs);
	theirs.attach = () => {
		throw new Errno("EBUSY", "for a test");
	};
	expect(codeOf(() => program.plain(container, VfioSetIommu.number, TYPE1_IOMMU))).toBe("EBUSY");
	expect(devices.map(({ device }) => device.group.attachment(0))).toEqual([undefined, undefined]);
	theirs.attach = attach;
	expect(codeOf(() => program.plain(container, VfioSetIommu.number, TYPE1_IOMMU))).toBe("ok");
});
