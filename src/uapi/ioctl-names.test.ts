import { describe, expect, test } from "vitest";
import { nameOfIoctl, strayIoctl } from "./ioctl-names.js";
import { ioctlNumber } from "./struct.js";

const vfio = (offset: number) => ioctlNumber(100 + offset);

/** Each number of VFIO's, by its distance from VFIO_BASE, and the names that include/uapi/linux/vfio.h gives it. */
const names: readonly (readonly [number, string])[] = [
	[0, "VFIO_GET_API_VERSION"],
	[1, "VFIO_CHECK_EXTENSION"],
	[2, "VFIO_SET_IOMMU"],
	[3, "VFIO_GROUP_GET_STATUS"],
	[4, "VFIO_GROUP_SET_CONTAINER"],
	[5, "VFIO_GROUP_UNSET_CONTAINER"],
	[6, "VFIO_GROUP_GET_DEVICE_FD"],
	[7, "VFIO_DEVICE_GET_INFO"],
	[8, "VFIO_DEVICE_GET_REGION_INFO"],
	[9, "VFIO_DEVICE_GET_IRQ_INFO"],
	[10, "VFIO_DEVICE_SET_IRQS"],
	[11, "VFIO_DEVICE_RESET"],
	[12, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO or VFIO_IOMMU_GET_INFO"],
	[13, "VFIO_DEVICE_PCI_HOT_RESET or VFIO_IOMMU_MAP_DMA"],
	[14, "VFIO_IOMMU_UNMAP_DMA or VFIO_DEVICE_QUERY_GFX_PLANE"],
	[15, "VFIO_DEVICE_GET_GFX_DMABUF or VFIO_IOMMU_ENABLE"],
	[16, "VFIO_DEVICE_IOEVENTFD or VFIO_IOMMU_DISABLE"],
	[17, "VFIO_DEVICE_FEATURE or VFIO_IOMMU_DIRTY_PAGES"],
	[18, "VFIO_DEVICE_BIND_IOMMUFD or VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY"],
	[19, "VFIO_DEVICE_ATTACH_IOMMUFD_PT or VFIO_IOMMU_SPAPR_TCE_CREATE"],
	[20, "VFIO_DEVICE_DETACH_IOMMUFD_PT or VFIO_IOMMU_SPAPR_TCE_REMOVE"],
	[21, "VFIO_MIG_GET_PRECOPY_INFO or VFIO_EEH_PE_OP"],
];

test.each(names)("VFIO_BASE + %i is %s", (offset, name) => {
	expect(nameOfIoctl(vfio(offset))).toBe(name);
});

test("every number of iommufd has a name, up to the one for its tests, and no other number has one", () => {
	for (let nr = 0x80; nr <= 0x95; nr++) expect(nameOfIoctl(ioctlNumber(nr))).toMatch(/^IOMMU_[A-Z_]+$/);
	expect(nameOfIoctl(ioctlNumber(0xa0))).toBe("IOMMU_TEST_CMD");
	for (const nr of [0x63, 0x7a, 0x96, 0x9f, 0xa1])
		expect(nameOfIoctl(ioctlNumber(nr))).toBe(`0x${(0x3b00 | nr).toString(16)}`);
});

describe("an ioctl that a file doesn't have", () => {
	test("names the file that has it", () => {
		const { code, reason, hint } = strayIoctl("ENOTTY", vfio(3), "/dev/iommu", ["iommufd", "container"]);
		expect([code, hint]).toEqual(["ENOTTY", "wrong-file"]);
		expect(reason).toBe("VFIO_GROUP_GET_STATUS goes to a VFIO group (/dev/vfio/N): this is /dev/iommu");
	});

	test("names both files where two share the number", () => {
		const { reason } = strayIoctl("ENOTTY", vfio(13), "a VFIO group", ["group"]);
		expect(reason).toBe(
			"VFIO_DEVICE_PCI_HOT_RESET goes to a VFIO device (/dev/vfio/devices/vfioN), or VFIO_IOMMU_MAP_DMA goes to a VFIO container (/dev/vfio/vfio): this is a VFIO group",
		);
	});

	test("says why nobody serves it, where it is one of the file's kind", () => {
		const { reason, hint } = strayIoctl("ENOTTY", vfio(15), "/dev/iommu", ["iommufd", "container"]);
		expect(reason).toBe(
			"VFIO_IOMMU_ENABLE is not there: it is for the IOMMUs of PowerPC (sPAPR TCE), and type 1 doesn't have it",
		);
		expect(hint).toBe("unknown-ioctl");
	});

	test("says that iommufd is a container without the tracking of dirty pages", () => {
		const { reason, hint } = strayIoctl("ENOTTY", vfio(17), "/dev/iommu", ["iommufd", "container"]);
		expect(reason).toBe("VFIO_IOMMU_DIRTY_PAGES is not there on /dev/iommu");
		expect(hint).toBe("own-back-end");
	});

	test("is shown by its number when no file has it", () => {
		expect(strayIoctl("ENOTTY", 0x3bff, "/dev/iommu", ["iommufd"]).reason).toBe(
			"0x3bff is no ioctl of /dev/iommu, nor any other of iommufd or VFIO",
		);
	});
});
