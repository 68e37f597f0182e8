import { expect, test } from "vitest";
import { TestEventFd } from "../files/event-fd.testing.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { VfioDeviceIoeventfd } from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";
import { LocalRegisters } from "./registers.js";

const MEMORY = 2;
const REGION = 2n ** 40n;
const CONFIG = 7 * 2 ** 40;
const MSIX_4 = { vectors: 4, bar: 0, tableOffset: 0x1000, pendingOffset: 0x2000 };

function setUp() {
	const device = new TestBus().add({ msix: MSIX_4 });
	const written: unknown[] = [];
	device.registers = new LocalRegisters(
		device.barsOf({
			readRegister: () => 0n,
			writeRegister: (bar, offset, size, value) => written.push([bar, offset, size, value]),
			reset: () => {},
		}),
	);
	const program = new TestProgram();
	const file = program.open(device);
	program.bind(file);
	const eventFds = [new TestEventFd(), new TestEventFd()];
	for (const [i, { file }] of eventFds.entries()) program.client.files.set(10 + i, file);
	program.client.files.set(20, { kind: "other" });
	const ask = (flags: number, offset: bigint, data: bigint, fd: number) =>
		codeOf(() => program.call(file, VfioDeviceIoeventfd, { flags, offset, data, fd }));
	const command = (value: number) => {
		program.client.memory.write(BUFFER, Uint8Array.of(value, 0));
		file.writeAt(program.client.memory, BUFFER, 2, CONFIG + 4);
	};
	command(MEMORY);
	return { device, file, eventFds, ask, command, written };
}

test("whoever signals the eventfd has the write made, as long as it stands", () => {
	const { eventFds, ask, written } = setUp();
	expect(ask(4, 0x80n, 0x1122_3344_5566_7788n, 10)).toBe("ok");
	expect(ask(8, 0x88n, 0x1122_3344_5566_7788n, 11)).toBe("ok");
	eventFds[0].signal();
	eventFds[1].signal();
	eventFds[0].signal();
	const low = [0, 0x80, 4, 0x5566_7788n];
	expect(written).toEqual([low, [0, 0x88, 8, 0x1122_3344_5566_7788n], low]);
	expect(ask(4, 0x80n, 0x1122_3344_5566_7788n, -1)).toBe("ok");
	eventFds[0].signal();
	expect([written.length, eventFds[0].holds, eventFds[1].holds]).toEqual([3, 0, 1]);
});

test("nothing is written while memory decoding is off", () => {
	const { eventFds, ask, command, written } = setUp();
	ask(1, 3n, 0xabn, 10);
	command(0);
	eventFds[0].signal();
	command(MEMORY);
	expect(written).toEqual([]);
	eventFds[0].signal();
	expect(written).toEqual([[0, 3, 1, 0xabn]]);
});

test("a write has one eventfd, and another value, size or place is another write", () => {
	const { ask } = setUp();
	expect(ask(2, 0x80n, 1n, 10)).toBe("ok");
	expect([ask(2, 0x80n, 1n, 11), ask(2, 0x80n, 2n, 11), ask(4, 0x80n, 1n, 11), ask(2, 0x82n, 1n, 11)]).toEqual([
		"EEXIST",
		"ok",
		"ok",
		"ok",
	]);
	expect([ask(2, 0x80n, 3n, -1), ask(2, 0x80n, 1n, -1), ask(2, 0x80n, 1n, -1)]).toEqual(["ENODEV", "ok", "ENODEV"]);
});

test("what can't be is refused: sizes, regions that are no BAR, the MSI-X table, what is no eventfd", () => {
	const { ask } = setUp();
	for (const flags of [0, 3, 16, 0x104]) expect(ask(flags, 0x80n, 1n, 10)).toBe("EINVAL");
	expect([ask(4, 0x80n, 1n, -2), ask(4, 0x80n, 1n, 12), ask(4, 0x80n, 1n, 20)]).toEqual(["EINVAL", "EBADF", "EINVAL"]);
	for (const offset of [7n * REGION, REGION, (1n << 20n) - 2n, 1n << 20n, 9n * REGION, (1n << 64n) - 8n])
		expect(ask(4, offset, 1n, 10)).toBe("EINVAL");
	for (const offset of [0xffdn, 0x1000n, 0x103fn]) expect(ask(4, offset, 1n, 10)).toBe("EINVAL");
	expect([ask(4, 0xffcn, 1n, 10), ask(4, 0x1040n, 1n, 10)]).toEqual(["ok", "ok"]);
});

test("a device has 1000 of them at most, and none when it is closed", () => {
	const { ask, eventFds, file } = setUp();
	for (let i = 0; i < 1000; i++) expect(ask(4, 0x80n, BigInt(i), 10)).toBe("ok");
	expect(ask(4, 0x80n, 1000n, 10)).toBe("ENOSPC");
	file.release();
	expect(eventFds[0].holds).toBe(0);
});
