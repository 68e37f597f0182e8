// The ioctls of VFIO: the container that /dev/vfio/vfio (or /dev/iommu in its place) is, the group, and the device.
// include/uapi/linux/vfio.h of Linux 7.3. Which fields every caller must have is in the `minsz` of each handler:
// drivers/iommu/iommufd/vfio_compat.c, drivers/vfio/{group,device_cdev,vfio_main}.c, drivers/vfio/pci/vfio_pci_core.c.
// A number means one thing on a container and another on a device, so there is a list for each.
// Unlike iommufd, an unknown flag is EINVAL, and what follows the known struct isn't looked at.

import {
	address,
	flags,
	hexadecimal,
	inout,
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
import { type AnyCommand, type PlainCommand, plainCommand, struct, vfioCommand } from "./struct.js";

/** What VFIO_GET_API_VERSION answers. */
export const VFIO_API_VERSION = 0;

// ---- The container

export const VfioExtension = {
	TYPE1_IOMMU: 1,
	SPAPR_TCE_IOMMU: 2,
	TYPE1v2_IOMMU: 3,
	DMA_CC_IOMMU: 4,
	EEH: 5,
	TYPE1_NESTING_IOMMU: 6,
	SPAPR_TCE_v2_IOMMU: 7,
	NOIOMMU_IOMMU: 8,
	UNMAP_ALL: 9,
	UPDATE_VADDR: 10,
} as const;

export const VfioGetApiVersion = plainCommand(100, "GET_API_VERSION", "none");
export const VfioCheckExtension = plainCommand(101, "CHECK_EXTENSION", VfioExtension);
export const VfioSetIommu = plainCommand(102, "SET_IOMMU", VfioExtension);

export const VfioIommuInfoFlags = { PGSIZES: 1 << 0, CAPS: 1 << 1 } as const;

/** VFIO_IOMMU_GET_INFO: page sizes, and a chain of capabilities after the struct. */
export const VfioIommuGetInfo = vfioCommand(
	112,
	"IOMMU_GET_INFO",
	{
		flags: out(flags(VfioIommuInfoFlags)),
		iovaPgsizes: out(hexadecimal(u64)),
		capOffset: out(u32),
		pad: padding(u32),
	},
	"iovaPgsizes",
);

/** What every capability begins with; `next` is the offset of the next one in the whole answer, 0 for none. */
export const VfioInfoCapHeader = struct("vfio_info_cap_header", {
	id: u16,
	version: u16,
	next: u32,
});

export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;
export const VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION = 2;
export const VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL = 3;

/** Followed by nrIovas VfioIovaRange. */
export const VfioIommuType1InfoCapIovaRange = struct("vfio_iommu_type1_info_cap_iova_range", {
	id: u16,
	version: u16,
	next: u32,
	nrIovas: u32,
	reserved: padding(u32),
});

/** Both ends belong to it. */
export const VfioIovaRange = struct("vfio_iova_range", {
	start: address,
	end: address,
});

/** What DIRTY_PAGES can do; iommufd in VFIO's place doesn't have it. */
export const VfioIommuType1InfoCapMigration = struct("vfio_iommu_type1_info_cap_migration", {
	id: u16,
	version: u16,
	next: u32,
	flags: u32,
	pgsizeBitmap: hexadecimal(u64),
	maxDirtyBitmapSize: u64,
});

/** How many more mappings can be made. */
export const VfioIommuType1InfoDmaAvail = struct("vfio_iommu_type1_info_dma_avail", {
	id: u16,
	version: u16,
	next: u32,
	avail: u32,
});

export const VfioDmaMapFlags = { READ: 1 << 0, WRITE: 1 << 1, VADDR: 1 << 2 } as const;

/** VFIO_IOMMU_MAP_DMA. VFIO itself has the flag VADDR; iommufd in its place doesn't. */
export const VfioIommuMapDma = vfioCommand(113, "IOMMU_MAP_DMA", {
	flags: flags(VfioDmaMapFlags),
	vaddr: address,
	iova: address,
	size: u64,
});

export const VfioDmaUnmapFlags = { GET_DIRTY_BITMAP: 1 << 0, ALL: 1 << 1, VADDR: 1 << 2 } as const;

/** VFIO_IOMMU_UNMAP_DMA. With GET_DIRTY_BITMAP a VfioBitmap follows. iommufd in VFIO's place has only the flag ALL. */
export const VfioIommuUnmapDma = vfioCommand(114, "IOMMU_UNMAP_DMA", {
	flags: flags(VfioDmaUnmapFlags),
	iova: address,
	size: inout(u64), // then how many bytes were unmapped
});

/** A bit for each page of `pgsize` bytes, in `size` bytes of the caller's memory. */
export const VfioBitmap = struct("vfio_bitmap", {
	pgsize: u64,
	size: u64,
	data: address,
});

export const VfioDirtyPagesFlags = { START: 1 << 0, STOP: 1 << 1, GET_BITMAP: 1 << 2 } as const;

/** VFIO_IOMMU_DIRTY_PAGES. With GET_BITMAP a VfioIommuType1DirtyBitmapGet follows. */
export const VfioIommuDirtyPages = vfioCommand(117, "IOMMU_DIRTY_PAGES", {
	flags: flags(VfioDirtyPagesFlags),
});

/** The range that is asked about, and where its VfioBitmap is. */
export const VfioIommuType1DirtyBitmapGet = struct("vfio_iommu_type1_dirty_bitmap_get", {
	iova: address,
	size: u64,
	pgsize: u64,
	bitmapSize: u64,
	data: address,
});

// ---- The group

export const VfioGroupFlags = { VIABLE: 1 << 0, CONTAINER_SET: 1 << 1 } as const;

/** VFIO_GROUP_GET_STATUS. */
export const VfioGroupGetStatus = vfioCommand(103, "GROUP_GET_STATUS", {
	flags: out(flags(VfioGroupFlags)),
});

export const VfioGroupSetContainer = plainCommand(104, "GROUP_SET_CONTAINER", "pointer to fd");
export const VfioGroupUnsetContainer = plainCommand(105, "GROUP_UNSET_CONTAINER", "none");
/** The string is the device's name: "0000:00:02.0". */
export const VfioGroupGetDeviceFd = plainCommand(106, "GROUP_GET_DEVICE_FD", "pointer to string");

// ---- The device

export const VfioDeviceFlags = {
	RESET: 1 << 0,
	PCI: 1 << 1,
	PLATFORM: 1 << 2,
	AMBA: 1 << 3,
	CCW: 1 << 4,
	AP: 1 << 5,
	FSL_MC: 1 << 6,
	CAPS: 1 << 7,
	CDX: 1 << 8,
} as const;

/** VFIO_DEVICE_GET_INFO: how many regions and interrupts there are. */
export const VfioDeviceGetInfo = vfioCommand(
	107,
	"DEVICE_GET_INFO",
	{
		flags: out(flags(VfioDeviceFlags)),
		numRegions: out(u32),
		numIrqs: out(u32),
		capOffset: out(u32),
		pad: padding(u32),
	},
	"numIrqs",
);

export const VfioRegionInfoFlags = { READ: 1 << 0, WRITE: 1 << 1, MMAP: 1 << 2, CAPS: 1 << 3 } as const;

export const VfioPciRegion = {
	BAR0: 0,
	BAR1: 1,
	BAR2: 2,
	BAR3: 3,
	BAR4: 4,
	BAR5: 5,
	ROM: 6,
	CONFIG: 7,
	VGA: 8,
} as const;
export const VFIO_PCI_NUM_REGIONS = 9;

/** VFIO_DEVICE_GET_REGION_INFO: where in the device's file a region is, and what can be done with it there. */
export const VfioDeviceGetRegionInfo = vfioCommand(108, "DEVICE_GET_REGION_INFO", {
	flags: out(flags(VfioRegionInfoFlags)),
	index: oneOf(VfioPciRegion),
	capOffset: out(u32),
	size: out(u64),
	offset: out(address),
});

export const VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1;
export const VFIO_REGION_INFO_CAP_TYPE = 2;
/** The capability's header is all of it: the MSI-X table can be mapped too. */
export const VFIO_REGION_INFO_CAP_MSIX_MAPPABLE = 3;

export const VfioIrqInfoFlags = { EVENTFD: 1 << 0, MASKABLE: 1 << 1, AUTOMASKED: 1 << 2, NORESIZE: 1 << 3 } as const;

export const VfioPciIrq = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
export const VFIO_PCI_NUM_IRQS = 5;

/** VFIO_DEVICE_GET_IRQ_INFO: how many vectors an interrupt has. */
export const VfioDeviceGetIrqInfo = vfioCommand(109, "DEVICE_GET_IRQ_INFO", {
	flags: out(flags(VfioIrqInfoFlags)),
	index: oneOf(VfioPciIrq),
	count: out(u32),
});

export const VfioIrqSetFlags = {
	DATA_NONE: 1 << 0,
	DATA_BOOL: 1 << 1,
	DATA_EVENTFD: 1 << 2,
	ACTION_MASK: 1 << 3,
	ACTION_UNMASK: 1 << 4,
	ACTION_TRIGGER: 1 << 5,
} as const;

/** VFIO_DEVICE_SET_IRQS. Followed by `count` bytes (BOOL) or s32 (EVENTFD, -1 for none). */
export const VfioDeviceSetIrqs = vfioCommand(110, "DEVICE_SET_IRQS", {
	flags: flags(VfioIrqSetFlags),
	index: oneOf(VfioPciIrq),
	start: u32,
	count: u32,
});

export const VfioDeviceReset = plainCommand(111, "DEVICE_RESET", "none");

export const VfioPciHotResetFlags = { DEV_ID: 1 << 0, DEV_ID_OWNED: 1 << 1 } as const;

/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: which devices a reset hits. Followed by `count` VfioPciDependentDevice. */
export const VfioDeviceGetPciHotResetInfo = vfioCommand(112, "DEVICE_GET_PCI_HOT_RESET_INFO", {
	flags: out(flags(VfioPciHotResetFlags)),
	count: out(u32),
});

/** With DEV_ID the first field is the device's id in the iommufd context, 0 when owned without one, -1 when not owned. */
export const VfioPciDependentDevice = struct("vfio_pci_dependent_device", {
	groupId: u32,
	devid: samePlaceAs("groupId", s32),
	segment: u16,
	bus: u8,
	devfn: hexadecimal(u8),
});

/** VFIO_DEVICE_PCI_HOT_RESET. Followed by `count` s32: the fds of the groups; none of them for a device by cdev. */
export const VfioDevicePciHotReset = vfioCommand(113, "DEVICE_PCI_HOT_RESET", {
	flags: flags({}),
	count: u32,
});

/** How many bits are written. The value is the number of bytes. */
export const VfioDeviceIoeventfdFlags = {
	IOEVENTFD_8: 1 << 0,
	IOEVENTFD_16: 1 << 1,
	IOEVENTFD_32: 1 << 2,
	IOEVENTFD_64: 1 << 3,
} as const;

/** VFIO_DEVICE_IOEVENTFD: an eventfd that stands for a write of `data` at a position of the device's file. `fd` -1 takes it away. */
export const VfioDeviceIoeventfd = vfioCommand(
	116,
	"DEVICE_IOEVENTFD",
	{
		flags: flags(VfioDeviceIoeventfdFlags),
		offset: address,
		data: hexadecimal(u64),
		fd: s32,
		reserved: padding(u32),
	},
	"fd",
);

/** The upper half of the field that C calls `flags`. */
export const VfioDeviceFeatureFlags = { GET: 1 << 0, SET: 1 << 1, PROBE: 1 << 2 } as const;

/** The lower half. */
export const VfioFeature = {
	PCI_VF_TOKEN: 0,
	MIGRATION: 1,
	MIG_DEVICE_STATE: 2,
	LOW_POWER_ENTRY: 3,
	LOW_POWER_ENTRY_WITH_WAKEUP: 4,
	LOW_POWER_EXIT: 5,
	DMA_LOGGING_START: 6,
	DMA_LOGGING_STOP: 7,
	DMA_LOGGING_REPORT: 8,
	MIG_DATA_SIZE: 9,
	BUS_MASTER: 10,
	DMA_BUF: 11,
	MIG_PRECOPY_INFOv2: 12,
	ZPCI_ERROR: 13,
} as const;

/** VFIO_DEVICE_FEATURE. Followed by the feature's data. */
export const VfioDeviceFeature = vfioCommand(117, "DEVICE_FEATURE", {
	feature: oneOf(VfioFeature, u16),
	flags: flags(VfioDeviceFeatureFlags, u16),
});

/** The data of LOW_POWER_ENTRY_WITH_WAKEUP. */
export const VfioDeviceLowPowerEntryWithWakeup = struct("vfio_device_low_power_entry_with_wakeup", {
	wakeupEventfd: s32,
	reserved: padding(u32),
});

/** The data of DMA_BUF. Followed by nrRanges VfioRegionDmaRange. */
export const VfioDeviceFeatureDmaBuf = struct("vfio_device_feature_dma_buf", {
	regionIndex: u32,
	openFlags: hexadecimal(u32),
	flags: hexadecimal(u32),
	nrRanges: u32,
});

/** A part of a region, in bytes. */
export const VfioRegionDmaRange = struct("vfio_region_dma_range", {
	offset: u64,
	length: u64,
});

export const VfioDeviceBindFlags = { TOKEN: 1 << 0 } as const;

/** VFIO_DEVICE_BIND_IOMMUFD: open a device for an iommufd context. The only one that is read with readCommand. */
export const VfioDeviceBindIommufd = vfioCommand(
	118,
	"DEVICE_BIND_IOMMUFD",
	{
		flags: flags(VfioDeviceBindFlags),
		iommufd: s32,
		outDevid: out(u32),
		tokenUuidPtr: pointer,
	},
	"outDevid",
);

export const VfioDeviceAttachFlags = { PASID: 1 << 0 } as const;

/** VFIO_DEVICE_ATTACH_IOMMUFD_PT: attach to an IOAS or an HWPT, or go over to another one. */
export const VfioDeviceAttachIommufdPt = vfioCommand(
	119,
	"DEVICE_ATTACH_IOMMUFD_PT",
	{
		flags: flags(VfioDeviceAttachFlags),
		ptId: inout(u32), // then the HWPT
		pasid: u32, // with the flag PASID: readThrough
	},
	"ptId",
);

export const VfioDeviceDetachFlags = { PASID: 1 << 0 } as const;

/** VFIO_DEVICE_DETACH_IOMMUFD_PT. */
export const VfioDeviceDetachIommufdPt = vfioCommand(
	120,
	"DEVICE_DETACH_IOMMUFD_PT",
	{
		flags: flags(VfioDeviceDetachFlags),
		pasid: u32, // with the flag PASID: readThrough
	},
	"flags",
);

export const vfioContainerCommands: readonly (AnyCommand | PlainCommand)[] = [
	VfioGetApiVersion,
	VfioCheckExtension,
	VfioSetIommu,
	VfioIommuGetInfo,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioIommuDirtyPages,
];

export const vfioGroupCommands: readonly (AnyCommand | PlainCommand)[] = [
	VfioGroupGetStatus,
	VfioGroupSetContainer,
	VfioGroupUnsetContainer,
	VfioGroupGetDeviceFd,
];

export const vfioDeviceCommands: readonly (AnyCommand | PlainCommand)[] = [
	VfioDeviceGetInfo,
	VfioDeviceGetRegionInfo,
	VfioDeviceGetIrqInfo,
	VfioDeviceSetIrqs,
	VfioDeviceReset,
	VfioDeviceGetPciHotResetInfo,
	VfioDevicePciHotReset,
	VfioDeviceIoeventfd,
	VfioDeviceFeature,
	VfioDeviceBindIommufd,
	VfioDeviceAttachIommufdPt,
	VfioDeviceDetachIommufdPt,
];
