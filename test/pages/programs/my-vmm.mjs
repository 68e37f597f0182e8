#!/usr/bin/env node
// What the pages call ./my-vmm, ./my-vmm-tests and ./my-test-suite: it maps a page and unmaps it, on any machine.

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");

const [IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_IOAS_UNMAP] = [0x3b81, 0x3b85, 0x3b86];
const MAP_FLAGS = { fixedIova: 1, writeable: 2, readable: 4 };
const PAGE = 4096n;
const IOVA = 0x100000000n;

const iommu = open("/dev/iommu", 2 /* O_RDWR */);
const memory = mmap(null, Number(PAGE), 3, 0x22 /* private, anonymous */, -1, 0);

const alloc = struct(12);
call(IOMMU_IOAS_ALLOC, alloc);
const ioas = alloc.getUint32(8, true);

const map = struct(40);
map.setUint32(4, MAP_FLAGS.fixedIova | MAP_FLAGS.writeable | MAP_FLAGS.readable, true);
map.setUint32(8, ioas, true);
for (const [at, value] of [
	[16, BigInt(memory)],
	[24, PAGE],
	[32, IOVA],
])
	map.setBigUint64(at, value, true);
call(IOMMU_IOAS_MAP, map);

const unmap = struct(24);
unmap.setUint32(4, ioas, true);
unmap.setBigUint64(8, IOVA, true);
unmap.setBigUint64(16, PAGE, true);
call(IOMMU_IOAS_UNMAP, unmap);

function struct(size) {
	const bytes = new DataView(new ArrayBuffer(size));
	bytes.setUint32(0, size, true);
	return bytes;
}

function call(request, bytes) {
	if (iommu >= 0 && ioctl(iommu, request, bytes.buffer) === 0) return;
	console.error(`my-vmm: errno ${koffi.errno()}`);
	process.exit(1);
}
