// Opens /dev/iommu, makes and destroys objects, closes it, and so on for some seconds: flood.mjs SECONDS. Ends with 1 at the first
// call that isn't answered as it should be.

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const close = libc.func("int close(int fd)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");

const IOMMU_DESTROY = 0x3b80;
const IOMMU_IOAS_ALLOC = 0x3b81;

const allocate = Uint32Array.of(12, 0, 0);
const destroy = Uint32Array.of(8, 0);
for (const end = Date.now() + Number(process.argv[2]) * 1000; Date.now() < end; ) {
	const fd = open("/dev/iommu", 2);
	if (fd <= 2) fail(`open gave ${fd}`);
	for (let expected = 1; expected <= 10; expected++) {
		if (ioctl(fd, IOMMU_IOAS_ALLOC, allocate) !== 0) fail("IOAS_ALLOC");
		if (allocate[2] !== expected) fail(`the ID is ${allocate[2]}, not ${expected}`);
		destroy[1] = expected;
		if (expected % 2 === 0 && ioctl(fd, IOMMU_DESTROY, destroy) !== 0) fail("DESTROY");
		if (expected % 2 === 0 && ioctl(fd, IOMMU_IOAS_ALLOC, allocate) !== 0) fail("IOAS_ALLOC after DESTROY");
	}
	close(fd);
}

function fail(what) {
	console.error(what);
	process.exit(1);
}
