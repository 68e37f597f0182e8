import { expect, test } from "vitest";
import { allOnes, type Endpoint } from "../devices/endpoint.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";
import { placeAt } from "./region-access.js";
import { LocalRegisters } from "./registers.js";

const REGION = 2 ** 40;
const CONFIG = 7 * REGION;

/** Registers that remember nothing, and tell what they were asked. */
class Registers implements Endpoint {
	readonly seen: string[] = [];

	readRegister(bar: number, offset: number, size: number): bigint {
		this.seen.push(`read ${size} at ${bar}:${offset}`);
		return 0x8877_6655_4433_2211n & allOnes(size);
	}

	writeRegister(bar: number, offset: number, size: number, value: bigint): void {
		this.seen.push(`write ${size} at ${bar}:${offset}: ${value.toString(16)}`);
	}

	reset(): void {
		this.seen.push("reset");
	}
}

function setUp(...has: Parameters<TestBus["add"]>) {
	const device = new TestBus().add(...has);
	const registers = new Registers();
	device.registers = new LocalRegisters(device.barsOf(registers));
	const program = new TestProgram();
	const file = program.open(device);
	program.bind(file);
	registers.seen.length = 0;
	const { memory } = program.client;
	const read = (position: number, length: number, address = BUFFER) => file.readAt(memory, address, length, position);
	const write = (position: number, length: number, address = BUFFER) => file.writeAt(memory, address, length, position);
	const buffer = (length: number) => [...program.client.backing.bytes.subarray(0, length)];
	return { device, registers, program, file, memory, read, write, buffer };
}

test("an access is split into aligned ones of 8, 4, 2 and 1 bytes", () => {
	const { registers, read, buffer } = setUp();
	expect(read(1, 18)).toBe(18);
	expect(registers.seen).toEqual([
		"read 1 at 0:1",
		"read 2 at 0:2",
		"read 4 at 0:4",
		"read 8 at 0:8",
		"read 2 at 0:16",
		"read 1 at 0:18",
	]);
	expect(buffer(7)).toEqual([0x11, 0x11, 0x22, 0x11, 0x22, 0x33, 0x44]);
});

test("what is written is little-endian", () => {
	const { program, registers, write } = setUp();
	program.client.memory.write(BUFFER, Uint8Array.of(1, 2, 3, 4));
	expect(write(0x20, 4)).toBe(4);
	expect(registers.seen).toEqual(["write 4 at 0:32: 4030201"]);
});

test("an access ends where its BAR does, and one beyond it is refused", () => {
	const { read } = setUp();
	expect(read(2 ** 20 - 4, 16)).toBe(4);
	const codes = [2 ** 20, REGION, 6 * REGION, 8 * REGION, 9 * REGION].map((position) =>
		codeOf(() => read(position, 4)),
	);
	expect(codes).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
	expect(read(9 * REGION, 0)).toBe(0);
});

test("registers answer nothing while memory is disabled, and where there is no model they read as ones", () => {
	const { device, memory, registers, read, write, buffer } = setUp();
	memory.write(BUFFER, new Uint8Array(2));
	write(CONFIG + 4, 2);
	expect([codeOf(() => read(0, 4)), codeOf(() => write(0, 4)), registers.seen]).toEqual(["EIO", "EIO", []]);
	memory.write(BUFFER, Uint8Array.of(2, 0));
	write(CONFIG + 4, 2);
	device.registers = new LocalRegisters(device.barsOf(undefined));
	expect([read(0, 3), buffer(3)]).toEqual([3, [0xff, 0xff, 0xff]]);
});

test("the MSI-X table reads as ones and can't be written, but what is around it can", () => {
	const msix = { vectors: 1, bar: 0, tableOffset: 0x1000, pendingOffset: 0x2000 };
	const { registers, read, write, buffer } = setUp({ msix });
	expect(read(0xffc, 24)).toBe(24);
	expect(registers.seen).toEqual(["read 4 at 0:4092", "read 4 at 0:4112"]);
	expect(buffer(24).slice(4, 20)).toEqual(new Array(16).fill(0xff));
	expect([write(0x1000, 16), registers.seen.length]).toEqual([16, 2]);
});

test("memory that can't be reached is EFAULT", () => {
	const { registers, read, write } = setUp();
	expect([codeOf(() => read(0, 4, 0x123)), codeOf(() => write(0, 4, 0x123))]).toEqual(["EFAULT", "EFAULT"]);
	expect(registers.seen).toEqual(["read 4 at 0:0"]);
});

test("a device that isn't bound can't be read, nor mapped", () => {
	const device = new TestBus().add();
	const program = new TestProgram();
	const file = program.open(device);
	const { memory } = program.client;
	const read = () => codeOf(() => file.readAt(memory, BUFFER, 2, CONFIG));
	expect([read(), codeOf(() => file.writeAt(memory, BUFFER, 0, 0))]).toEqual(["EINVAL", "EINVAL"]);
	expect(codeOf(() => file.mmap(0, 4096))).toBe("EINVAL");
	program.bind(file);
	expect(read()).toBe("ok");
	file.release();
	expect(read()).toBe("EINVAL");
});

test("RESET and closing reset the function; closing also undoes what was written to its configuration space", () => {
	const { device, program, file, memory, registers, read, write, buffer } = setUp();
	memory.write(BUFFER, Uint8Array.of(4, 0));
	write(CONFIG + 4, 2);
	device.reset();
	read(CONFIG + 4, 2);
	expect([registers.seen, buffer(2)]).toEqual([["reset"], [4, 0]]);
	file.release();
	expect([registers.seen, device.config.u16(4)]).toEqual([["reset", "reset"], 2]);
	const again = program.open(device);
	program.bind(again);
	again.readAt(memory, BUFFER, 2, CONFIG + 4);
	expect(buffer(2)).toEqual([2, 0]);
});

test("the trace gets a region's name and an offset", () => {
	expect([8, 5 * REGION + 0x40, CONFIG, 9 * REGION].map(placeAt)).toEqual([
		"BAR0+0x8",
		"BAR5+0x40",
		"CONFIG+0x0",
		"region 9+0x0",
	]);
});
