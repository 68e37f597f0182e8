// What a thread of 2023 about one patch of iommufd was about, a question at a time, as a program that knows nothing of Ioasis:
//
//   ioasis matrix --machines intel,s390-2023,arm-smmu-2023,pamu-2023 -- node examples/hwpt-thread.mjs alloc
//
//   bind          bind the first VFIO device to an iommufd
//   alloc         ... and allocate a page table (HWPT) for it, to an empty I/O address space (IOAS)
//   alloc-mapped  the same, where something is mapped in the IOAS
//   alloc-zeroes  the same with an empty IOAS, and with user data that is all zeroes
//   alloc-data    the same with user data, of the kind that this IOMMU has
//   alloc-nested  the same data where it belongs: on a page table that was allocated to be the parent of another
//   attach        attach the device to an IOAS where something is mapped: the automatic flow
//
// Several can be given; each begins with files of its own. A line says of each whether it works, or which call didn't. The exit
// code is 0 when all work, else 1. docs/policies.md tells the story.

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const close = libc.func("int close(int fd)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");
const strerror = libc.func("const char *strerror(int errno)");

// include/uapi/linux/iommufd.h and vfio.h
const command = (number) => (0x3b << 8) | number;
const IOMMU_IOAS_ALLOC = command(0x81);
const IOMMU_IOAS_MAP = command(0x85);
const IOMMU_HWPT_ALLOC = command(0x89);
const IOMMU_GET_HW_INFO = command(0x8a);
const IOMMU_VIOMMU_ALLOC = command(0x90);
const VFIO_DEVICE_BIND_IOMMUFD = command(118);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = command(119);
const MAP_FLAGS = { fixedIova: 1, writeable: 2, readable: 4 };
const HWPT_ALLOC_NEST_PARENT = 1;
/** What a guest says of its page table, by what IOMMU_GET_HW_INFO calls the IOMMU: enum iommu_hwpt_data_type. */
const USER_DATA = {
	// struct iommu_hwpt_vtd_s1: flags, pgtbl_addr, addr_width
	1: { type: 1, words: [0n, 1n << 32n, 48n] },
	// struct iommu_hwpt_arm_smmuv3: a stream table entry that bypasses stage 1 (V, and Config 4)
	2: { type: 2, words: [1n | (4n << 1n), 0n], viommuType: 1 },
	// struct iommu_hwpt_amd_guest: a device table entry, V. Linux has no type of vIOMMU for AMD yet, and looks at none.
	4: { type: 3, words: [1n, 0n, 0n, 0n], viommuType: 0xa3d },
};
/** Where an IOMMU has none: VT-d's type, and what no struct of its begins with. */
const UNKNOWN_DATA = { type: 1, words: [0x0101010101010101n, 0x0101010101010101n, 0x0101010101010101n] };

const O_RDWR = 2;
const PAGE = 4096;
/** Every machine's IOMMU translates this address: s390's window begins here. */
const IOVA = 1n << 32n;

const QUESTIONS = {
	bind() {
		bind();
	},
	alloc() {
		allocate(bind(), makeIoas());
	},
	"alloc-mapped"() {
		const ioas = makeIoas();
		map(ioas);
		allocate(bind(), ioas);
	},
	"alloc-zeroes"() {
		const { type, words } = UNKNOWN_DATA;
		allocate(bind(), makeIoas(), { data: { type, words: words.map(() => 0n) } });
	},
	"alloc-data"() {
		const deviceId = bind();
		allocate(deviceId, makeIoas(), { data: userDataFor(deviceId) });
	},
	"alloc-nested"() {
		const deviceId = bind();
		const data = userDataFor(deviceId);
		const parent = allocate(deviceId, makeIoas(), { flags: HWPT_ALLOC_NEST_PARENT });
		const { viommuType } = data;
		allocate(deviceId, viommuType === undefined ? parent : makeViommu(deviceId, parent, viommuType), { data });
	},
	attach() {
		const ioas = makeIoas();
		map(ioas);
		bind();
		attach(ioas);
	},
};

const questions = process.argv.slice(2);
if (questions.length === 0 || !questions.every((question) => Object.hasOwn(QUESTIONS, question))) {
	console.error(`say what to try: ${Object.keys(QUESTIONS).join(", ")}`);
	process.exit(2);
}
/** Of the question that is being asked. */
let iommufd;
let device;
for (const question of questions) ask(question);

function ask(question) {
	try {
		iommufd = openFile("/dev/iommu");
		device = openFile("/dev/vfio/devices/vfio0");
		QUESTIONS[question]();
		console.log(`${question} works`);
	} catch (error) {
		console.error(`${question}: ${error.message}`);
		process.exitCode = 1;
	}
	close(device);
	close(iommufd);
}

/** @returns the device's id in the iommufd */
function bind() {
	const argument = struct(24);
	argument.setInt32(8, iommufd, true);
	call(device, "VFIO_DEVICE_BIND_IOMMUFD", VFIO_DEVICE_BIND_IOMMUFD, argument);
	return argument.getUint32(12, true);
}

function makeIoas() {
	const argument = struct(12);
	call(iommufd, "IOMMU_IOAS_ALLOC", IOMMU_IOAS_ALLOC, argument);
	return argument.getUint32(8, true);
}

/** Maps a page of our memory. */
function map(ioas) {
	const argument = struct(40);
	argument.setUint32(4, MAP_FLAGS.fixedIova | MAP_FLAGS.readable | MAP_FLAGS.writeable, true);
	argument.setUint32(8, ioas, true);
	argument.setBigUint64(16, memory(), true);
	argument.setBigUint64(24, BigInt(PAGE), true);
	argument.setBigUint64(32, IOVA, true);
	call(iommufd, "IOMMU_IOAS_MAP", IOMMU_IOAS_MAP, argument);
}

/**
 * The user-visible flow: allocates a page table for a device that will be attached to it.
 * @param on an IOAS, for a page table that shows it; a page table that is a parent, or a vIOMMU on it, for one that nests on it
 * @returns the page table's id
 */
function allocate(deviceId, on, { flags = 0, data } = {}) {
	const argument = struct(48);
	argument.setUint32(4, flags, true);
	argument.setUint32(8, deviceId, true);
	argument.setUint32(12, on, true);
	if (data !== undefined) {
		const address = memory();
		koffi.encode(address, "uint64_t", data.words, data.words.length);
		argument.setUint32(24, data.type, true);
		argument.setUint32(28, data.words.length * 8, true);
		argument.setBigUint64(32, address, true);
	}
	call(iommufd, "IOMMU_HWPT_ALLOC", IOMMU_HWPT_ALLOC, argument);
	return argument.getUint32(16, true);
}

/** User data as a real program would have it for this device's IOMMU. */
function userDataFor(deviceId) {
	const argument = struct(40);
	argument.setUint32(8, deviceId, true);
	call(iommufd, "IOMMU_GET_HW_INFO", IOMMU_GET_HW_INFO, argument);
	return USER_DATA[argument.getUint32(24, true)] ?? UNKNOWN_DATA;
}

/** The guest's share of the IOMMU, on a page table that translates what the guest's own tables put out. */
function makeViommu(deviceId, parent, type) {
	const argument = struct(40);
	argument.setUint32(8, type, true);
	argument.setUint32(12, deviceId, true);
	argument.setUint32(16, parent, true);
	call(iommufd, "IOMMU_VIOMMU_ALLOC", IOMMU_VIOMMU_ALLOC, argument);
	return argument.getUint32(20, true);
}

/** The automatic flow: the kernel finds or makes a page table that shows the IOAS. */
function attach(ioas) {
	const argument = struct(16);
	argument.setUint32(8, ioas, true);
	call(device, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", VFIO_DEVICE_ATTACH_IOMMUFD_PT, argument);
}

/** The address of a page of memory. */
function memory() {
	return BigInt(mmap(null, PAGE, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0));
}

/** A struct of `size` bytes, with the size in its first field. */
function struct(size) {
	const view = new DataView(new ArrayBuffer(size));
	view.setUint32(0, size, true);
	return view;
}

function openFile(path) {
	const fd = open(path, O_RDWR);
	if (fd < 0) throw new Error(`can't open ${path}: ${strerror(koffi.errno())}`);
	return fd;
}

function call(fd, name, request, argument) {
	if (ioctl(fd, request, new Uint8Array(argument.buffer)) < 0)
		throw new Error(`${name} failed: ${strerror(koffi.errno())}`);
}
