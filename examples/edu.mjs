// A driver in user space, as small as it gets, for QEMU's educational device; it knows nothing of Ioasis:
//
//   ioasis run --machine intel --trace -- node examples/edu.mjs
//   ioasis run --machine intel --trace -- node examples/edu.mjs too-early    # with a mistake: a page is unmapped that the device still needs
//
// It finds the device in /sys, binds it to an iommufd, maps a page for its DMA, has it copy the page's first half to the second
// through the memory that the device has itself, and cleans up. The same in C, Rust, Go and Python is in examples/edu.

import { closeSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *path, int flags)");
const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mmap = libc.func("uintptr_t mmap(void *hint, size_t length, int protection, int flags, int fd, long offset)");
const memcpy = libc.func("void *memcpy(uintptr_t to, const void *from, size_t length)");

// include/uapi/linux/iommufd.h and vfio.h
const command = (number) => (0x3b << 8) | number;
const IOMMU_DESTROY = command(0x80);
const IOMMU_IOAS_ALLOC = command(0x81);
const IOMMU_IOAS_MAP = command(0x85);
const IOMMU_IOAS_UNMAP = command(0x86);
const VFIO_DEVICE_BIND_IOMMUFD = command(118);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = command(119);
const VFIO_DEVICE_DETACH_IOMMUFD_PT = command(120);
const MAP_FLAGS = { fixedIova: 1, writeable: 2, readable: 4 };
/** Where a region is in the device's file. */
const region = (index) => index * 2 ** 40;
const BAR0 = region(0);
const CONFIG = region(7);

// docs/specs/edu.rst of QEMU
const COMMAND_REGISTER = 4;
const BUS_MASTER = 4;
const [SOURCE, DESTINATION, COUNT, DMA_COMMAND] = [0x80, 0x88, 0x90, 0x98];
const [START, TO_MEMORY] = [1n, 2n];
const OWN_MEMORY = 0x40000n;

const O_RDWR = 2;
const PAGE = 4096;
const HALF = 2048;
const IOVA = 0x100000n;

const { address, name } = findDevice();
console.log(`${address} is ${name}`);
const iommu = open("/dev/iommu", O_RDWR);
const device = open(`/dev/vfio/devices/${name}`, O_RDWR);
if (iommu < 0 || device < 0) fail(`/dev/iommu and ${name} can't be opened`);
const page = mmap(null, PAGE, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
const text = Buffer.from("through the IOMMU and back");
memcpy(page, text, text.length);

call("VFIO_DEVICE_BIND_IOMMUFD", device, VFIO_DEVICE_BIND_IOMMUFD, struct(24, { 8: iommu }));
const alloc = call("IOMMU_IOAS_ALLOC", iommu, IOMMU_IOAS_ALLOC, struct(12));
const ioas = alloc.getUint32(8, true);
const map = struct(40, { 4: MAP_FLAGS.fixedIova | MAP_FLAGS.writeable | MAP_FLAGS.readable, 8: ioas });
map.setBigUint64(16, BigInt(page), true);
map.setBigUint64(24, BigInt(PAGE), true);
map.setBigUint64(32, IOVA, true);
call("IOMMU_IOAS_MAP", iommu, IOMMU_IOAS_MAP, map);
call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, struct(12, { 8: ioas }));

// Without this bit a function does no DMA: leave the line out, and the trace says so.
write(CONFIG + COMMAND_REGISTER, 2, read(CONFIG + COMMAND_REGISTER, 2) | BigInt(BUS_MASTER));
copy(IOVA, OWN_MEMORY, START);
const isTooEarly = process.argv[2] === "too-early";
if (isTooEarly) unmap();
copy(OWN_MEMORY, IOVA + BigInt(HALF), START | TO_MEMORY);
console.log(`in the second half of the page: ${koffi.decode(page + HALF, "char", text.length)}`);

call("VFIO_DEVICE_DETACH_IOMMUFD_PT", device, VFIO_DEVICE_DETACH_IOMMUFD_PT, struct(8));
if (!isTooEarly) unmap();
call("IOMMU_DESTROY", iommu, IOMMU_DESTROY, struct(8, { 4: ioas }));
closeSync(device);
closeSync(iommu);

/** The first educational device that there is, and the name of its file. */
function findDevice() {
	const functions = "/sys/bus/pci/devices";
	const has = (address, attribute, value) =>
		readFileSync(`${functions}/${address}/${attribute}`, "utf8").trim() === value;
	for (const address of readdirSync(functions))
		if (has(address, "vendor", "0x1234") && has(address, "device", "0x11e8"))
			return { address, name: readdirSync(`${functions}/${address}/vfio-dev`)[0] };
	return fail("no device: start me with `ioasis run --machine intel -- node examples/edu.mjs`");
}

function unmap() {
	const range = struct(24, { 4: ioas });
	range.setBigUint64(8, IOVA, true);
	range.setBigUint64(16, BigInt(PAGE), true);
	call("IOMMU_IOAS_UNMAP", iommu, IOMMU_IOAS_UNMAP, range);
}

/** Has the device copy half a page. It is over when the command is written. */
function copy(source, destination, how) {
	write(BAR0 + SOURCE, 8, source);
	write(BAR0 + DESTINATION, 8, destination);
	write(BAR0 + COUNT, 8, BigInt(HALF));
	write(BAR0 + DMA_COMMAND, 8, how);
}

function read(position, size) {
	const bytes = Buffer.alloc(8);
	if (readSync(device, bytes, 0, size, position) !== size) fail(`nothing to read at 0x${position.toString(16)}`);
	return bytes.readBigUInt64LE();
}

function write(position, size, value) {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64LE(value);
	writeSync(device, bytes, 0, size, position);
}

/** A struct of `size` bytes, with the size in its first field and others by their offset. */
function struct(size, fields = {}) {
	const view = new DataView(new ArrayBuffer(size));
	view.setUint32(0, size, true);
	for (const [offset, value] of Object.entries(fields)) view.setUint32(Number(offset), value, true);
	return view;
}

function call(name, fd, request, view) {
	if (ioctl(fd, request, new Uint8Array(view.buffer)) < 0) fail(`${name} failed: errno ${koffi.errno()}`);
	return view;
}

function fail(message) {
	console.error(message);
	process.exit(1);
}
