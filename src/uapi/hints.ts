// What to do about an error. An Errno's reason says which rule was broken, with the values; the hint that it names says what people do
// about it. One hint serves all reasons of its kind. The trace prints the advice under the reason, `ioasis explain` prints all of it,
// and docs/errno.md is made from it.

export interface Hint {
	/** What to do, in a line or two. */
	readonly advice: string;
	/** What there is to know, where a line doesn't do: how Linux sees it, an example. */
	readonly more?: string;
}

const all = {
	// --- The struct, its pointer and its flags ---
	"struct-pointer": {
		advice: "Pass a pointer to the command's struct. All of it must be memory that the program can read.",
	},
	"struct-size": {
		advice: "Set the struct's first field (size, in VFIO argsz) to sizeof the struct. It may be longer, never shorter.",
		more: "A struct of the kernel begins with its own length, so that it can grow. A struct that is shorter than the first version of it is refused; one that is longer than the kernel knows is fine as long as the rest is 0. A size of 0 means that nobody has set it.",
	},
	"newer-struct": {
		advice: "Leave fields that this kernel doesn't know at 0. The kernel that is played is Linux 7.3.",
		more: "The struct is longer than this kernel's, and has something in the part that the kernel doesn't know. Either the program was built with newer headers and uses a new feature, or the struct wasn't cleared and the bytes are garbage.",
	},
	"not-cleared": {
		advice: "Clear the whole struct before you fill it in: `struct iommu_ioas_map map = { .size = sizeof(map) };`",
	},
	"unknown-flag": {
		advice: "This call has no such flag in Linux 7.3. Look which call it belongs to, or whether flags was set at all.",
	},
	"answer-pointer": {
		advice: "The kernel writes its answer into the struct: it must not be const, or in read-only memory.",
	},
	"data-pointer": {
		advice:
			"Look at the pointer in the struct, and at the count or length beside it: all of that must be the program's memory.",
	},
	argsz: {
		advice: "Make argsz as large as the struct and the data behind it together.",
		more: "VFIO's calls with data of variable length (SET_IRQS, FEATURE, DIRTY_PAGES, UNMAP_DMA with a bitmap) have the data right behind the struct. argsz is the length of both: argsz = sizeof(struct vfio_irq_set) + count * sizeof(int32_t).",
	},
	overflow: {
		advice: "The last byte is start + length - 1, and must fit 64 bits. Is one of the two negative, or not set?",
	},
	"zero-length": {
		advice: "A length of 0 is an error here, not a way to say nothing or everything. Don't make the call.",
	},

	// --- Files ---
	"wrong-file": {
		advice:
			"Send the call to the file that it is for: the reason names it. `ioasis explain wrong-file` has the whole list.",
		more: "IOMMU_* go to an open of /dev/iommu. VFIO_DEVICE_* go to a device: an open of /dev/vfio/devices/vfioN, or the fd that VFIO_GROUP_GET_DEVICE_FD returned. VFIO_GROUP_* go to an open of /dev/vfio/N, N being the number of the IOMMU group. All other VFIO_* (VFIO_SET_IOMMU, VFIO_IOMMU_MAP_DMA) go to a container: an open of /dev/vfio/vfio, or of /dev/iommu in its place.",
	},
	"unknown-ioctl": {
		advice: "No file that is played here has this ioctl. The kernel that is played is Linux 7.3; see docs/fidelity.md.",
	},
	fd: {
		advice: "The fd is not open in this process. Was it closed, or never set? In another process it is another file.",
	},
	"fd-of-iommu": {
		advice: 'Pass the fd that open("/dev/iommu", O_RDWR) returned.',
	},
	eventfd: {
		advice: "Pass the fd of an eventfd(2), or -1 to take the eventfd away.",
	},
	"o-path": {
		advice: "Open the file without O_PATH: such an fd is a name, and no open file.",
	},
	"fd-limit": {
		advice: "Raise `ulimit -n`, or close some. `ioasis` itself has an fd for each open file of the program's.",
	},
	"access-mode": {
		advice: "Open it for both: O_RDWR.",
	},

	// --- Objects ---
	"no-object": {
		advice: "Was it destroyed? Or does the id come from another open of /dev/iommu? Each open has ids of its own.",
		more: "Every object of an open of /dev/iommu (an IOAS, a HWPT, a bound device) has an id, and all kinds share one sequence. An id means nothing to another open. After IOMMU_DESTROY, and after the close of a device's file, the id is free, and the next object gets it.",
	},
	"object-kind": {
		advice: "Look which call returned this id: IOASes, HWPTs, devices and all others share one sequence of ids.",
	},
	"object-in-use": {
		advice: "First destroy or detach what uses it: the reason names it.",
		more: "An object lives as long as another one needs it. Detach a device (VFIO_DEVICE_DETACH_IOMMUFD_PT, or close its file) before you destroy the HWPT; destroy nested HWPTs and vIOMMUs before their parent, HWPTs before their IOAS, queues of a vIOMMU before it. A queue of events is destroyed only after its fd is closed.",
	},
	"bound-device": {
		advice: "Close the device's file: that destroys the object. IOMMU_DESTROY is never for bound devices.",
	},
	"ids-exhausted": {
		advice: "Something makes objects and never destroys them.",
	},

	// --- Mapping ---
	alignment: {
		advice:
			"Round the start down and the length up to the alignment that the reason says: IOMMU_IOAS_IOVA_RANGES has it in out_iova_alignment.",
		more: "IOVAs, lengths and offsets within a page must be multiples of the smallest page that the attached domains have, usually 4096. Without a domain any byte will do, so the same program can pass before its first attach and fail after. Ask IOMMU_IOAS_IOVA_RANGES once a device is attached.",
	},
	"reserved-iova": {
		advice:
			"Take IOVAs from IOMMU_IOAS_IOVA_RANGES, and ask for them after each attach: attaching a device reserves ranges.",
		more: "An IOVA is reserved where an attached device or domain can't use it: beyond the width of its page table (the aperture), where the IOMMU has its window for interrupts (MSI: 0xfee00000 to 0xfeefffff on x86, 0x8000000 to 0x80fffff on Arm), or where the firmware has memory mapped for the device. A VMM either lays out the guest's memory around these, or checks them with IOMMU_IOAS_ALLOW_IOVAS before it attaches.",
	},
	"mapped-already": {
		advice:
			"Unmap what is there first: a mapping is never overwritten. Or leave out FIXED_IOVA, and have an IOVA chosen.",
	},
	"unmap-first": {
		advice: "Unmap what is there first: a mapping is never overwritten.",
	},
	"smallest-page": {
		advice: "Round addresses and sizes to the smallest page: VFIO_IOMMU_GET_INFO has the sizes in iova_pgsizes.",
	},
	"no-room": {
		advice: "Unmap something, map a smaller piece, or widen the ranges of IOMMU_IOAS_ALLOW_IOVAS.",
		more: "When no IOVA is given, the lowest free one is taken that is as aligned as the memory is, in the allowed ranges, and never in the first or the last page of the 64-bit space. A piece of memory with a large alignment needs a hole with the same.",
	},
	memlock: {
		advice: "Raise RLIMIT_MEMLOCK (`ulimit -l unlimited`, or LimitMEMLOCK= of the service), or map less at a time.",
		more: "What a device can reach is pinned, and pinned memory counts against RLIMIT_MEMLOCK. /dev/iommu counts for the user, over all of their processes; /dev/vfio/vfio, and /dev/iommu after RLIMIT_MODE 1, count for the process, together with what it has locked by mlock(2). Who has CAP_IPC_LOCK isn't counted. Containers and services often have 64 KiB or 8 MiB, which is less than one guest.",
	},
	"memory-hole": {
		advice:
			"Look at /proc/PID/maps: the range has a hole, or was unmapped since. Memory is looked up when a domain needs it.",
		more: "As long as an IOAS has no domain, IOMMU_IOAS_MAP only writes down the addresses. The pages are looked up and pinned when the first device is attached, or when a kernel driver accesses them. So an attach can fail for memory that was unmapped long after it was mapped into the IOAS.",
	},
	"memory-protection": {
		advice:
			"Map the memory with PROT_READ, and with PROT_WRITE where the mapping is WRITEABLE; or leave WRITEABLE out.",
	},
	"file-memory": {
		advice: "Use a memfd, or map the file MAP_PRIVATE: devices must not write to a file of a file system on a disk.",
	},
	"device-memory": {
		advice:
			"Memory of a device (a mapped BAR) can't be mapped here. VFIO's own container (/dev/vfio/vfio) can do that.",
	},
	memfd: {
		advice:
			"Give an fd of memfd_create(2), of a file on tmpfs or hugetlbfs, or a dma-buf. For other files, mmap and IOMMU_IOAS_MAP.",
	},
	"file-size": {
		advice: "ftruncate(2) the memfd to its size first, and stay within it.",
	},
	"user-address": {
		advice:
			"Give an address of the program's own memory, as mmap(2) or malloc(3) returned it: not a physical or a guest's address.",
	},
	"process-gone": {
		advice:
			"A mapping shows the memory of the process that made it. IOMMU_IOAS_CHANGE_PROCESS hands it over, for memory of files.",
	},
	"map-permission": {
		advice:
			"Set READABLE, WRITEABLE or both. Devices write to the ring that they answer in, so DMA buffers mostly need both.",
	},
	"copy-permission": {
		advice: "Leave out WRITEABLE, or map the source WRITEABLE: a copy can't do more than its source.",
	},
	"no-page-size": {
		advice:
			"The IOVA, the length and the physical pages must share an alignment: see `memory.contiguity` in docs/machines.md.",
	},
	"iova-width": {
		advice: "The page table is too narrow for the IOVA: take IOVAs from IOMMU_IOAS_IOVA_RANGES after the attach.",
	},
	"physical-width": {
		advice:
			"The page table can't hold so high a physical address. See docs/machines.md for where a machine's memory lies.",
	},
	"unmap-whole": {
		advice:
			"Unmap whole mappings, with the IOVA and the length that they were made with; or all of them: 0 and 2^64-1.",
		more: "IOMMU_IOAS_UNMAP takes any number of whole mappings, but cuts none in two. VFIO_IOMMU_UNMAP_DMA cuts them only as type 1, never as type 1v2. To unmap a part of a mapping, map in smaller pieces from the start: they cost the same.",
	},
	"cut-area": {
		advice: "Set the option HUGE_PAGES to 0 before the first map, or map in pieces of the size that you unmap.",
	},
	"nothing-mapped": {
		advice: "Look for an unmap that came before, an error of the map that nobody looked at, or the id of another IOAS.",
	},
	"in-kernel-user": {
		advice: "An in-kernel user has pinned these pages: have it unpin them first.",
	},
	"locked-area": {
		advice: "A hardware queue or a vIOMMU uses this memory: destroy it first.",
	},
	"huge-pages-option": {
		advice: "Set IOMMU_OPTION_HUGE_PAGES to 0 before the first device is attached.",
	},
	"ask-twice": {
		advice: "Not a failure: num_iovas says how many ranges there are. Call again with an array of that length.",
	},
	"allowed-iovas": {
		advice: "What IOMMU_IOAS_ALLOW_IOVAS promised can't be taken back: allow fewer ranges, or attach the device first.",
	},
	"range-list": {
		advice: "Each range has a start below its last byte (not its end), and none overlaps another.",
	},
	"aligned-for-domain": {
		advice: "Unmap it, attach the device, and map it again with an alignment that the domain takes.",
	},
	"change-process": {
		advice: "Map memory that is to move to another process with IOMMU_IOAS_MAP_FILE.",
	},
	"rlimit-mode": {
		advice: "Set IOMMU_OPTION_RLIMIT_MODE right after the open, before the first object, as root; or leave it.",
	},
	option: {
		advice:
			"The options are RLIMIT_MODE (of the whole open: object_id 0) and HUGE_PAGES (of an IOAS); the ops are SET and GET.",
	},
	"dma-buf": {
		advice:
			"A dma-buf is shown to devices only, is mapped as a whole, and can go at any time when its owner takes it back.",
	},

	// --- Attaching, and page tables ---
	"pt-id": {
		advice: "pt_id is the id of an IOAS or of a HWPT; in IOMMU_HWPT_ALLOC, of an IOAS, a HWPT to nest on, or a vIOMMU.",
	},
	"attached-already": {
		advice: "Detach it first; or attach once more with VFIO_DEVICE_ATTACH_IOMMUFD_PT, which replaces what is attached.",
	},
	"group-attachment": {
		advice: "All devices of a group share one attachment: attach them to the same HWPT, or to the same IOAS.",
	},
	"not-attached": {
		advice: "Attach it first: VFIO_DEVICE_ATTACH_IOMMUFD_PT.",
	},
	"domain-does-not-fit": {
		advice:
			"Allocate the HWPT for this device (dev_id), or attach the device to the IOAS, which makes a HWPT that fits.",
		more: "A HWPT has the format that fits the device it was allocated for. A device behind another IOMMU, or behind one with other capabilities, may not be able to use it: it is EINVAL then, and the VMM is expected to try the next HWPT, or to allocate one. An attach to an IOAS does just that.",
	},
	"cache-coherency": {
		advice: "Devices in one HWPT must agree on cache coherency: give this one a HWPT of its own.",
	},
	"firmware-region": {
		advice: "The firmware uses this device all the time: Linux doesn't let user space have it. Take another device.",
		more: "The platform's tables (ACPI RMRR or IVMD, devicetree) say that memory must stay mapped one to one for this device, whatever the kernel does. That is so for some graphics, USB and network devices that a management controller uses. In a machine file it is a firmwareRegion that isn't relaxable.",
	},
	"group-in-use": {
		advice:
			"All devices of a group go to the same open of /dev/iommu, or into the same container: close or unbind what has the others.",
		more: "A group is what the IOMMU can't keep apart, so it has one owner. It isn't viable as long as a driver of the kernel has one of its functions: unbind that one (echo its address to its driver's unbind in /sys). A device that is bound by its own file in /dev/vfio/devices excludes the group's file in /dev/vfio, and the other way round.",
	},
	"interrupt-remapping": {
		advice:
			"Without interrupt remapping Linux refuses such a device, unless allow_unsafe_interrupts is set. Take another machine.",
	},
	"deferred-domain": {
		advice: "This driver can't map before it attaches: attach the device to the IOAS, or map after the attach.",
	},
	"no-user-domain": {
		advice:
			"Ask for no flags and no data, or attach the device to the IOAS and have the HWPT made: this driver has one kind of table.",
	},
	"policy-posted": {
		advice:
			"The patch as it was posted refuses every driver without the op: see `ioasis run --policy agreed`, and docs/policies.md.",
	},
	"no-dma-domains": {
		advice: "User space can't have a device whose driver has no DMA domains. Take another machine: `ioasis machines`.",
	},
	"nest-parent": {
		advice: "Allocate the parent with the flag IOMMU_HWPT_ALLOC_NEST_PARENT, for a device behind the same IOMMU.",
		more: "Nesting takes three steps: IOMMU_HWPT_ALLOC on an IOAS with NEST_PARENT makes the second stage; (on Arm, IOMMU_VIOMMU_ALLOC on it, and IOMMU_VDEVICE_ALLOC for each device;) IOMMU_HWPT_ALLOC on that one, with data that describes the guest's page table, makes the nested HWPT. A HWPT that an attach made is never a parent.",
	},
	"nested-data": {
		advice:
			"Describe the guest's page table in data_uptr, with its type and length: iommu_hwpt_vtd_s1, iommu_hwpt_arm_smmuv3 or iommu_hwpt_amd_guest.",
	},
	"data-type": {
		advice: "The type of the data is that of the IOMMU in front of the device: IOMMU_GET_HW_INFO says which one it is.",
	},
	"hardware-lacks": {
		advice: "The machine's IOMMU can't do this: ask IOMMU_GET_HW_INFO first. `ioasis machines` lists others.",
	},
	"flags-together": {
		advice: "These flags ask for different kinds of page table: allocate a HWPT for each.",
	},
	"dirty-tracking": {
		advice:
			"Allocate the HWPT with the flag IOMMU_HWPT_ALLOC_DIRTY_TRACKING; a HWPT that an attach made hasn't got it.",
	},
	"dirty-bitmap": {
		advice: "iova and length are multiples of page_size, which is a power of two; one bit stands for page_size bytes.",
	},
	"pasid-flag": {
		advice: "Allocate every HWPT that the device uses with IOMMU_HWPT_ALLOC_PASID, that of the device itself too.",
	},
	"pasid-range": {
		advice: "PASIDs begin at 1; IOMMU_GET_HW_INFO says in out_max_pasid_log2 how many there are.",
	},
	"erratum-772415": {
		advice: "Map everything in a nest parent READABLE and WRITEABLE.",
	},
	vdevice: {
		advice: "IOMMU_VDEVICE_ALLOC for the device, with the guest's number for it as virt_id, comes before the attach.",
	},
	viommu: {
		advice: "IOMMU_VIOMMU_ALLOC, with the type of the machine's IOMMU, on a HWPT that was allocated with NEST_PARENT.",
	},
	"first-stage": {
		advice:
			"The guest's table, as described, is none that this IOMMU walks: mask the guest's registers by IOMMU_GET_HW_INFO.",
	},
	"invalidation-array": {
		advice: "data_uptr is an array of entry_num entries, entry_len bytes each; data_type says what they are.",
	},
	"invalidation-entry": {
		advice: "entry_num of the answer says how many entries were done: the one after them is at fault.",
	},
	"guest-command": {
		advice: "A guest may have only invalidations carried out, of its own devices: answer all others in the VMM.",
	},
	"page-faults": {
		advice:
			"IOMMU_FAULT_QUEUE_ALLOC, then IOMMU_HWPT_ALLOC with FAULT_ID_VALID, on a device that can ask for pages (PRI).",
	},
	"queue-read": {
		advice:
			"Read with room for some whole records: the struct's size tells, and a fault is read with all others of its group.",
	},
	"fault-response": {
		advice: "Answer each group of faults once, with the cookie that was read, and SUCCESS or INVALID.",
	},
	"hw-queue": {
		advice:
			"The queue's memory is mapped in the vIOMMU's parent, in one physical piece, and its queues are made in order.",
	},
	"mmap-offset": {
		advice: "mmap with the offset and the length that the allocation returned.",
	},
	"table-config": {
		advice: "No page table of this width exists: look at the registers in the machine's description.",
	},
	"memory-budget": {
		advice:
			"`ioasis run --memory` gives more. Is it a loop that never frees, or a mapping that is larger than was meant?",
		more: "Page tables, areas, objects and all else that a program has the kernel keep is memory, in Linux of the program's memory cgroup. Here it is what --memory says, a quarter of the computer's if nothing is said. Memory in small scattered pieces takes a page table entry of 8 bytes for each 4 KiB: aligned to 2 MiB or 1 GiB it takes next to nothing.",
	},
	"table-memory": {
		advice: "Map larger or better aligned pieces, so that large pages serve; or destroy HWPTs that nobody uses.",
	},

	// --- VFIO devices ---
	"bind-first": {
		advice:
			"VFIO_DEVICE_BIND_IOMMUFD, with the fd of /dev/iommu, is the first call on an open of /dev/vfio/devices/vfioN.",
		more: "The order is: open /dev/iommu and the device; VFIO_DEVICE_BIND_IOMMUFD on the device; IOMMU_IOAS_ALLOC on /dev/iommu; VFIO_DEVICE_ATTACH_IOMMUFD_PT on the device; IOMMU_IOAS_MAP on /dev/iommu; then regions, interrupts and DMA. Before the bind all else is EINVAL.",
	},
	"bound-elsewhere": {
		advice:
			"One open has the device, and keeps it until it is closed: look for another process, another fd, or a child that inherited it.",
	},
	"vf-token": {
		advice:
			"Pass the UUID that the physical function's user has set: VFIO_DEVICE_BIND_FLAG_TOKEN, or vf_token= in a group.",
	},
	"no-such-interrupt": {
		advice: "VFIO_DEVICE_GET_IRQ_INFO says how many vectors each index has: 0 is none. start + count must stay within.",
	},
	"interrupt-flags": {
		advice:
			"flags of SET_IRQS has one of DATA_NONE, DATA_BOOL and DATA_EVENTFD, and one of ACTION_MASK, UNMASK and TRIGGER.",
	},
	"one-interrupt-kind": {
		advice:
			"Switch the other kind off first: SET_IRQS with its index, DATA_NONE | ACTION_TRIGGER, start 0 and count 0.",
	},
	"interrupt-off": {
		advice: "Switch it on first: SET_IRQS with DATA_EVENTFD | ACTION_TRIGGER and an eventfd for each vector.",
	},
	"msi-vectors": {
		advice: "MSI is switched on with all vectors that it will have: switch it off and on again. MSI-X can grow.",
	},
	"intx-vector": {
		advice: "INTx has one vector: start is 0 and count 1.",
	},
	ioeventfd: {
		advice:
			"An eventfd stands for one write: position, size and value. The same with fd -1 takes it away. An MSI-X table is written by SET_IRQS only.",
	},
	"memory-enable": {
		advice: "Set bit 1 (Memory Space) of the command register: 2 bytes at offset 4 of the configuration space region.",
	},
	"no-such-region": {
		advice: "VFIO_DEVICE_GET_REGION_INFO says offset and size of each region; a size of 0 means that there is none.",
	},
	"no-mmap": {
		advice: "Use pread and pwrite where VFIO_DEVICE_GET_REGION_INFO has no flag MMAP.",
	},
	"no-reset": {
		advice:
			"VFIO_DEVICE_GET_INFO says whether the device can be reset: the flag RESET. Others have to be set up as they are found.",
	},
	feature: {
		advice:
			"Ask with PROBE first: VFIO_DEVICE_FEATURE with PROBE and GET or SET tells whether the device has the feature.",
	},
	"noiommu-rights": {
		advice: "Run `ioasis` as root, or as root of a user namespace: `unshare -r ioasis run ...`.",
	},
	"noiommu-mix": {
		advice: "Keep an IOAS, or a container, of its own for devices without an IOMMU.",
	},

	// --- VFIO groups and containers ---
	"container-order": {
		advice:
			"The order is: open /dev/vfio/vfio and /dev/vfio/N, VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU, then VFIO_GROUP_GET_DEVICE_FD and VFIO_IOMMU_MAP_DMA.",
	},
	"container-fd": {
		advice: "VFIO_GROUP_SET_CONTAINER takes a pointer to the fd of /dev/vfio/vfio, or of /dev/iommu.",
	},
	"container-type": {
		advice: "Ask with VFIO_CHECK_EXTENSION before VFIO_SET_IOMMU: VFIO_TYPE1v2_IOMMU is what is there with an IOMMU.",
	},
	"container-in-use": {
		advice: "Close the devices that were opened through the group first.",
	},
	"device-name": {
		advice: "The name is the PCI address, as in /sys/bus/pci/devices: 0000:00:02.0; vf_token=UUID may follow.",
	},
	"compat-ioas": {
		advice: "IOMMU_VFIO_IOAS with VFIO_IOAS_SET first, or put a group into the iommufd: VFIO_GROUP_SET_CONTAINER.",
	},
	"own-back-end": {
		advice:
			"Only VFIO's own type 1 has this: open /dev/vfio/vfio, on a machine whose containers are VFIO's (the default).",
	},
	"type1-flags": {
		advice: "MAP_DMA takes READ, WRITE or both; UNMAP_DMA takes none, ALL, GET_DIRTY_BITMAP or VADDR.",
	},
	"mapping-limit": {
		advice:
			"Unmap something, or map larger pieces. The limit is type 1's own (dma_entry_limit, 65535); iommufd has none.",
	},
	"group-iovas": {
		advice: "Take IOVAs from the ranges that VFIO_IOMMU_GET_INFO lists in its capability IOVA_RANGE.",
	},
	"dirty-pages": {
		advice:
			"VFIO_IOMMU_DIRTY_PAGES has one of START, STOP and GET_BITMAP; START comes first, on a container of type 1v2.",
	},
	vaddr: {
		advice:
			"UNMAP_DMA with VADDR takes the addresses of whole mappings away, MAP_DMA with VADDR gives new ones: once each.",
	},

	// --- Where the program runs ---
	machine: {
		advice:
			"`ioasis machines` lists the machines, and `ioasis machines show NAME` what each has: PCI functions, groups, IOMMUs.",
	},
	"pidfd-getfd": {
		advice: "The sandbox around `ioasis` must allow pidfd_getfd(2): `ioasis doctor` says what else it must.",
	},
	tmpdir: {
		advice: "Have TMPDIR name a directory that is there, is yours, and has room.",
	},
	"ioasis-bug": {
		advice: "Please report it, with a recording: `ioasis run --record FILE`.",
	},
} as const satisfies Record<string, Hint>;

/** The name of a hint: "alignment". */
export type HintName = keyof typeof all;

export const hints: Readonly<Record<HintName, Hint>> = all;
