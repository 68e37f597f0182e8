// The numbers are what gcc on x86-64 says about drivers/iommu/iommufd/iommufd_test.h of Linux 7.3.

import { expect, test } from "vitest";
import * as uapi from "./iommufd-test.js";
import type { AnyStruct } from "./struct.js";

function offsets(fields: AnyStruct["fields"]): string {
	return fields.map((field) => `${field.cName}=${field.offset}`).join(" ");
}

test("the command has the header, the size and the minimum of the header file", () => {
	const { number, size, minimumSize, fields } = uapi.TestCommand;
	expect([number, size, minimumSize]).toEqual([0x3ba0, 72, 68]);
	expect(offsets(fields)).toBe("size=0 op=4 id=8 __reserved=12 last=64");
});

test("each op has its number and the offsets of its part of the union", () => {
	const parts = Object.entries<AnyStruct>(uapi.testVariants).map(([op, { fields }]) => {
		return `${uapi.TestOp[op as uapi.TestOpName]} ${op}: ${offsets(fields.slice(4, -1))}`;
	});
	expect(parts.sort((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10))).toEqual([
		"1 ADD_RESERVED: start=16 length=24",
		"2 MOCK_DOMAIN: out_stdev_id=16 out_hwpt_id=20 out_idev_id=24",
		"3 MD_CHECK_MAP: iova=16 length=24 uptr=32",
		"4 MD_CHECK_REFS: length=16 uptr=24 refs=32",
		"5 CREATE_ACCESS: out_access_fd=16 flags=20",
		"6 DESTROY_ACCESS_PAGES: access_pages_id=16",
		"7 ACCESS_PAGES: flags=16 out_access_pages_id=20 iova=24 length=32 uptr=40",
		"8 ACCESS_RW: iova=16 length=24 uptr=32 flags=40",
		"9 SET_TEMP_MEMORY_LIMIT: limit=16",
		"10 MOCK_DOMAIN_REPLACE: pt_id=16",
		"11 ACCESS_REPLACE_IOAS: ioas_id=16",
		"12 MOCK_DOMAIN_FLAGS: out_stdev_id=16 out_hwpt_id=20 out_idev_id=24 dev_flags=28",
		"13 DIRTY: flags=16 iova=24 length=32 page_size=40 uptr=48 out_nr_dirty=56",
		"14 MD_CHECK_IOTLB: check_iotlb.id=16 iotlb=20",
		"15 TRIGGER_IOPF: dev_id=16 pasid=20 grpid=24 perm=28 addr=32",
		"16 DEV_CHECK_CACHE: check_dev_cache.id=16 cache=20",
		"17 TRIGGER_VEVENT: dev_id=16",
		"18 PASID_ATTACH: pasid=16 pt_id=20",
		"19 PASID_REPLACE: pasid=16 pt_id=20",
		"20 PASID_DETACH: pasid=16",
		"21 PASID_CHECK_HWPT: pasid=16 hwpt_id=20",
		"22 DMABUF_GET: length=16 open_flags=20",
		"23 DMABUF_REVOKE: dmabuf_fd=16 revoked=20",
	]);
});

test("a variant is found by the number of its op", () => {
	expect(uapi.TestCommand.variantOf(13)).toBe(uapi.testVariants.DIRTY);
	expect(uapi.TestCommand.variantOf(0)).toBeUndefined();
});

test("the mock driver's structs have the sizes and offsets of the header file", () => {
	const structs: AnyStruct[] = [
		uapi.TestHwInfo,
		uapi.HwptSelftest,
		uapi.HwptInvalidateSelftest,
		uapi.ViommuSelftest,
		uapi.ViommuInvalidateSelftest,
		uapi.ViommuEventSelftest,
	];
	expect(structs.map(({ name, size, fields }) => `${name} ${size}: ${offsets(fields)}`)).toEqual([
		"iommu_test_hw_info 8: flags=0 test_reg=4",
		"iommu_hwpt_selftest 8: iotlb=0 pagetable_type=4",
		"iommu_hwpt_invalidate_selftest 8: flags=0 iotlb_id=4",
		"iommu_viommu_selftest 24: in_data=0 out_data=4 out_mmap_offset=8 out_mmap_length=16",
		"iommu_viommu_invalidate_selftest 12: flags=0 vdev_id=4 cache_id=8",
		"iommu_viommu_event_selftest 4: virt_id=0",
	]);
	expect(uapi.HwptSelftest.minimumSize).toBe(4);
});

test("the mock domain's aperture is 16 MiB to 2 GiB", () => {
	expect([uapi.MOCK_APERTURE_START, uapi.MOCK_APERTURE_LAST]).toEqual([0x1000000n, 0x7fffffffn]);
});
