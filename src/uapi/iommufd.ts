// The ioctls of /dev/iommu and the structs that they point to: include/uapi/linux/iommufd.h of Linux 7.3.
// Which fields every caller must have (the second argument's last word) is in the table of drivers/iommu/iommufd/main.c;
// which reserved fields Linux really checks is in the handlers beside it. Where they differ from the header's "must be
// 0", the field is `padding` or `checkedByHandler` here, and the line says why.

import {
	address,
	array,
	checkedByHandler,
	flags,
	hexadecimal,
	inout,
	mustBeZero,
	oneOf,
	out,
	padding,
	pointer,
	s32,
	samePlaceAs,
	u8,
	u16,
	u32,
	u64,
} from "./field.js";
import { type AnyCommand, command, struct } from "./struct.js";

const noFlags = {};

// ---- Objects

/** IOMMU_DESTROY: destroy an object of any kind by its id. */
export const Destroy = command(0x80, "DESTROY", {
	id: u32,
});

// ---- I/O address spaces

/** IOMMU_IOAS_ALLOC: a new, empty I/O address space. */
export const IoasAlloc = command(0x81, "IOAS_ALLOC", {
	flags: flags(noFlags),
	outIoasId: out(u32),
});

/** One interval of IOVAs; `last` is the last one that belongs to it. */
export const IovaRange = struct("iommu_iova_range", {
	start: address,
	last: address,
});

/** IOMMU_IOAS_ALLOW_IOVAS: IOVAs that must stay usable, whatever is attached later. Replaces the list before. */
export const IoasAllowIovas = command(0x82, "IOAS_ALLOW_IOVAS", {
	ioasId: u32,
	numIovas: u32,
	reserved: mustBeZero(u32),
	allowedIovas: pointer, // to numIovas IovaRange
});

export const IoasMapFlags = { FIXED_IOVA: 1 << 0, WRITEABLE: 1 << 1, READABLE: 1 << 2 } as const;

/** IOMMU_IOAS_COPY: map what is mapped in one IOAS into another, or at a second place, with the same pages. */
export const IoasCopy = command(0x83, "IOAS_COPY", {
	flags: flags(IoasMapFlags),
	dstIoasId: u32,
	srcIoasId: u32,
	length: u64,
	dstIova: inout(address), // chosen by us unless FIXED_IOVA
	srcIova: address,
});

/** IOMMU_IOAS_IOVA_RANGES: which IOVAs can be mapped now. */
export const IoasIovaRanges = command(0x84, "IOAS_IOVA_RANGES", {
	ioasId: u32,
	numIovas: inout(u32), // room in the array, then the number of ranges that there are
	reserved: mustBeZero(u32),
	allowedIovas: pointer, // to numIovas IovaRange, which we write
	outIovaAlignment: out(u64),
});

/** IOMMU_IOAS_MAP: map a range of the caller's memory into an IOAS. */
export const IoasMap = command(0x85, "IOAS_MAP", {
	flags: flags(IoasMapFlags),
	ioasId: u32,
	reserved: mustBeZero(u32),
	userVa: address, // exact, because its sum with length is checked for overflow
	length: u64,
	iova: inout(address), // chosen by us unless FIXED_IOVA
});

/** IOMMU_IOAS_UNMAP: unmap all areas that lie in a range. 0 and U64_MAX: everything. */
export const IoasUnmap = command(0x86, "IOAS_UNMAP", {
	ioasId: u32,
	iova: address,
	length: inout(u64), // then how many bytes were unmapped
});

export const OptionId = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const;
export const OptionOp = { SET: 0, GET: 1 } as const;

/** IOMMU_OPTION: set or get one value. Answers by writing val64 alone. */
export const Option = command(0x87, "OPTION", {
	optionId: oneOf(OptionId),
	op: oneOf(OptionOp, u16),
	reserved: mustBeZero(u16),
	objectId: u32,
	val64: inout(u64),
});

export const VfioIoasOp = { GET: 0, SET: 1, CLEAR: 2 } as const;

/** IOMMU_VFIO_IOAS: which IOAS stands in for the container of VFIO's type 1 interface. */
export const VfioIoas = command(0x88, "VFIO_IOAS", {
	ioasId: inout(u32),
	op: oneOf(VfioIoasOp, u16),
	reserved: mustBeZero(u16),
});

/** IOMMU_IOAS_MAP_FILE: map a range of a memfd into an IOAS. */
export const IoasMapFile = command(0x8f, "IOAS_MAP_FILE", {
	flags: flags(IoasMapFlags),
	ioasId: u32,
	fd: s32,
	start: address, // byte in the file
	length: u64,
	iova: inout(address), // chosen by us unless FIXED_IOVA
});

/** IOMMU_IOAS_CHANGE_PROCESS: from now on the pinned pages of all file mappings count for the caller. */
export const IoasChangeProcess = command(0x92, "IOAS_CHANGE_PROCESS", {
	reserved: mustBeZero(u32),
});

/** IOMMU_IOAS_NOIOMMU_GET_PA: the physical address behind an IOVA, for devices without an IOMMU. */
export const IoasNoiommuGetPa = command(0x95, "IOAS_NOIOMMU_GET_PA", {
	flags: checkedByHandler(flags(noFlags)), // CAP_SYS_RAWIO comes first
	ioasId: u32,
	reserved: checkedByHandler(mustBeZero(u32)),
	iova: address,
	length: inout(u64), // then how many bytes are contiguous there
	outPhys: out(address),
});

// ---- Hardware page tables

export const HwptAllocFlags = {
	NEST_PARENT: 1 << 0,
	DIRTY_TRACKING: 1 << 1,
	FAULT_ID_VALID: 1 << 2,
	PASID: 1 << 3,
} as const;

export const HwptDataType = { NONE: 0, VTD_S1: 1, ARM_SMMUV3: 2, AMD_GUEST: 3, SELFTEST: 0xdead } as const;

/** IOMMU_HWPT_ALLOC: a page table of a kind and with properties that the caller chooses. */
export const HwptAlloc = command(
	0x89,
	"HWPT_ALLOC",
	{
		flags: checkedByHandler(flags(HwptAllocFlags)), // which of them can be served depends on pt_id
		devId: u32,
		ptId: u32,
		outHwptId: out(u32),
		reserved: mustBeZero(u32),
		dataType: oneOf(HwptDataType),
		dataLen: u32,
		dataUptr: pointer,
		faultId: u32,
		reserved2: padding(u32), // Linux doesn't look at it
	},
	"reserved",
);

export const HwptVtdS1Flags = { SRE: 1 << 0, EAFE: 1 << 1, WPE: 1 << 2 } as const;

/** HWPT_ALLOC's data for VTD_S1: a guest's first-stage page table. */
export const HwptVtdS1 = struct("iommu_hwpt_vtd_s1", {
	flags: flags(HwptVtdS1Flags, u64),
	pgtblAddr: address,
	addrWidth: u32,
	reserved: mustBeZero(u32),
});

/** HWPT_ALLOC's data for ARM_SMMUV3: the first two words of the guest's stream table entry. */
export const HwptArmSmmuV3 = struct("iommu_hwpt_arm_smmuv3", {
	ste: hexadecimal(array(u64, 2)),
});

/** HWPT_ALLOC's data for AMD_GUEST: the guest's device table entry. */
export const HwptAmdGuest = struct("iommu_hwpt_amd_guest", {
	dte: hexadecimal(array(u64, 4)),
});

export const HwptSetDirtyTrackingFlags = { ENABLE: 1 } as const;

/** IOMMU_HWPT_SET_DIRTY_TRACKING: begin or end recording which pages devices write. */
export const HwptSetDirtyTracking = command(0x8b, "HWPT_SET_DIRTY_TRACKING", {
	flags: flags(HwptSetDirtyTrackingFlags),
	hwptId: u32,
	reserved: padding(u32), // Linux doesn't look at it
});

export const HwptGetDirtyBitmapFlags = { NO_CLEAR: 1 } as const;

/** IOMMU_HWPT_GET_DIRTY_BITMAP: which pages were written since the last time. */
export const HwptGetDirtyBitmap = command(0x8c, "HWPT_GET_DIRTY_BITMAP", {
	hwptId: u32,
	flags: flags(HwptGetDirtyBitmapFlags),
	reserved: mustBeZero(u32),
	iova: address,
	length: u64,
	pageSize: u64,
	data: pointer, // one bit for each page_size bytes
});

export const InvalidateDataType = { VTD_S1: 0, ARM_SMMUV3: 1, SELFTEST: 0xdeadbeef } as const;

/** IOMMU_HWPT_INVALIDATE: a guest changed its page table or queue; drop what is cached of it. */
export const HwptInvalidate = command(0x8d, "HWPT_INVALIDATE", {
	hwptId: u32,
	dataUptr: pointer, // to entryNum entries of entryLen bytes
	dataType: oneOf(InvalidateDataType),
	entryLen: u32,
	entryNum: inout(u32), // then how many of them were done
	reserved: checkedByHandler(mustBeZero(u32)), // even this error answers with entry_num = 0
});

export const VtdInvalidateFlags = { LEAF: 1 << 0 } as const;

/** HWPT_INVALIDATE's entry for VTD_S1. addr 0 and npages U64_MAX: everything. */
export const HwptVtdS1Invalidate = struct("iommu_hwpt_vtd_s1_invalidate", {
	addr: address,
	npages: u64,
	flags: flags(VtdInvalidateFlags),
	reserved: mustBeZero(u32),
});

/** HWPT_INVALIDATE's entry for ARM_SMMUV3: one command of the SMMU's command queue. */
export const ViommuArmSmmuV3Invalidate = struct("iommu_viommu_arm_smmuv3_invalidate", {
	cmd: hexadecimal(array(u64, 2)),
});

// ---- What the hardware can do

export const HwInfoFlags = { INPUT_TYPE: 1 << 0 } as const;

/** NONE is an answer, and as an input it asks for the device's own type. */
export const HwInfoType = {
	NONE: 0,
	INTEL_VTD: 1,
	ARM_SMMUV3: 2,
	TEGRA241_CMDQV: 3,
	AMD: 4,
	SELFTEST: 0xfeedbeef,
} as const;

export const HwCapabilities = {
	DIRTY_TRACKING: 1 << 0,
	PCI_PASID_EXEC: 1 << 1,
	PCI_PASID_PRIV: 1 << 2,
	PCI_ATS_NOT_SUPPORTED: 1 << 3,
} as const;

/** IOMMU_GET_HW_INFO: the registers of the IOMMU in front of a device, and what it can do. */
export const GetHwInfo = command(
	0x8a,
	"GET_HW_INFO",
	{
		flags: flags(HwInfoFlags),
		devId: u32,
		dataLen: inout(u32), // bytes at dataUptr, then bytes that there are
		dataUptr: pointer,
		inDataType: oneOf(HwInfoType), // counts only with INPUT_TYPE
		outDataType: samePlaceAs("inDataType", out(oneOf(HwInfoType))),
		outMaxPasidLog2: out(u8),
		reserved: mustBeZero(array(u8, 3)),
		outCapabilities: out(flags(HwCapabilities, u64)),
	},
	"reserved",
);

export const HwInfoVtdFlags = { ERRATA_772415_SPR17: 1 << 0 } as const;

export const HwInfoVtd = struct("iommu_hw_info_vtd", {
	flags: flags(HwInfoVtdFlags),
	reserved: mustBeZero(u32),
	capReg: hexadecimal(u64),
	ecapReg: hexadecimal(u64),
});

export const HwInfoArmSmmuV3Flags = { ERRATA_REPEAT_TLBI_CFGI: 1 << 0 } as const;

export const HwInfoArmSmmuV3 = struct("iommu_hw_info_arm_smmuv3", {
	flags: flags(HwInfoArmSmmuV3Flags),
	reserved: mustBeZero(u32),
	idr: hexadecimal(array(u32, 6)),
	iidr: hexadecimal(u32),
	aidr: hexadecimal(u32),
});

export const HwInfoTegra241Cmdqv = struct("iommu_hw_info_tegra241_cmdqv", {
	flags: flags(noFlags),
	version: u8,
	log2vcmdqs: u8,
	log2vsids: u8,
	reserved: mustBeZero(u8),
});

export const HwInfoAmd = struct("iommu_hw_info_amd", {
	efr: hexadecimal(u64),
	efr2: hexadecimal(u64),
});

// ---- Page faults

/** IOMMU_FAULT_QUEUE_ALLOC: an fd from which page faults are read and to which responses are written. */
export const FaultQueueAlloc = command(0x8e, "FAULT_QUEUE_ALLOC", {
	flags: flags(noFlags),
	outFaultId: out(u32),
	outFaultFd: out(u32),
});

export const PgfaultFlags = { PASID_VALID: 1 << 0, LAST_PAGE: 1 << 1 } as const;
export const PgfaultPerm = { READ: 1 << 0, WRITE: 1 << 1, EXEC: 1 << 2, PRIV: 1 << 3 } as const;

/** What a read of the fault queue gives. */
export const HwptPgfault = struct("iommu_hwpt_pgfault", {
	flags: flags(PgfaultFlags),
	devId: u32,
	pasid: u32,
	grpid: u32,
	perm: flags(PgfaultPerm),
	reserved: mustBeZero(u32),
	addr: address,
	length: u32,
	cookie: u32,
});

export const PageResponseCode = { SUCCESS: 0, INVALID: 1 } as const;

/** What a write to the fault queue takes. */
export const HwptPageResponse = struct("iommu_hwpt_page_response", {
	cookie: u32,
	code: oneOf(PageResponseCode),
});

// ---- Virtual IOMMUs

export const ViommuType = { DEFAULT: 0, ARM_SMMUV3: 1, TEGRA241_CMDQV: 2, SELFTEST: 0xdeadbeef } as const;

/** IOMMU_VIOMMU_ALLOC: one guest's share of a physical IOMMU. */
export const ViommuAlloc = command(
	0x90,
	"VIOMMU_ALLOC",
	{
		flags: flags(noFlags),
		type: oneOf(ViommuType),
		devId: u32,
		hwptId: u32,
		outViommuId: out(u32),
		dataLen: u32,
		reserved: padding(u32), // Linux doesn't look at it
		dataUptr: pointer,
	},
	"outViommuId",
);

/** VIOMMU_ALLOC's data for TEGRA241_CMDQV. */
export const ViommuTegra241Cmdqv = struct("iommu_viommu_tegra241_cmdqv", {
	outVintfMmapOffset: out(address),
	outVintfMmapLength: out(u64),
});

/** IOMMU_VDEVICE_ALLOC: the number that a device has in the guest of a vIOMMU. */
export const VdeviceAlloc = command(0x91, "VDEVICE_ALLOC", {
	viommuId: u32,
	devId: u32,
	outVdeviceId: out(u32),
	virtId: hexadecimal(u64),
});

export const VeventqType = { DEFAULT: 0, ARM_SMMUV3: 1, TEGRA241_CMDQV: 2, SELFTEST: 0xbeefbeef } as const;

/** Most events that a queue can be asked to hold. drivers/iommu/iommufd/eventq.c */
export const VEVENTQ_MAX_DEPTH = 1 << 19;

/** IOMMU_VEVENTQ_ALLOC: an fd from which the events of a vIOMMU are read. */
export const VeventqAlloc = command(
	0x93,
	"VEVENTQ_ALLOC",
	{
		flags: flags(noFlags),
		viommuId: u32,
		type: oneOf(VeventqType),
		veventqDepth: u32,
		outVeventqId: out(u32),
		outVeventqFd: out(u32),
		reserved: mustBeZero(u32),
	},
	"outVeventqFd",
);

export const VeventqFlags = { LOST_EVENTS: 1 << 0 } as const;

/** What a read of the event queue gives before each event. `sequence` goes from 0 to INT_MAX and begins again. */
export const VeventHeader = struct("iommufd_vevent_header", {
	flags: flags(VeventqFlags),
	sequence: u32,
});

export const VeventArmSmmuV3 = struct("iommu_vevent_arm_smmuv3", {
	evt: hexadecimal(array(u64, 4)),
});

export const VeventTegra241Cmdqv = struct("iommu_vevent_tegra241_cmdqv", {
	lvcmdqErrMap: hexadecimal(array(u64, 2)),
});

export const HwQueueType = { DEFAULT: 0, TEGRA241_CMDQV: 1, SELFTEST: 0xdeadbeef } as const;

/** IOMMU_HW_QUEUE_ALLOC: let the hardware read a queue in the guest's memory. */
export const HwQueueAlloc = command(0x94, "HW_QUEUE_ALLOC", {
	flags: flags(noFlags),
	viommuId: u32,
	type: oneOf(HwQueueType),
	index: u32,
	outHwQueueId: out(u32),
	nestingParentIova: address,
	length: u64,
});

/** Most entries of one HWPT_INVALIDATE. drivers/iommu/iommufd/hw_pagetable.c */
export const HWPT_INVALIDATE_ENTRY_NUM_MAX = 1 << 19;

/** All of the above, in the order of their numbers. */
export const iommufdCommands: readonly AnyCommand[] = [
	Destroy,
	IoasAlloc,
	IoasAllowIovas,
	IoasCopy,
	IoasIovaRanges,
	IoasMap,
	IoasUnmap,
	Option,
	VfioIoas,
	HwptAlloc,
	GetHwInfo,
	HwptSetDirtyTracking,
	HwptGetDirtyBitmap,
	HwptInvalidate,
	FaultQueueAlloc,
	IoasMapFile,
	ViommuAlloc,
	VdeviceAlloc,
	IoasChangeProcess,
	VeventqAlloc,
	HwQueueAlloc,
	IoasNoiommuGetPa,
];
