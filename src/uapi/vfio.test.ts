// The numbers are what gcc on x86-64 says about include/uapi/linux/vfio.h of Linux 7.3, and the `minsz` of the handlers.

import { expect, test } from "vitest";
import type { AnyCommand, AnyStruct, PlainCommand } from "./struct.js";
import * as uapi from "./vfio.js";

function layout({ name, size, fields }: AnyStruct): string {
	return `${name} ${size}: ${fields.map((field) => `${field.cName}=${field.offset}`).join(" ")}`;
}

function describeCommand(command: AnyCommand | PlainCommand): string {
	const number = command.number.toString(16);
	return "argument" in command ? `${number} ${command.name}` : `${number} ${command.minimumSize} ${layout(command)}`;
}

test("the container's commands", () => {
	expect(uapi.vfioContainerCommands.map(describeCommand)).toEqual([
		"3b64 VFIO_GET_API_VERSION",
		"3b65 VFIO_CHECK_EXTENSION",
		"3b66 VFIO_SET_IOMMU",
		"3b70 16 VFIO_IOMMU_GET_INFO 24: argsz=0 flags=4 iova_pgsizes=8 cap_offset=16 pad=20",
		"3b71 32 VFIO_IOMMU_MAP_DMA 32: argsz=0 flags=4 vaddr=8 iova=16 size=24",
		"3b72 24 VFIO_IOMMU_UNMAP_DMA 24: argsz=0 flags=4 iova=8 size=16",
		"3b75 8 VFIO_IOMMU_DIRTY_PAGES 8: argsz=0 flags=4",
	]);
});

test("the group's commands", () => {
	expect(uapi.vfioGroupCommands.map(describeCommand)).toEqual([
		"3b67 8 VFIO_GROUP_GET_STATUS 8: argsz=0 flags=4",
		"3b68 VFIO_GROUP_SET_CONTAINER",
		"3b69 VFIO_GROUP_UNSET_CONTAINER",
		"3b6a VFIO_GROUP_GET_DEVICE_FD",
	]);
});

test("the device's commands", () => {
	expect(uapi.vfioDeviceCommands.map(describeCommand)).toEqual([
		"3b6b 16 VFIO_DEVICE_GET_INFO 24: argsz=0 flags=4 num_regions=8 num_irqs=12 cap_offset=16 pad=20",
		"3b6c 32 VFIO_DEVICE_GET_REGION_INFO 32: argsz=0 flags=4 index=8 cap_offset=12 size=16 offset=24",
		"3b6d 16 VFIO_DEVICE_GET_IRQ_INFO 16: argsz=0 flags=4 index=8 count=12",
		"3b6e 20 VFIO_DEVICE_SET_IRQS 20: argsz=0 flags=4 index=8 start=12 count=16",
		"3b6f VFIO_DEVICE_RESET",
		"3b70 12 VFIO_DEVICE_GET_PCI_HOT_RESET_INFO 12: argsz=0 flags=4 count=8",
		"3b71 12 VFIO_DEVICE_PCI_HOT_RESET 12: argsz=0 flags=4 count=8",
		"3b74 28 VFIO_DEVICE_IOEVENTFD 32: argsz=0 flags=4 offset=8 data=16 fd=24 __reserved=28",
		"3b75 8 VFIO_DEVICE_FEATURE 8: argsz=0 feature=4 flags=6",
		"3b76 16 VFIO_DEVICE_BIND_IOMMUFD 24: argsz=0 flags=4 iommufd=8 out_devid=12 token_uuid_ptr=16",
		"3b77 12 VFIO_DEVICE_ATTACH_IOMMUFD_PT 16: argsz=0 flags=4 pt_id=8 pasid=12",
		"3b78 8 VFIO_DEVICE_DETACH_IOMMUFD_PT 12: argsz=0 flags=4 pasid=8",
	]);
});

test("what follows the structs", () => {
	const structs = [
		uapi.VfioInfoCapHeader,
		uapi.VfioIommuType1InfoCapIovaRange,
		uapi.VfioIovaRange,
		uapi.VfioIommuType1InfoDmaAvail,
		uapi.VfioPciDependentDevice,
	];
	expect(structs.map(layout)).toEqual([
		"vfio_info_cap_header 8: id=0 version=2 next=4",
		"vfio_iommu_type1_info_cap_iova_range 16: id=0 version=2 next=4 nr_iovas=8 __reserved=12",
		"vfio_iova_range 16: start=0 end=8",
		"vfio_iommu_type1_info_dma_avail 12: id=0 version=2 next=4 avail=8",
		"vfio_pci_dependent_device 8: group_id=0 devid=0 segment=4 bus=6 devfn=7",
	]);
});
