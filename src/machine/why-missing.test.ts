import { expect, test } from "vitest";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";
import { machineWith } from "./vtd-machine.testing.js";

test("a machine without functions says which one has some", () => {
	const selftest = new Machine(parseMachineDescription('{"name": "y", "description": "y", "selftest": true}', "y"));
	for (const path of [
		"/dev/vfio/7",
		"/dev/vfio/devices/vfio0",
		"/sys/bus/pci/devices/0000:00:02.0",
		"/sys/bus/pci/devices/0000:00:02.0/iommu_group",
		"/sys/devices/pci0000:00/0000:00:02.0",
		"/sys/kernel/iommu_groups/1",
		"/sys/class/vfio-dev/vfio0",
	])
		expect(selftest.whyMissing(path)).toBe("y has no PCI functions: try --machine intel");
	expect(selftest.whyMissing("/sys/class/misc/fuse")).toBeUndefined();
	expect(selftest.whyMissing("/dev/null")).toBeUndefined();
});

test("a group or a device that isn't there: those that are", () => {
	const on = machineWith({}, { driver: "igb" }, { driver: "none" }, {});
	expect(on.whyMissing("/dev/vfio/9")).toBe("x has /dev/vfio/0 (0000:00:01.0) and /dev/vfio/3 (0000:00:04.0)");
	expect(on.whyMissing("/dev/vfio/noiommu-0")).toBe("that group is /dev/vfio/0: its functions are behind an IOMMU");
	expect(on.whyMissing("/dev/vfio/1")).toContain("nothing in that group has the driver vfio-pci");
	expect(on.whyMissing("/dev/vfio/devices/vfio7")).toBe("x has vfio0 (0000:00:01.0) and vfio1 (0000:00:04.0)");
	expect(on.whyMissing("/sys/kernel/iommu_groups/9")).toBe("x has group 0, group 1, group 2 and group 3");
	const many = machineWith(...Array.from({ length: 9 }, () => ({})));
	expect(many.whyMissing("/dev/vfio/devices/vfio9")).toBe(
		"x has vfio0 (0000:00:01.0), vfio1 (0000:00:02.0), vfio2 (0000:00:03.0), vfio3 (0000:00:04.0), vfio4 (0000:00:05.0) and 4 more",
	);
});

test("a file of a function: what would have to be different", () => {
	const vf = { virtualFunctionOf: "0000:00:01.0" };
	const on = machineWith({ sriov: true, numvfs: 0 }, vf, { driver: "none" });
	const below = (address: string, file: string) => on.whyMissing(`/sys/devices/pci0000:00/${address}/${file}`);
	expect(on.whyMissing("/sys/bus/pci/devices/0000:00:02.0")).toBe(
		"it is a virtual function that isn't made: write how many there shall be to sriov_numvfs of 0000:00:01.0",
	);
	expect(on.whyMissing("/sys/bus/pci/devices/0000:00:09.0/config")).toBe("x has 0000:00:01.0 and 0000:00:03.0");
	expect(below("0000:00:01.0", "virtfn0")).toBe("0000:00:01.0 can have 1 virtual function, and has 0");
	expect(below("0000:00:03.0", "sriov_numvfs")).toContain("can have no virtual functions");
	expect(below("0000:00:03.0", "vfio-dev/vfio0")).toBe("0000:00:03.0 has none for a driver, not vfio-pci");
	expect(below("0000:00:03.0", "driver/unbind")).toBe("0000:00:03.0 has no driver");
	expect(below("0000:00:01.0", "physfn")).toBe("0000:00:01.0 is no virtual function");
	expect(below("0000:00:01.0", "resource5")).toBe("0000:00:01.0 has no such BAR");
	expect(below("0000:00:01.0", "max_vfs")).toBe("0000:00:01.0 has no such file on this machine");
});
