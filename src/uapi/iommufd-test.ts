// IOMMU_TEST_CMD and the constants of the mock IOMMU: what the kernel's own tests speak in a kernel with
// CONFIG_IOMMUFD_TEST. drivers/iommu/iommufd/iommufd_test.h of Linux 7.3.
// Flags are checked by the handlers: what comes before differs from op to op, and device flags are EINVAL.

import {
	address,
	calledInC,
	checkedByHandler,
	flags,
	inout,
	oneOf,
	out,
	padding,
	pointer,
	s32,
	u32,
	u64,
} from "./field.js";
import { IoasMapFlags, PgfaultPerm } from "./iommufd.js";
import { command, struct, variantCommand } from "./struct.js";

export const TestOp = {
	ADD_RESERVED: 1,
	MOCK_DOMAIN: 2,
	MD_CHECK_MAP: 3,
	MD_CHECK_REFS: 4,
	CREATE_ACCESS: 5,
	DESTROY_ACCESS_PAGES: 6,
	ACCESS_PAGES: 7,
	ACCESS_RW: 8,
	SET_TEMP_MEMORY_LIMIT: 9,
	MOCK_DOMAIN_REPLACE: 10,
	ACCESS_REPLACE_IOAS: 11,
	MOCK_DOMAIN_FLAGS: 12,
	DIRTY: 13,
	MD_CHECK_IOTLB: 14,
	TRIGGER_IOPF: 15,
	DEV_CHECK_CACHE: 16,
	TRIGGER_VEVENT: 17,
	PASID_ATTACH: 18,
	PASID_REPLACE: 19,
	PASID_DETACH: 20,
	PASID_CHECK_HWPT: 21,
	DMABUF_GET: 22,
	DMABUF_REVOKE: 23,
} as const;

/** The name of an op, which is also the name of its variant. */
export type TestOpName = keyof typeof TestOp;

export const MockDeviceFlags = { NO_DIRTY: 1 << 0, PASID: 1 << 2 } as const;
export const CreateAccessFlags = { NEEDS_PIN_PAGES: 1 << 0 } as const;
/** SYZ: the iova is the number of an area and an offset into it, which a fuzzer can guess. */
export const AccessPagesFlags = { WRITE: 1 << 0, SYZ: 1 << 16 } as const;
export const AccessRwFlags = { WRITE: 1 << 0, SLOW_PATH: 1 << 2, SYZ: 1 << 16 } as const;

export const IoasCopyTestFlags = { ...IoasMapFlags, ACCESS_SYZ: AccessPagesFlags.SYZ } as const;

/** IOMMU_IOAS_COPY with one flag more. It is cleared, and src_iova replaced, before anything is done. */
export const IoasCopyOfTests = command(0x83, "IOAS_COPY", {
	flags: inout(flags(IoasCopyTestFlags)),
	dstIoasId: u32,
	srcIoasId: u32,
	length: u64,
	dstIova: inout(address),
	srcIova: inout(address),
});

/** IOMMU_TEST_CMD: one command, and `op` says which of its variants. `id` is an object of the op's choice. */
export const TestCommand = variantCommand(
	0xa0,
	"TEST_CMD",
	TestOp,
	{
		op: oneOf(TestOp),
		id: u32,
		reserved: padding(u32),
	},
	{
		ADD_RESERVED: { start: address, length: u64 },
		MOCK_DOMAIN: { outStdevId: out(u32), outHwptId: out(u32), outIdevId: out(u32) },
		MD_CHECK_MAP: { iova: address, length: u64, uptr: address }, // exact, because its alignment is checked
		MD_CHECK_REFS: { length: u64, uptr: address, refs: u32 },
		CREATE_ACCESS: { outAccessFd: out(u32), flags: checkedByHandler(flags(CreateAccessFlags)) },
		DESTROY_ACCESS_PAGES: { accessPagesId: u32 },
		ACCESS_PAGES: {
			flags: checkedByHandler(flags(AccessPagesFlags)),
			outAccessPagesId: out(u32),
			iova: address,
			length: u64,
			uptr: pointer,
		},
		ACCESS_RW: { iova: address, length: u64, uptr: pointer, flags: checkedByHandler(flags(AccessRwFlags)) },
		SET_TEMP_MEMORY_LIMIT: { limit: u32 }, // bytes
		MOCK_DOMAIN_REPLACE: { ptId: inout(u32) },
		ACCESS_REPLACE_IOAS: { ioasId: u32 },
		MOCK_DOMAIN_FLAGS: {
			outStdevId: out(u32),
			outHwptId: out(u32),
			outIdevId: out(u32),
			devFlags: checkedByHandler(flags(MockDeviceFlags)),
		},
		DIRTY: {
			flags: padding(u32), // Linux doesn't look at it
			iova: address,
			length: u64,
			pageSize: u64,
			uptr: pointer,
			outNrDirty: out(u64),
		},
		MD_CHECK_IOTLB: { iotlbId: calledInC("check_iotlb.id", u32), iotlb: u32 },
		TRIGGER_IOPF: {
			devId: u32,
			pasid: u32,
			grpid: u32,
			perm: checkedByHandler(flags(PgfaultPerm)),
			addr: address,
		},
		DEV_CHECK_CACHE: { cacheId: calledInC("check_dev_cache.id", u32), cache: u32 },
		TRIGGER_VEVENT: { devId: u32 },
		PASID_ATTACH: { pasid: u32, ptId: inout(u32) },
		PASID_REPLACE: { pasid: u32, ptId: inout(u32) },
		PASID_DETACH: { pasid: u32 },
		PASID_CHECK_HWPT: { pasid: u32, hwptId: u32 },
		DMABUF_GET: { length: u32, openFlags: u32 },
		DMABUF_REVOKE: { dmabufFd: s32, revoked: u32 },
	},
	{ last: padding(u32) },
);

export const testVariants = TestCommand.variants;

/** What the handler of an op gets. */
export type TestArgs<Op extends TestOpName> = (typeof testVariants)[Op]["view"];

// ---- The mock IOMMU

export const MockPageTable = { DEFAULT: 0, HUGE: 1 } as const;

/** The first and the last IOVA of a mock domain of the type DEFAULT. */
export const MOCK_APERTURE_START = 2n ** 24n;
export const MOCK_APERTURE_LAST = 2n ** 31n - 1n;
/** Bytes. Half of what a CPU's page has, so that code which confuses the two is found. */
export const MOCK_PAGE_SIZE = 2048;
export const MOCK_HUGE_PAGE_SIZE = 512 * MOCK_PAGE_SIZE;

export const MOCK_NESTED_DOMAIN_IOTLB_ID_MAX = 3;
export const MOCK_NESTED_DOMAIN_IOTLB_NUM = 4;
export const MOCK_DEV_CACHE_ID_MAX = 3;
export const MOCK_DEV_CACHE_NUM = 4;
/** Bits of a PASID that the mock IOMMU and its devices have. */
export const MOCK_PASID_WIDTH = 20;
/** The PASID of the test that makes a replace fail. */
export const IOMMU_TEST_PASID_RESERVED = 1024;
export const IOMMU_TEST_IOTLB_DEFAULT = 0xbadbeef;
export const IOMMU_TEST_DEV_CACHE_DEFAULT = 0xbaddad;
export const IOMMU_TEST_HW_QUEUE_MAX = 2;

/** An invalidation's data type that the mock driver must refuse. */
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST_INVALID = 0xdadbeef;
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID = 0xdadbeef;

export const IOMMU_HW_INFO_SELFTEST_REGVAL = 0xdeadbeef;

/** GET_HW_INFO's data. */
export const TestHwInfo = struct("iommu_test_hw_info", {
	flags: flags({}),
	testReg: u32,
});

/** HWPT_ALLOC's data. */
export const HwptSelftest = struct(
	"iommu_hwpt_selftest",
	{
		iotlb: u32,
		pagetableType: oneOf(MockPageTable), // came later
	},
	"iotlb",
);

export const TestInvalidateFlags = { ALL: 1 << 0 } as const;

/** HWPT_INVALIDATE's entry for a nested HWPT. With ALL the id doesn't count. */
export const HwptInvalidateSelftest = struct("iommu_hwpt_invalidate_selftest", {
	flags: flags(TestInvalidateFlags),
	iotlbId: u32,
});

/** HWPT_INVALIDATE's entry for a vIOMMU. With ALL the cache id doesn't count. */
export const ViommuInvalidateSelftest = struct("iommu_viommu_invalidate_selftest", {
	flags: flags(TestInvalidateFlags),
	vdevId: u32,
	cacheId: u32,
});

/** VIOMMU_ALLOC's data: what comes in goes out again. */
export const ViommuSelftest = struct(
	"iommu_viommu_selftest",
	{
		inData: u32,
		outData: out(u32),
		outMmapOffset: out(address), // came later
		outMmapLength: out(u64),
	},
	"outData",
);

/** The mock vIOMMU's event. */
export const ViommuEventSelftest = struct("iommu_viommu_event_selftest", {
	virtId: u32,
});
