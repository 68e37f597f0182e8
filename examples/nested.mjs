// A guest's page table nested on the host's, as a virtual machine monitor sets it up for an Intel IOMMU:
//
//   ioasis run --machine intel -- node examples/nested.mjs
//
// It maps 64 KiB of its memory as a guest's, writes the guest's page table into that, hands it to the IOMMU, attaches a device,
// and waits until its input ends. Meanwhile `ioasis walk 0x5000`, in another terminal, shows both stages at work.

import { readSync } from "node:fs";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");
const strerror = libc.func("const char *strerror(int errno)");

// include/uapi/linux/iommufd.h and vfio.h
const IOMMU_IOAS_ALLOC = 0x3b81;
const IOMMU_IOAS_MAP = 0x3b85;
const IOMMU_HWPT_ALLOC = 0x3b89;
const VFIO_DEVICE_BIND_IOMMUFD = 0x3b76;
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = 0x3b77;
const MAP_FIXED_WRITEABLE_READABLE = 7;
const HWPT_ALLOC_NEST_PARENT = 1;
const HWPT_DATA_VTD_S1 = 1;

const O_RDWR = 2;
const PAGE = 4096n;
/** Where the guest's memory is, for the guest and so for its page table. */
const GUEST = 0x4000_0000n;
const GUEST_PAGES = 16n;
/** Present, writable, for users: what an x86-64 entry needs. */
const ENTRY = 7n;
/** What the guest's table translates, and the page of the guest that it leads to. */
const IOVA = 0x5000n;
const TARGET = GUEST + 8n * PAGE;

const iommufd = openFile("/dev/iommu");
const device = openFile("/dev/vfio/devices/vfio0");
const ram = BigInt(mmap(null, Number(GUEST_PAGES * PAGE), 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0));

const deviceId = call(device, VFIO_DEVICE_BIND_IOMMUFD, [u32(24), u32(0), u32(iommufd), u32(0), u64(0n)], 12);
const ioas = call(iommufd, IOMMU_IOAS_ALLOC, [u32(12), u32(0), u32(0)], 8);
const range = [u64(ram), u64(GUEST_PAGES * PAGE), u64(GUEST)];
call(iommufd, IOMMU_IOAS_MAP, [u32(40), u32(MAP_FIXED_WRITEABLE_READABLE), u32(ioas), u32(0), ...range]);
const parent = allocate(HWPT_ALLOC_NEST_PARENT, ioas);

// Four levels in the guest's first four pages. Their addresses are the guest's own.
for (let level = 3n; level >= 0n; level--) {
	const table = 3n - level;
	const index = (IOVA >> (12n + 9n * level)) & 511n;
	const next = level > 0n ? GUEST + (table + 1n) * PAGE : TARGET;
	koffi.encode(ram + table * PAGE + index * 8n, "uint64_t", next | ENTRY);
}
// struct iommu_hwpt_vtd_s1: flags, pgtbl_addr, addr_width
const firstStage = Buffer.concat([u64(0n), u64(GUEST), u32(48), u32(0)]);
const nested = allocate(0, parent, HWPT_DATA_VTD_S1, firstStage);
call(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, [u32(16), u32(0), u32(nested), u32(0)]);

console.log(`HWPT ${nested} is nested on HWPT ${parent}. How it translates:  ioasis walk 0x${IOVA.toString(16)}`);
// Not process.stdin: that would not keep its promise to end with the input of a terminal in the background.
try {
	readSync(0, new Uint8Array(1));
} catch {
	// There is no input.
}

function allocate(flags, on, dataType = 0, data = Buffer.alloc(0)) {
	const address = data.length === 0 ? 0n : koffi.address(data);
	const words = [u32(48), u32(flags), u32(deviceId), u32(on), u32(0), u32(0), u32(dataType), u32(data.length)];
	return call(iommufd, IOMMU_HWPT_ALLOC, [...words, u64(BigInt(address)), u32(0), u32(0)], 16);
}

/** @returns the word of the answer at `out`, where there is one */
function call(fd, request, fields, out = 0) {
	const argument = Buffer.concat(fields);
	if (ioctl(fd, request, argument) < 0) fail(`ioctl 0x${request.toString(16)}: ${strerror(koffi.errno())}`);
	return argument.readUInt32LE(out);
}

function u32(value) {
	const bytes = Buffer.alloc(4);
	bytes.writeUInt32LE(value);
	return bytes;
}

function u64(value) {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(value);
	return bytes;
}

function openFile(path) {
	const fd = open(path, O_RDWR);
	if (fd < 0) fail(`can't open ${path}: ${strerror(koffi.errno())}`);
	return fd;
}

function fail(message) {
	console.error(message);
	process.exit(1);
}
