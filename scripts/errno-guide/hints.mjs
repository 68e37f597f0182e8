// What to do about an errno, where the reason alone doesn't say it. By a part of the reason that no other reason has:
// every site has a reason of its own. test/errno-guide.test.ts finds hints whose reason is gone.

/** @type {readonly (readonly [part: string, hint: string])[]} */
export const hints = [
	// Any ioctl.
	["no struct can be read at", "Pass a pointer to the command's struct, with `size` filled in."],
	["bytes, but up to", "Set `size` (`argsz`) to sizeof the struct; the struct may be longer than ours, not shorter."],
	[
		"what follows must be 0",
		"The program was built for a newer ABI than this: it may leave what it doesn't need at zero.",
	],
	[
		"the answer can't be written to the struct at",
		"The struct must be writable: is it `const`, or in a read-only mapping?",
	],
	[
		"it is reserved and must be 0 or:",
		"Clear the struct (`= {}`) before you fill it in. For flags: this ABI hasn't got the one that is named.",
	],
	[
		"is not an ioctl of /dev/iommu",
		"The kernel that is played is Linux 7.3: is the command newer, or is the fd another file's?",
	],
	// Objects.
	["and there is no object", "Was it destroyed, or is the id another open's? Ids count per open of /dev/iommu."],
	["is of another kind", "Ids of all kinds of objects are from one sequence: look which call returned this one."],
	[
		"other objects or drivers hold it",
		"Destroy, or detach, its users first: HWPTs before their IOAS, devices before what they are attached to; close queues' fds.",
	],
	["all object ids of this context are taken", "Something leaks objects."],
	// Mapping.
	[
		"which is reserved in",
		"Take IOVAs from IOMMU_IOAS_IOVA_RANGES, after the device is attached: attaching one reserves ranges.",
	],
	["which is mapped in", "Unmap it first; there is no overwriting. Or leave out FIXED_IOVA."],
	["has no room for", "Unmap something, or widen the ranges of IOMMU_IOAS_ALLOW_IOVAS."],
	["more exceed RLIMIT_MEMLOCK", "Raise `ulimit -l`, or run with CAP_IPC_LOCK."],
	[
		"more exceed its RLIMIT_MEMLOCK",
		"Raise `ulimit -l`, unlock memory of the process itself, or run with CAP_IPC_LOCK.",
	],
	[
		"nothing is mapped at *at* in process",
		"The range has a hole, or was unmapped: the memory is looked for when it is first needed, not only at the map.",
	],
	["it is mapped without PROT_WRITE", "Leave out WRITEABLE, or make the memory writable."],
	["it is mapped without PROT_READ", "Make the memory readable."],
	[
		"isn't memory but a file on a disk",
		"Map it MAP_PRIVATE, or use a memfd: Linux doesn't let devices write to files of a file system.",
	],
	[
		"the fd is not a memfd",
		"IOMMU_IOAS_MAP_FILE takes memfds, tmpfs, hugetlbfs and dma-bufs; other files are mapped with mmap and IOMMU_IOAS_MAP.",
	],
	["lies beyond its size", "ftruncate the memfd first."],
	[
		"and with it the memory at",
		"A mapping shows the memory of the process that made it; IOMMU_IOAS_CHANGE_PROCESS moves those of files before it ends.",
	],
	["is not an address of user space", "`user_va` must be an address of the process itself."],
	["flags has neither", "Set IOMMU_IOAS_MAP_READABLE, IOMMU_IOAS_MAP_WRITEABLE or both."],
	[
		"is aligned to *alignment* only",
		"Align the memory to the page size of the domains, or leave the HUGE_PAGES option on.",
	],
	["the copy is to be writeable", "Leave out WRITEABLE, or map the source writeable."],
	[
		"domains may show it with large pages",
		"IOMMU_IOAS_UNMAP takes whole mappings. For parts of them set the option HUGE_PAGES to 0 before the first map.",
	],
	["an in-kernel user has pinned it", "Let it unpin first."],
	["an in-kernel user keeps", "The access has to unpin when it is told to: its unmap callback didn't."],
	["they can't be made of small pages afterwards", "Set HUGE_PAGES to 0 before the first mapping."],
	[
		"num_iovas has room for",
		"Not a failure: `num_iovas` says how many there are. Call again with an array of that length.",
	],
	[
		"ALLOW_IOVAS promised",
		"Ranges that were allowed can't be taken back; allow fewer, or attach the device before IOMMU_IOAS_ALLOW_IOVAS.",
	],
	["only those of IOAS_MAP_FILE can move", "Map memory that is to move by IOMMU_IOAS_MAP_FILE."],
	["RLIMIT_MODE can be set only before", "Set it right after the open."],
	["setting RLIMIT_MODE takes", "Run as root, or leave the option alone."],
	// Page tables.
	[
		"no page size of this",
		"The machine's frames, the IOVA and the length must have an alignment in common: see `memory.contiguity` of the machine.",
	],
	["table translates", "The IOVA is too high for the page table's width: take IOVAs from IOMMU_IOAS_IOVA_RANGES."],
	["erratum 772415", "Map everything in a nest parent READABLE and WRITEABLE."],
	// HWPTs and attaching.
	[
		"finishes a domain when it is first attached",
		"This driver can't serve IOMMU_HWPT_ALLOC on an IOAS with mappings: attach the device to the IOAS instead, or map after.",
	],
	[
		"has no domain_alloc_paging_flags",
		"Allocate without flags and data, or attach the device to the IOAS and have a HWPT made for it.",
	],
	[
		"posted: ",
		"The rule of the patch as it was posted refuses every driver without the op: see `ioasis run --policy agreed`.",
	],
	["agreed: ", "Ask for no flags and no data: that is what the agreed rule serves on such a driver."],
	[
		"which has no DMA domains",
		"This device can't be used from user space. On real hardware its driver would need DMA domains first.",
	],
	["is no flag of HWPT_ALLOC", "The flag is newer than Linux 7.3, or garbage."],
	["is neither an IOAS nor a HWPT", "`pt_id` is an IOAS, a HWPT, or, for a nested HWPT, a vIOMMU."],
	["can't be a parent", "Allocate the parent with IOMMU_HWPT_ALLOC_NEST_PARENT."],
	["was allocated without NEST_PARENT", "Allocate it with IOMMU_HWPT_ALLOC_NEST_PARENT."],
	[
		"a nested HWPT needs data",
		"Describe the guest's page table in `data_uptr`: iommu_hwpt_vtd_s1, iommu_hwpt_arm_smmuv3 or the like.",
	],
	[
		"was made without the flag DIRTY_TRACKING",
		"Allocate the HWPT with IOMMU_HWPT_ALLOC_DIRTY_TRACKING; what an attach made hasn't got it.",
	],
	[
		"can't track what is written",
		"IOMMU_GET_HW_INFO says whether it can: IOMMU_HW_CAP_DIRTY_TRACKING in out_capabilities.",
	],
	["is attached to *hwpt* already", "Detach it first, or replace by attaching through VFIO once more."],
	["which is attached to *hwpt*, not", "All devices of a group share one attachment: attach them to the same HWPT."],
	["was made without the flag PASID", "Allocate the HWPT with IOMMU_HWPT_ALLOC_PASID."],
	["is in other hands", "All devices of a group must be bound to the same open of /dev/iommu, or be in one container."],
	["isn't viable", "Unbind the other functions of the group from their drivers, or close what else has them."],
	["VFIO_GROUP_SET_CONTAINER comes before", "Open /dev/vfio/vfio, and give its fd to VFIO_GROUP_SET_CONTAINER."],
	["many as it may have", "Unmap something, or map larger pieces: VFIO's own containers have a limit, iommufd hasn't."],
	["can't use all of these IOVAs", "Take IOVAs from the ranges that VFIO_IOMMU_GET_INFO lists."],
	["the range cuts", "Unmap mappings whole, or take VFIO_TYPE1_IOMMU."],
	["mapped one to one for", "Firmware uses this device: Linux doesn't let user space have it."],
	["is beyond the last PASID of", "IOMMU_GET_HW_INFO says how many there are: out_max_pasid_log2."],
	["has no vDEVICE in", "IOMMU_VDEVICE_ALLOC for the device, then attach."],
	["no vDEVICE was made for it", "IOMMU_VDEVICE_ALLOC with that StreamID as `virt_id`."],
	[
		"can't make this domain enforce cache coherency",
		"Devices in one HWPT must agree: attach this one to a HWPT of its own.",
	],
	// VFIO devices.
	["a read of *path*", "VFIO_DEVICE_BIND_IOMMUFD with the fd of /dev/iommu, then everything else."],
	["Memory Space Enable is off", "Set bit 1 of the command register: 2 bytes at 0x4 of the configuration space."],
	["its region hasn't the flag MMAP", "Use pread and pwrite where VFIO_DEVICE_GET_REGION_INFO says no MMAP."],
	["and INTx can't be as well", "Switch the other one off first: DATA_NONE, ACTION_TRIGGER and count 0."],
	["and MSI was switched on with", "Switch MSI off and on again, with all vectors that will be used."],
	["BIND_IOMMUFD comes first", "VFIO_DEVICE_BIND_IOMMUFD with the fd of /dev/iommu, then everything else."],
	["a device can be bound by one open of its file only", "Another process, or another fd, has it."],
	["is not an open of /dev/iommu", "The fd has to be one of /dev/iommu."],
	["and none is given", "Give the token by VFIO_DEVICE_BIND_FLAG_TOKEN: the physical function's driver sets it."],
	["a VFIO PCI device", "Are iommufd's ioctls meant? They go to /dev/iommu."],
	[
		"no IOAS has been set for VFIO's ioctls",
		"IOMMU_VFIO_IOAS with VFIO_IOAS_SET first. In Linux attaching a group does it, too, and there are no groups' files here.",
	],
	// Devices without an IOMMU.
	[
		"to open it takes CAP_SYS_RAWIO",
		"Run `ioasis` as root, or as root of a user namespace: `unshare -r ioasis run ...`.",
	],
	[
		"physical addresses take CAP_SYS_RAWIO",
		"Run `ioasis` as root, or as root of a user namespace: `unshare -r ioasis run ...`.",
	],
	["for an IOMMU to walk", "Keep an IOAS of its own for devices without an IOMMU, and attach them to that."],
	// The machine and the process.
	["RLIMIT_NOFILE", "Raise `ulimit -n`, or close some."],
	["ioasis can't have more files open itself", "Raise the hard limit of `ulimit -n` of whoever starts ioasis."],
	["this machine has no", "`ioasis machines` lists the machines, and the devices that each has."],
	["where TMPDIR has them", "Have TMPDIR name a directory that is there, is yours, and has room."],
	["a bug in ioasis", "Please report it, with a recording: `ioasis run --record FILE`."],
];
