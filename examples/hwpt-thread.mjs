// What a thread of 2023 about one patch of iommufd was about, a question at a time, as a program that knows nothing of Ioasis:
//
//   ioasis matrix --machines intel,s390-2023,arm-smmu-2023,pamu-2023 -- node examples/hwpt-thread.mjs alloc
//
//   bind          bind the first VFIO device to an iommufd
//   alloc         ... and allocate a page table (HWPT) for it, to an empty I/O address space (IOAS)
//   alloc-mapped  the same, where something is mapped in the IOAS
//   alloc-zeroes  the same with an empty IOAS, and with user data that is all zeroes
//   alloc-data    the same with user data
//   attach        attach the device to an IOAS where something is mapped: the automatic flow
//
// It exits with 0 when that works, and with 1 and a line that says which call didn't. docs/policies.md tells the story.

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");
const strerror = libc.func("const char *strerror(int errno)");

// include/uapi/linux/iommufd.h and vfio.h
const command = (number) => (0x3b << 8) | number;
const IOMMU_IOAS_ALLOC = command(0x81);
const IOMMU_IOAS_MAP = command(0x85);
const IOMMU_HWPT_ALLOC = command(0x89);
const VFIO_DEVICE_BIND_IOMMUFD = command(118);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = command(119);
const MAP_FLAGS = { fixedIova: 1, writeable: 2, readable: 4 };
const HWPT_DATA_VTD_S1 = 1;

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
		allocate(bind(), makeIoas(), new Uint8Array(24));
	},
	"alloc-data"() {
		allocate(bind(), makeIoas(), new Uint8Array(24).fill(1));
	},
	attach() {
		const ioas = makeIoas();
		map(ioas);
		bind();
		attach(ioas);
	},
};

const [question] = process.argv.slice(2);
if (!Object.hasOwn(QUESTIONS, question)) fail(`say what to try: ${Object.keys(QUESTIONS).join(", ")}`, 2);
const iommufd = openFile("/dev/iommu");
const device = openFile("/dev/vfio/devices/vfio0");
QUESTIONS[question]();
console.log(`${question} works`);

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

/** The user-visible flow: allocates a page table that shows an IOAS, for a device that will be attached to it. */
function allocate(deviceId, ioas, data) {
	const argument = struct(48);
	argument.setUint32(8, deviceId, true);
	argument.setUint32(12, ioas, true);
	if (data !== undefined) {
		const address = memory();
		koffi.encode(address, "uint8_t", data, data.length);
		argument.setUint32(24, HWPT_DATA_VTD_S1, true);
		argument.setUint32(28, data.length, true);
		argument.setBigUint64(32, address, true);
	}
	call(iommufd, "IOMMU_HWPT_ALLOC", IOMMU_HWPT_ALLOC, argument);
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
	if (fd < 0) fail(`${question}: can't open ${path}: ${strerror(koffi.errno())}`);
	return fd;
}

function call(fd, name, request, argument) {
	if (ioctl(fd, request, new Uint8Array(argument.buffer)) < 0)
		fail(`${question}: ${name} failed: ${strerror(koffi.errno())}`);
}

function fail(message, code = 1) {
	console.error(message);
	process.exit(code);
}
