// A program that uses /dev/iommu as any other would, and knows nothing of Ioasis:
//
//   ioasis run --trace -- node examples/first-steps.mjs
//
// It makes an I/O address space (IOAS), attaches a device of the kernel's mock driver to it, and maps memory for the
// device's DMA. The structs are those of include/uapi/linux/iommufd.h; every one begins with its own size.

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const close = libc.func("int close(int fd)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");

const O_RDWR = 2;
const READABLE = 4;
const WRITEABLE = 2;
const FIXED_IOVA = 1;
const command = (number) => (0x3b << 8) | number;
const IOMMU_DESTROY = command(0x80);
const IOMMU_IOAS_ALLOC = command(0x81);
const IOMMU_IOAS_MAP = command(0x85);
const IOMMU_IOAS_UNMAP = command(0x86);
const IOMMU_TEST_CMD = command(0xa0);
const TEST_OP_MOCK_DOMAIN = 2;

const fd = open("/dev/iommu", O_RDWR);
if (fd < 0) fail("can't open /dev/iommu: start me with `ioasis run -- node examples/first-steps.mjs`");

const memory = mmap(null, 1024 * 1024, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);

const alloc = struct(12);
call("IOMMU_IOAS_ALLOC", IOMMU_IOAS_ALLOC, alloc);
const ioas = alloc.getUint32(8, true);
console.log(`IOAS ${ioas} is there`);

const mock = struct(72);
mock.setUint32(4, TEST_OP_MOCK_DOMAIN, true);
mock.setUint32(8, ioas, true);
call("IOMMU_TEST_CMD", IOMMU_TEST_CMD, mock);
const device = mock.getUint32(16, true);
console.log(`a mock device is attached to it, through the page table HWPT ${mock.getUint32(20, true)}`);

const iova = map({ flags: READABLE | WRITEABLE, length: 1024 * 1024 });
console.log(`1 MiB of memory is mapped, at IOVA 0x${iova.toString(16)}, which iommufd has chosen`);

// A mistake: the smallest page of the mock IOMMU is 2 KiB, and 0x1001001 is not a multiple of that.
const wrong = map({ flags: READABLE | FIXED_IOVA, length: 4096, iova: 0x1001001n });
console.log(`a mapping at an odd address: ${wrong === undefined ? "refused, and the trace says why" : "accepted?"}`);

const unmap = struct(24);
unmap.setUint32(4, ioas, true);
unmap.setBigUint64(8, iova, true);
unmap.setBigUint64(16, 1024n * 1024n, true);
call("IOMMU_IOAS_UNMAP", IOMMU_IOAS_UNMAP, unmap);
console.log(`${unmap.getBigUint64(16, true)} bytes are unmapped`);

const destroy = struct(8);
destroy.setUint32(4, device, true);
call("IOMMU_DESTROY", IOMMU_DESTROY, destroy);
console.log("the device is gone");
close(fd);

/** A struct of `size` bytes, with the size in its first field. */
function struct(size) {
	const view = new DataView(new ArrayBuffer(size));
	view.setUint32(0, size, true);
	return view;
}

/** Maps the start of our memory; returns the IOVA, undefined when iommufd refuses. */
function map({ flags, length, iova: at = 0n }) {
	const request = struct(40);
	request.setUint32(4, flags, true);
	request.setUint32(8, ioas, true);
	request.setBigUint64(16, BigInt(memory), true);
	request.setBigUint64(24, BigInt(length), true);
	request.setBigUint64(32, at, true);
	if (ioctl(fd, IOMMU_IOAS_MAP, new Uint8Array(request.buffer)) < 0) return undefined;
	return request.getBigUint64(32, true);
}

function call(name, request, view) {
	if (ioctl(fd, request, new Uint8Array(view.buffer)) < 0) fail(`${name} failed: errno ${koffi.errno()}`);
}

function fail(message) {
	console.error(message);
	process.exit(1);
}
