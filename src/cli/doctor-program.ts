// The program that `ioasis doctor` runs under `ioasis run`: it does what programs do there, once each. It prints a line of JSON for each
// step, and goes on after one that fails, as far as it can.
//
// include/uapi/linux/iommufd.h and vfio.h; the device is QEMU's educational one: docs/specs/edu.rst of QEMU.

import { readFileSync } from "node:fs";
import {
	close,
	errno,
	errorName,
	eventfd,
	ioctl,
	mmap,
	NativeMemory,
	open,
	poll,
	pread,
	pwrite,
	viewOf,
} from "../host/linux/libc.js";
import { say } from "../host/say.js";
import type { Step } from "./doctor-steps.js";

const PAGE = 4096;
const O_RDWR = 2;
const [PROT_READ, PROT_WRITE, MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS] = [1, 2, 1, 2, 0x20];
const command = (number: number) => (0x3b << 8) | number;
const IOMMU_IOAS_ALLOC = command(0x81);
const IOMMU_IOAS_MAP = command(0x85);
const VFIO_DEVICE_GET_REGION_INFO = command(108);
const VFIO_DEVICE_SET_IRQS = command(110);
const VFIO_DEVICE_BIND_IOMMUFD = command(118);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT = command(119);
const MAP_READABLE_WRITEABLE = 6;
const REGION_FLAG_MMAP = 4;
const EVENTFD_TRIGGER = 0x24;
const MSI = 1;
const POLLIN = 1;
/** Milliseconds that an interrupt may take; it is there when the register's write returns, or never. */
const PATIENCE = 2000;

/** Where a region is in the device's file. */
const CONFIG = 7 * 2 ** 40;
const COMMAND_REGISTER = CONFIG + 4;
const MEMORY_AND_BUS_MASTER = 6;
const IDENTITY = 0;
const IDENTITY_OF_EDU = 0x010000ed;
const RAISE_INTERRUPT = 0x60;

const iommu = named("/dev/iommu");
const device = named("/dev/vfio/devices/vfio0");

step("paths", () => {
	const vendor = readFileSync("/sys/bus/pci/devices/0000:00:02.0/vendor", "utf8").trim();
	if (vendor !== "0x1234") throw new Error(`the machine's PCI function has the vendor ${vendor}, and not 0x1234`);
});

const ioas = step("calls", () => {
	const alloc = words(12, 0);
	call("IOMMU_IOAS_ALLOC", iommu, IOMMU_IOAS_ALLOC, alloc);
	if (alloc.words[2] === 0) throw new Error("the answer to IOMMU_IOAS_ALLOC didn't reach the program's memory");
	return alloc.words[2];
});

step("memory", () => {
	const page = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const map = words(40, MAP_READABLE_WRITEABLE, ioas ?? 0, 0);
	map.setU64(4, page);
	map.setU64(6, PAGE);
	call("IOMMU_IOAS_MAP", iommu, IOMMU_IOAS_MAP, map);
});

const isBound = step("device", () => {
	call("VFIO_DEVICE_BIND_IOMMUFD", device, VFIO_DEVICE_BIND_IOMMUFD, words(24, 0, iommu));
	call("VFIO_DEVICE_ATTACH_IOMMUFD_PT", device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, words(12, 0, ioas ?? 0));
	write(COMMAND_REGISTER, 2, MEMORY_AND_BUS_MASTER);
	if (read(IDENTITY) !== IDENTITY_OF_EDU) throw new Error("a register doesn't read as what the device has there");
	return true;
});

if (isBound) {
	step("eventfd", () => {
		const event = eventfd(0, 0);
		call("VFIO_DEVICE_SET_IRQS", device, VFIO_DEVICE_SET_IRQS, words(24, EVENTFD_TRIGGER, MSI, 0, 1, event));
		write(RAISE_INTERRUPT, 4, 1);
		const polled = new NativeMemory(8);
		polled.words.set([event, POLLIN]);
		if (poll(polled.address, 1, PATIENCE) !== 1)
			throw new Error("the device interrupts, and its eventfd isn't signalled");
		close(event);
	});

	step("registers", () => {
		const region = words(32, 0, 0);
		call("VFIO_DEVICE_GET_REGION_INFO", device, VFIO_DEVICE_GET_REGION_INFO, region);
		if ((region.words[1] & REGION_FLAG_MMAP) === 0)
			return "not here: its region has no flag MMAP, so pread and pwrite serve";
		const at = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
		if (at === -1) throw new Error(`mmap of a BAR: ${errorName(errno())}`);
		const [found] = new Uint32Array(viewOf(at, PAGE));
		if (found !== IDENTITY_OF_EDU) throw new Error(`a mapped register reads as 0x${found.toString(16)}`);
		return "";
	});
}

/** Does it, and tells how that went. @returns what it returns; undefined when it failed */
function step<T>(name: Step, action: () => T): T | undefined {
	try {
		const result = action();
		say(JSON.stringify({ step: name, ...(typeof result === "string" && { found: result }) }));
		return result;
	} catch (error) {
		say(JSON.stringify({ step: name, problem: (error as Error).message }));
		return undefined;
	}
}

function named(path: string): number {
	return open(new NativeMemory(64).setString(path), O_RDWR);
}

/** A struct that begins with its size. */
function words(size: number, ...values: number[]): NativeMemory {
	const memory = new NativeMemory(size);
	memory.words.set([size, ...values]);
	return memory;
}

function call(name: string, fd: number, number: number, argument: NativeMemory): void {
	if (ioctl(fd, number, argument.address) === -1) throw new Error(`${name}: ${errorName(errno())}`);
}

function read(position: number): number {
	const memory = new NativeMemory(4);
	if (pread(device, memory.address, 4, position) !== 4) throw new Error(`pread of a register: ${errorName(errno())}`);
	return memory.words[0];
}

function write(position: number, size: number, value: number): void {
	const memory = new NativeMemory(4);
	memory.words[0] = value;
	if (pwrite(device, memory.address, size, position) !== size)
		throw new Error(`pwrite of a register: ${errorName(errno())}`);
}
