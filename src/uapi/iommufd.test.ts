// The numbers are what gcc on x86-64 says about include/uapi/linux/iommufd.h of Linux 7.3: offsetof, sizeof, and the
// end of the last field that drivers/iommu/iommufd/main.c requires.

import { expect, test } from "vitest";
import * as uapi from "./iommufd.js";
import type { AnyStruct } from "./struct.js";

/** "name sizeof: field=offset ..." */
function layout({ name, size, fields }: AnyStruct): string {
	return `${name} ${size}: ${fields.map((field) => `${field.cName}=${field.offset}`).join(" ")}`;
}

test("the commands have the numbers, sizes and offsets of the header", () => {
	expect(
		uapi.iommufdCommands.map((command) => `${command.number.toString(16)} ${command.minimumSize} ${layout(command)}`),
	).toEqual([
		"3b80 8 IOMMU_DESTROY 8: size=0 id=4",
		"3b81 12 IOMMU_IOAS_ALLOC 12: size=0 flags=4 out_ioas_id=8",
		"3b82 24 IOMMU_IOAS_ALLOW_IOVAS 24: size=0 ioas_id=4 num_iovas=8 __reserved=12 allowed_iovas=16",
		"3b83 40 IOMMU_IOAS_COPY 40: size=0 flags=4 dst_ioas_id=8 src_ioas_id=12 length=16 dst_iova=24 src_iova=32",
		"3b84 32 IOMMU_IOAS_IOVA_RANGES 32: size=0 ioas_id=4 num_iovas=8 __reserved=12 allowed_iovas=16 out_iova_alignment=24",
		"3b85 40 IOMMU_IOAS_MAP 40: size=0 flags=4 ioas_id=8 __reserved=12 user_va=16 length=24 iova=32",
		"3b86 24 IOMMU_IOAS_UNMAP 24: size=0 ioas_id=4 iova=8 length=16",
		"3b87 24 IOMMU_OPTION 24: size=0 option_id=4 op=8 __reserved=10 object_id=12 val64=16",
		"3b88 12 IOMMU_VFIO_IOAS 12: size=0 ioas_id=4 op=8 __reserved=10",
		"3b89 24 IOMMU_HWPT_ALLOC 48: size=0 flags=4 dev_id=8 pt_id=12 out_hwpt_id=16 __reserved=20 data_type=24 data_len=28 data_uptr=32 fault_id=40 __reserved2=44",
		"3b8a 32 IOMMU_GET_HW_INFO 40: size=0 flags=4 dev_id=8 data_len=12 data_uptr=16 in_data_type=24 out_data_type=24 out_max_pasid_log2=28 __reserved=29 out_capabilities=32",
		"3b8b 16 IOMMU_HWPT_SET_DIRTY_TRACKING 16: size=0 flags=4 hwpt_id=8 __reserved=12",
		"3b8c 48 IOMMU_HWPT_GET_DIRTY_BITMAP 48: size=0 hwpt_id=4 flags=8 __reserved=12 iova=16 length=24 page_size=32 data=40",
		"3b8d 32 IOMMU_HWPT_INVALIDATE 32: size=0 hwpt_id=4 data_uptr=8 data_type=16 entry_len=20 entry_num=24 __reserved=28",
		"3b8e 16 IOMMU_FAULT_QUEUE_ALLOC 16: size=0 flags=4 out_fault_id=8 out_fault_fd=12",
		"3b8f 40 IOMMU_IOAS_MAP_FILE 40: size=0 flags=4 ioas_id=8 fd=12 start=16 length=24 iova=32",
		"3b90 24 IOMMU_VIOMMU_ALLOC 40: size=0 flags=4 type=8 dev_id=12 hwpt_id=16 out_viommu_id=20 data_len=24 __reserved=28 data_uptr=32",
		"3b91 24 IOMMU_VDEVICE_ALLOC 24: size=0 viommu_id=4 dev_id=8 out_vdevice_id=12 virt_id=16",
		"3b92 8 IOMMU_IOAS_CHANGE_PROCESS 8: size=0 __reserved=4",
		"3b93 28 IOMMU_VEVENTQ_ALLOC 32: size=0 flags=4 viommu_id=8 type=12 veventq_depth=16 out_veventq_id=20 out_veventq_fd=24 __reserved=28",
		"3b94 40 IOMMU_HW_QUEUE_ALLOC 40: size=0 flags=4 viommu_id=8 type=12 index=16 out_hw_queue_id=20 nesting_parent_iova=24 length=32",
		"3b95 40 IOMMU_IOAS_NOIOMMU_GET_PA 40: size=0 flags=4 ioas_id=8 __reserved=12 iova=16 length=24 out_phys=32",
	]);
});

test("the structs beside them too", () => {
	const structs = [
		uapi.IovaRange,
		uapi.HwptVtdS1,
		uapi.HwptArmSmmuV3,
		uapi.HwptAmdGuest,
		uapi.HwInfoVtd,
		uapi.HwInfoArmSmmuV3,
		uapi.HwInfoTegra241Cmdqv,
		uapi.HwInfoAmd,
		uapi.HwptVtdS1Invalidate,
		uapi.ViommuArmSmmuV3Invalidate,
		uapi.HwptPgfault,
		uapi.HwptPageResponse,
		uapi.ViommuTegra241Cmdqv,
		uapi.VeventHeader,
		uapi.VeventArmSmmuV3,
		uapi.VeventTegra241Cmdqv,
	];
	expect(structs.map(layout)).toEqual([
		"iommu_iova_range 16: start=0 last=8",
		"iommu_hwpt_vtd_s1 24: flags=0 pgtbl_addr=8 addr_width=16 __reserved=20",
		"iommu_hwpt_arm_smmuv3 16: ste=0",
		"iommu_hwpt_amd_guest 32: dte=0",
		"iommu_hw_info_vtd 24: flags=0 __reserved=4 cap_reg=8 ecap_reg=16",
		"iommu_hw_info_arm_smmuv3 40: flags=0 __reserved=4 idr=8 iidr=32 aidr=36",
		"iommu_hw_info_tegra241_cmdqv 8: flags=0 version=4 log2vcmdqs=5 log2vsids=6 __reserved=7",
		"iommu_hw_info_amd 16: efr=0 efr2=8",
		"iommu_hwpt_vtd_s1_invalidate 24: addr=0 npages=8 flags=16 __reserved=20",
		"iommu_viommu_arm_smmuv3_invalidate 16: cmd=0",
		"iommu_hwpt_pgfault 40: flags=0 dev_id=4 pasid=8 grpid=12 perm=16 __reserved=20 addr=24 length=32 cookie=36",
		"iommu_hwpt_page_response 8: cookie=0 code=4",
		"iommu_viommu_tegra241_cmdqv 16: out_vintf_mmap_offset=0 out_vintf_mmap_length=8",
		"iommufd_vevent_header 8: flags=0 sequence=4",
		"iommu_vevent_arm_smmuv3 32: evt=0",
		"iommu_vevent_tegra241_cmdqv 16: lvcmdq_err_map=0",
	]);
});

test("every command is in the list once, in the order of the numbers", () => {
	const numbers = uapi.iommufdCommands.map((command) => command.number);
	expect(numbers).toEqual(Array.from({ length: 0x16 }, (_, index) => 0x3b80 + index));
	const described = Object.values<unknown>(uapi).filter((value) => Object.hasOwn(Object(value), "forbidden"));
	expect(new Set(described)).toEqual(new Set(uapi.iommufdCommands));
});
