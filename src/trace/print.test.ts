import { describe, expect, test } from "vitest";
import { Errno } from "../uapi/errno.js";
import { hints } from "../uapi/hints.js";
import {
	GetHwInfo,
	HwptAlloc,
	IoasAlloc,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasUnmap,
	Option,
	VdeviceAlloc,
} from "../uapi/iommufd.js";
import { TestCommand, testVariants } from "../uapi/iommufd-test.js";
import { type AnyCommand, encode, ioctlNumber, type PlainCommand } from "../uapi/struct.js";
import {
	VfioCheckExtension,
	VfioDeviceFeature,
	VfioDeviceGetRegionInfo,
	VfioDeviceReset,
	VfioGroupGetDeviceFd,
} from "../uapi/vfio.js";
import type { CallEvent } from "./event.js";
import { printCall, printDma, printInterrupt, printOpen, printTransfer } from "./print.js";

/** A call on /dev/iommu that succeeded, except for what the test says. */
function line(command: AnyCommand | PlainCommand | undefined, event: Partial<CallEvent>): string {
	return printCall({
		thread: 4711,
		fd: 7,
		path: "/dev/iommu",
		number: command?.number ?? 0,
		argument: 0x7ffc0010,
		command,
		before: undefined,
		after: undefined,
		result: 0,
		...event,
	});
}

describe("iommufd", () => {
	test("a call that fails shows its inputs, the errno, and below it the reason", () => {
		const before = encode(IoasMap, { flags: 5, ioasId: 1, userVa: 0x7f10c000n, length: 4096n, iova: 0x1801n });
		const result = new Errno("EINVAL", "iova 0x1801 is not a multiple of 0x1000, the alignment of IOAS 1");
		expect(line(IoasMap, { before, result })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_MAP, {flags=FIXED_IOVA|READABLE, ioas_id=1, user_va=0x7f10c000, length=4096, iova=0x1801}) = -1 EINVAL\n" +
				"     iova 0x1801 is not a multiple of 0x1000, the alignment of IOAS 1",
		);
	});

	test("what to do about an error stands below its reason", () => {
		const result = new Errno("ENOENT", "ioas_id is 7, and there is no object 7", "no-object");
		expect(line(IoasAlloc, { before: encode(IoasAlloc, {}), result }).split("\n")).toEqual([
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_ALLOC, {flags=0}) = -1 ENOENT",
			"     ioas_id is 7, and there is no object 7",
			`     -> ${hints["no-object"].advice}`,
		]);
	});

	test("what we wrote stands after the result", () => {
		const after = encode(IoasAlloc, { outIoasId: 1 });
		expect(line(IoasAlloc, { before: encode(IoasAlloc, {}), after })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_ALLOC, {flags=0}) = 0 {out_ioas_id=1}",
		);
	});

	test("an output is shown even if the caller's struct happened to have the same value", () => {
		const bytes = encode(IoasAlloc, { outIoasId: 1 });
		expect(line(IoasAlloc, { before: bytes, after: bytes })).toContain("= 0 {out_ioas_id=1}");
	});

	test("a field for both directions is shown again only if it changed", () => {
		const call = { ioasId: 1, iova: 0n };
		const before = encode(IoasUnmap, { ...call, length: 8192n });
		expect(line(IoasUnmap, { before, after: encode(IoasUnmap, { ...call, length: 4096n }) })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_UNMAP, {ioas_id=1, iova=0x0, length=8192}) = 0 {length=4096}",
		);
		expect(line(IoasUnmap, { before, after: before })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_UNMAP, {ioas_id=1, iova=0x0, length=8192}) = 0",
		);
	});

	test("an error can come with outputs", () => {
		const before = encode(IoasIovaRanges, { ioasId: 1 });
		const after = encode(IoasIovaRanges, { ioasId: 1, numIovas: 2, outIovaAlignment: 4096n });
		const result = new Errno("EMSGSIZE", "IOAS 1 has 2 ranges, and the array has room for 0");
		expect(line(IoasIovaRanges, { before, after, result })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_IOVA_RANGES, {ioas_id=1, num_iovas=0, allowed_iovas=NULL}) = -1 EMSGSIZE {num_iovas=2, out_iova_alignment=4096}\n" +
				"     IOAS 1 has 2 ranges, and the array has room for 0",
		);
	});

	test("flags without a name are in hexadecimal after those with one", () => {
		expect(line(IoasMap, { before: encode(IoasMap, { flags: 0x80000012 }) })).toContain("{flags=WRITEABLE|0x80000010,");
	});

	test("values of an enum have their names, or are in hexadecimal", () => {
		expect(line(Option, { before: encode(Option, { optionId: 1, op: 1, objectId: 3 }) })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_OPTION, {option_id=HUGE_PAGES, op=GET, object_id=3, val64=0}) = 0",
		);
		expect(line(Option, { before: encode(Option, { optionId: 77 }) })).toContain("option_id=0x4d");
	});

	test("reserved fields are shown only when they are not zero", () => {
		expect(line(IoasMap, { before: encode(IoasMap, { reserved: 3 }) })).toContain("ioas_id=0, __reserved=0x3, user_va");
		expect(line(GetHwInfo, { before: encode(GetHwInfo, { reserved: Uint8Array.of(0, 1, 0) }) })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_GET_HW_INFO, {flags=0, dev_id=0, data_len=0, data_uptr=NULL, in_data_type=NONE, __reserved=[0x0, 0x1, 0x0]}) = 0",
		);
	});

	test("the two names of one place are shown on their own sides", () => {
		const call = { devId: 2, dataUptr: 0x7f0000001000 };
		const before = encode(GetHwInfo, { ...call, dataLen: 64 });
		const answer = { inDataType: 1, outDataType: 1, outMaxPasidLog2: 20, outCapabilities: 1n };
		expect(line(GetHwInfo, { before, after: encode(GetHwInfo, { ...call, dataLen: 24, ...answer }) })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_GET_HW_INFO, {flags=0, dev_id=2, data_len=64, data_uptr=0x7f0000001000, in_data_type=NONE}) = 0 {data_len=24, out_data_type=INTEL_VTD, out_max_pasid_log2=20, out_capabilities=DIRTY_TRACKING}",
		);
	});

	test("a shorter struct has the fields that it has, and shows its size", () => {
		const before = encode(HwptAlloc, { size: 24, devId: 1, ptId: 2 }).subarray(0, 24);
		const after = encode(HwptAlloc, { size: 24, outHwptId: 3 }).subarray(0, 24);
		expect(line(HwptAlloc, { before, after })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_HWPT_ALLOC, {size=24, flags=0, dev_id=1, pt_id=2}) = 0 {out_hwpt_id=3}",
		);
	});

	test("numbers that can't be meant as decimal are in hexadecimal", () => {
		const everything = encode(IoasUnmap, { length: 2n ** 64n - 1n });
		expect(line(IoasUnmap, { before: everything })).toContain("length=0xffffffffffffffff}");
		expect(line(IoasMapFile, { before: encode(IoasMapFile, { fd: -1 }) })).toContain("fd=-1, start=0x0, length=0,");
		expect(line(VdeviceAlloc, { before: encode(VdeviceAlloc, { virtId: 17n }) })).toContain("virt_id=0x11");
	});

	test("a struct that can't be read is shown as its address", () => {
		const result = new Errno("EFAULT", "IOMMU_DESTROY: no struct can be read at 0x7ffc0010");
		expect(line(IoasAlloc, { result })).toMatch(
			/^4711 ioctl\(7<\/dev\/iommu>, IOMMU_IOAS_ALLOC, 0x7ffc0010\) = -1 EFAULT\n/,
		);
		expect(line(IoasAlloc, { argument: 0 })).toContain("IOMMU_IOAS_ALLOC, NULL)");
	});

	test("a command that other files have is shown by its name, or by all that share its number", () => {
		expect(line(undefined, { number: VfioGroupGetDeviceFd.number })).toContain(", VFIO_GROUP_GET_DEVICE_FD, 0x");
		const shared = "VFIO_DEVICE_FEATURE or VFIO_IOMMU_DIRTY_PAGES";
		expect(line(undefined, { number: VfioDeviceFeature.number })).toContain(`, ${shared}, 0x`);
	});

	test("an unknown command is shown by its number", () => {
		const result = new Errno("ENOTTY", "there is no such command");
		expect(line(undefined, { number: ioctlNumber(0x9e), result })).toBe(
			"4711 ioctl(7</dev/iommu>, _IO(';', 0x9e), 0x7ffc0010) = -1 ENOTTY\n     there is no such command",
		);
		expect(line(undefined, { number: 0x80084502, result })).toContain("ioctl(7</dev/iommu>, 0x80084502, 0x7ffc0010)");
	});
});

describe("IOMMU_TEST_CMD", () => {
	test("shows the fields of its op", () => {
		const before = encode(testVariants.MOCK_DOMAIN, { op: 2, id: 1 });
		const after = encode(testVariants.MOCK_DOMAIN, { op: 2, id: 1, outStdevId: 2, outHwptId: 4, outIdevId: 3 });
		expect(line(TestCommand, { before, after })).toBe(
			"4711 ioctl(7</dev/iommu>, IOMMU_TEST_CMD, {op=MOCK_DOMAIN, id=1}) = 0 {out_stdev_id=2, out_hwpt_id=4, out_idev_id=3}",
		);
		const check = encode(testVariants.MD_CHECK_IOTLB, { op: 14, id: 4, iotlbId: 2, iotlb: 0 });
		expect(line(TestCommand, { before: check })).toContain("{op=MD_CHECK_IOTLB, id=4, check_iotlb.id=2, iotlb=0}");
	});

	test("shows what all ops have when it doesn't know the op", () => {
		expect(line(TestCommand, { before: encode(TestCommand, { op: 99, id: 1 }) })).toContain("{op=0x63, id=1})");
	});
});

describe("VFIO", () => {
	test("a call with a number shows its name", () => {
		expect(line(VfioCheckExtension, { argument: 3, result: 1 })).toBe(
			"4711 ioctl(7</dev/iommu>, VFIO_CHECK_EXTENSION, TYPE1v2_IOMMU) = 1",
		);
		expect(line(VfioCheckExtension, { argument: 99 })).toContain("VFIO_CHECK_EXTENSION, 0x63)");
	});

	test("a call without an argument shows none", () => {
		expect(line(VfioDeviceReset, {})).toBe("4711 ioctl(7</dev/iommu>, VFIO_DEVICE_RESET) = 0");
	});

	test("a pointer to something simple is an address", () => {
		expect(line(VfioGroupGetDeviceFd, {})).toContain("VFIO_GROUP_GET_DEVICE_FD, 0x7ffc0010)");
	});

	test("argsz is shown when it isn't the struct's size, and when we changed it", () => {
		const before = encode(VfioDeviceGetRegionInfo, { argsz: 64, index: 0 });
		const answer = { index: 0, flags: 7, size: 0x4000n };
		expect(
			line(VfioDeviceGetRegionInfo, { before, after: encode(VfioDeviceGetRegionInfo, { argsz: 72, ...answer }) }),
		).toBe(
			"4711 ioctl(7</dev/iommu>, VFIO_DEVICE_GET_REGION_INFO, {argsz=64, index=BAR0}) = 0 {argsz=72, flags=READ|WRITE|MMAP, cap_offset=0, size=16384, offset=0x0}",
		);
	});

	test("a feature and its flags are shown apart", () => {
		const before = encode(VfioDeviceFeature, { feature: 10, flags: 2 });
		expect(line(VfioDeviceFeature, { before })).toContain("{feature=BUS_MASTER, flags=SET}");
	});
});

test("an open is a line like strace's, with the fd or the reason", () => {
	const opened = { thread: 4711, path: "/dev/iommu", flags: 0o2000002 };
	expect(printOpen({ ...opened, result: 7 })).toBe('4711 open("/dev/iommu", O_RDWR|O_CLOEXEC) = 7');
	expect(printOpen({ ...opened, flags: 0, result: new Errno("EMFILE", "no more fds") })).toBe(
		'4711 open("/dev/iommu", O_RDONLY) = -1 EMFILE\n     no more fds',
	);
});

test("a read, a write or a mapping is a line like strace's", () => {
	const read = { thread: 4711, call: "read", fd: 768, path: "queue", arguments: [0x7f10c000, 40] };
	expect(printTransfer({ ...read, result: 40 })).toBe("4711 read(768<queue>, 0x7f10c000, 0x28) = 40");
	expect(printTransfer({ ...read, result: new Errno("ESPIPE", "40 bytes are too odd") })).toBe(
		"4711 read(768<queue>, 0x7f10c000, 0x28) = -1 ESPIPE\n     40 bytes are too odd",
	);
	expect(printTransfer({ ...read, call: "mmap", result: undefined })).toMatch(/ = \?$/);
});

test("an access of a register is a line with its place and its value", () => {
	const call = { thread: 4711, fd: 9, path: "/dev/vfio/devices/vfio0", arguments: [0x7f10c000, 4, 8] };
	const access = { place: "BAR0+0x8", length: 4, isWrite: false, bytes: Uint8Array.of(0x18, 0, 0, 0xab) };
	const read = { ...call, call: "pread64", access };
	const file = "9</dev/vfio/devices/vfio0>";
	expect(printTransfer({ ...read, result: 4 })).toBe(`4711 pread64(${file}, BAR0+0x8, 4) = 4 {0xab000018}`);
	expect(printTransfer({ ...read, result: new Errno("EIO", "it is off") })).toMatch(/, 4\) = -1 EIO\n {5}it is off$/);
	const write = { ...call, call: "pwrite64", access: { ...access, isWrite: true } };
	expect(printTransfer({ ...write, result: 4 })).toBe(`4711 pwrite64(${file}, BAR0+0x8, 4, 0xab000018) = 4`);
	const large = { ...access, length: 64, bytes: undefined };
	expect(printTransfer({ ...read, access: large, result: 64 })).toMatch(/, BAR0\+0x8, 64\) = 64$/);
});

test("what a device does is a line without a thread", () => {
	const device = "0000:00:02.0";
	const event = { kind: "fault", device, pasid: 0, iova: 0n, message: `${device} can't read iova 0x0` } as const;
	expect(printDma(event)).toBe("dma fault: 0000:00:02.0 can't read iova 0x0");
	expect(printInterrupt({ device, message: "MSI vector 0 signals its eventfd" })).toBe(
		"interrupt: 0000:00:02.0: MSI vector 0 signals its eventfd",
	);
});

test("what a program has named stands in the reason of an error, and no terminal obeys it", () => {
	const result = new Errno("EINVAL", "0x1000 of memfd:\x1b[2J\n4711 open lies beyond its size");
	const reason = "\n     0x1000 of memfd:\\x1b[2J\\n4711 open lies beyond its size";
	expect(line(IoasMapFile, { result }).endsWith(reason)).toBe(true);
	expect(printOpen({ thread: 1, path: "/dev/\x9b", flags: 0, result }).endsWith(reason)).toBe(true);
	expect(printOpen({ thread: 1, path: "/dev/\x9b", flags: 0, result: 3 })).toBe('1 open("/dev/\\x9b", O_RDONLY) = 3');
	const event = { thread: 1, call: "read", fd: 3, path: "queue\n", arguments: [], result };
	expect(printTransfer(event)).toBe(`1 read(3<queue\\n>) = -1 EINVAL${reason}`);
	expect(printDma({ kind: "fault", device: "x", pasid: 0, iova: 0n, message: "\x07" })).toBe("dma fault: \\x07");
	expect(printInterrupt({ device: "x", message: "\x07" })).toBe("interrupt: x: \\x07");
});
