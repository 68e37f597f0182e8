// Which regions can be mapped, how a program is told, and what mmap(2) of them checks.

import { describe, expect, test } from "vitest";
import { codeOf } from "../uapi/errno.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceGetRegionInfo, VfioInfoCapHeader, VfioRegionInfoFlags } from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import type { Bar } from "./pci-config.js";
import { TestProgram } from "./program.testing.js";
import { LocalRegisters } from "./registers.js";

const REGION = 2 ** 40;
const PAGE = 4096;
const ARGUMENT = 0x1000_0000;
const { READ, WRITE, MMAP, CAPS } = VfioRegionInfoFlags;

/** Registers somewhere else, where programs can map them. */
class Elsewhere extends LocalRegisters {
	override readonly canBeMapped: boolean = true;

	override map(bar: number) {
		return { name: `BAR ${bar}` } as never;
	}
}

const memory = (index: number, size: number, address = 0xfe00_0000n): Bar => ({
	index,
	size,
	space: "memory32",
	prefetchable: false,
	address,
});

function setUp(has: Parameters<TestBus["add"]>[0] = {}) {
	const device = new TestBus().add(has);
	device.registers = new Elsewhere(device.barsOf(undefined));
	const program = new TestProgram();
	const file = program.open(device);
	program.bind(file);
	const map = (position: number, length: number) => codeOf(() => file.mmap(position, length));
	const flagsOf = (index: number) => program.call(file, VfioDeviceGetRegionInfo, { index }).flags;
	return { device, program, file, map, flagsOf };
}

test("a BAR can be mapped as a whole and in part, and not beyond its end", () => {
	const { map, flagsOf } = setUp({ bars: [memory(0, 4 * PAGE)] });
	expect(flagsOf(0)).toBe(READ | WRITE | MMAP);
	expect([map(0, 4 * PAGE), map(3 * PAGE, PAGE), map(PAGE, 2 * PAGE)]).toEqual(["ok", "ok", "ok"]);
	expect([map(0, 5 * PAGE), map(4 * PAGE, PAGE), map(3 * PAGE, 2 * PAGE)]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
});

test("what is no BAR of memory can't be mapped", () => {
	const { map, flagsOf } = setUp({ bars: [{ ...memory(0, PAGE), space: "io" }] });
	expect([flagsOf(0), flagsOf(1), flagsOf(7)]).toEqual([READ | WRITE, 0, READ | WRITE]);
	const regions = [0, 1, 6, 7, 8, 9, 4095];
	expect(regions.map((index) => map(index * REGION, PAGE))).toEqual(regions.map(() => "EINVAL"));
});

test("a BAR that is less than a page can be mapped when nothing else is in its page", () => {
	const { map, flagsOf } = setUp({ bars: [memory(0, 256), memory(1, 256, 0xfe00_1100n)] });
	expect([flagsOf(0), map(0, PAGE)]).toEqual([READ | WRITE | MMAP, "ok"]);
	expect([flagsOf(1), map(REGION, PAGE)]).toEqual([READ | WRITE, "EINVAL"]);
});

test("registers that are recorded can't be mapped, and a program is told so", () => {
	const { device, map, flagsOf } = setUp();
	device.registers = new LocalRegisters(device.barsOf(undefined));
	expect([flagsOf(0), map(0, PAGE)]).toEqual([READ | WRITE, "EINVAL"]);
});

describe("of the BAR with the MSI-X table a program is told that it can be mapped as a whole", () => {
	const msix = { vectors: 4, bar: 0, tableOffset: PAGE, pendingOffset: 2 * PAGE };
	const ask = (argsz: number) => {
		const { program, file } = setUp({ msix });
		const view = VfioDeviceGetRegionInfo.newView();
		view.bytes.set(encode(VfioDeviceGetRegionInfo, { argsz, index: 0 }));
		const { memory } = program.client;
		memory.write(ARGUMENT, view.bytes);
		file.ioctl(program.caller, VfioDeviceGetRegionInfo.number, ARGUMENT);
		memory.read(ARGUMENT, view.bytes);
		const capability = VfioInfoCapHeader.newView();
		memory.read(ARGUMENT + VfioDeviceGetRegionInfo.size, capability.bytes);
		return { flags: view.flags, argsz: view.argsz, capOffset: view.capOffset, capability };
	};

	test("by a capability, where there is room for it", () => {
		const { flags, capOffset, argsz, capability } = ask(40);
		expect([flags, capOffset, argsz]).toEqual([READ | WRITE | MMAP | CAPS, 32, 40]);
		expect([capability.id, capability.version, capability.next]).toEqual([3, 1, 0]);
	});

	test("or how much room that takes", () => {
		const { flags, capOffset, argsz, capability } = ask(32);
		expect([flags, capOffset, argsz]).toEqual([READ | WRITE | MMAP | CAPS, 0, 40]);
		expect(capability.id).toBe(0);
	});
});
