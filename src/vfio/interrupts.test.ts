import { expect, test } from "vitest";
import { TestEventFd } from "../files/event-fd.testing.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceGetIrqInfo, VfioDeviceSetIrqs, VfioIrqSetFlags, VfioPciIrq } from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";

const { DATA_NONE, DATA_BOOL, DATA_EVENTFD, ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER } = VfioIrqSetFlags;
const { INTX, MSI, MSIX, ERR, REQ } = VfioPciIrq;
const MSIX_4 = { vectors: 4, bar: 0, tableOffset: 0, pendingOffset: 2048 };
const MEMORY_AND_MASTER = 6;
const CONFIG = 7 * 2 ** 40;

function setUp(...[has, sriov]: Parameters<TestBus["add"]>) {
	const device = new TestBus().add({ msiVectors: 4, msix: MSIX_4, ...has }, sriov);
	const program = new TestProgram();
	const file = program.open(device);
	program.bind(file);
	const eventFds = Array.from({ length: 5 }, () => new TestEventFd());
	// Their numbers are 10, 11 and so on.
	for (const [i, { file }] of eventFds.entries()) program.client.files.set(10 + i, file);
	program.client.files.set(20, { kind: "other" });
	const { memory } = program.client;
	/** @param data bools or fds */
	const set = (index: number, flags: number, start: number, count: number, data: number[] = []) => {
		const bytes = flags & DATA_EVENTFD ? new Uint8Array(Int32Array.from(data).buffer) : Uint8Array.from(data);
		const { size } = VfioDeviceSetIrqs;
		memory.write(BUFFER, encode(VfioDeviceSetIrqs, { argsz: size + bytes.length, flags, index, start, count }));
		memory.write(BUFFER + size, bytes);
		return codeOf(() => file.ioctl(program.caller, VfioDeviceSetIrqs.number, BUFFER));
	};
	const trigger = (index: number, fds: number[], start = 0) =>
		set(index, ACTION_TRIGGER | DATA_EVENTFD, start, fds.length, fds);
	const switchOff = (index: number) => set(index, ACTION_TRIGGER | DATA_NONE, 0, 0);
	const unmask = () => set(INTX, ACTION_UNMASK | DATA_NONE, 0, 1);
	const signals = () => eventFds.map((eventFd) => eventFd.signals);
	const holds = () => eventFds.map((eventFd) => eventFd.holds);
	const config = (at: number, value?: number) => {
		if (value === undefined) file.readAt(memory, BUFFER, 2, CONFIG + at);
		else {
			memory.write(BUFFER, Uint8Array.of(value & 0xff, value >> 8));
			file.writeAt(memory, BUFFER, 2, CONFIG + at);
		}
		return program.client.backing.bytes[0] + program.client.backing.bytes[1] * 256;
	};
	config(4, MEMORY_AND_MASTER);
	const { interrupts } = device;
	return { program, file, interrupts, eventFds, set, trigger, switchOff, unmask, signals, holds, config };
}

test("a message goes to the eventfd of its vector, and to none when there is none", () => {
	for (const index of [MSI, MSIX]) {
		const { interrupts, trigger, signals, holds, switchOff } = setUp();
		expect(trigger(index, [10, -1, 12])).toBe("ok");
		for (const vector of [0, 1, 2, 2, 3]) interrupts.raise(vector);
		expect([signals(), holds()]).toEqual([
			[1, 0, 2, 0, 0],
			[1, 0, 1, 0, 0],
		]);
		expect([switchOff(index), holds()]).toEqual(["ok", [0, 0, 0, 0, 0]]);
		interrupts.raise(0);
		expect(signals()[0]).toBe(1);
	}
});

test("a function that isn't a bus master can't send messages", () => {
	const { interrupts, trigger, signals, config } = setUp();
	trigger(MSI, [10]);
	config(4, 2);
	interrupts.raise(0);
	expect(signals()[0]).toBe(0);
});

test("vectors get other eventfds, and lose them with fd -1", () => {
	const { interrupts, trigger, signals, holds } = setUp();
	trigger(MSI, [10, 11]);
	expect(trigger(MSI, [12], 1)).toBe("ok");
	expect(trigger(MSI, [-1])).toBe("ok");
	for (const vector of [0, 1]) interrupts.raise(vector);
	expect([signals(), holds()]).toEqual([
		[0, 0, 1, 0, 0],
		[0, 0, 1, 0, 0],
	]);
});

test("MSI keeps the number of vectors that it was switched on with, MSI-X grows", () => {
	const { trigger, switchOff, holds } = setUp();
	trigger(MSI, [10, 11]);
	expect([trigger(MSI, [12], 2), trigger(MSI, [-1], 2), holds()]).toEqual(["EINVAL", "ok", [1, 1, 0, 0, 0]]);
	switchOff(MSI);
	trigger(MSIX, [10]);
	expect([trigger(MSIX, [12], 2), holds()]).toEqual(["ok", [1, 0, 1, 0, 0]]);
});

test("an fd that can't be signalled leaves none of the vectors with an eventfd", () => {
	const { trigger, holds } = setUp();
	expect([trigger(MSI, [10, 99]), trigger(MSI, [10, 20])]).toEqual(["EBADF", "EINVAL"]);
	expect([trigger(MSIX, [10, 11, 12]), trigger(MSIX, [13, 20])]).toEqual(["ok", "EINVAL"]);
	expect(holds()).toEqual([0, 0, 1, 0, 0]);
});

test("who listens is told what comes of each interrupt, and why one is lost", () => {
	const { interrupts, trigger, switchOff, set, config } = setUp();
	const told: string[] = [];
	interrupts.report = ({ message }) => told.push(message);
	trigger(MSI, [10]);
	for (const vector of [0, 1]) interrupts.raise(vector);
	config(4, 2);
	interrupts.raise(0);
	switchOff(MSI);
	interrupts.raise(0);
	trigger(INTX, [10]);
	interrupts.raise(0);
	expect(told).toEqual([
		"MSI vector 0 signals its eventfd",
		"MSI vector 1 is lost: it has no eventfd",
		"MSI vector 0 is lost: Bus Master Enable is off, bit 2 of the command register",
		"INTx is pending: neither it nor MSI or MSI-X is on",
		"INTx signals its eventfd, and is masked until it is unmasked",
		"INTx is pending: it is masked",
	]);
	interrupts.deassert();
	set(INTX, ACTION_UNMASK | DATA_NONE, 0, 1);
	config(4, 0x402);
	interrupts.raise(0);
	expect(told.at(-1)).toBe("INTx is pending: it is masked by Interrupt Disable, bit 10 of the command register");
});

test("a program can have all of them signalled, or some", () => {
	const { set, trigger, signals } = setUp();
	const NONE = ACTION_TRIGGER | DATA_NONE;
	expect([set(MSI, NONE, 0, 1), set(MSI, NONE, 0, 0)]).toEqual(["EINVAL", "EINVAL"]);
	trigger(MSI, [10, 11, 12]);
	set(MSI, NONE, 1, 2);
	set(MSI, ACTION_TRIGGER | DATA_BOOL, 0, 3, [1, 0, 1]);
	expect(signals()).toEqual([1, 1, 2, 0, 0]);
});

test("one mechanism is on at a time", () => {
	const { trigger, switchOff } = setUp();
	trigger(INTX, [10]);
	expect([trigger(MSI, [11]), trigger(MSIX, [11]), switchOff(INTX)]).toEqual(["EINVAL", "EINVAL", "ok"]);
	trigger(MSI, [10]);
	expect([trigger(INTX, [11]), trigger(MSIX, [11]), switchOff(MSIX)]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
});

test("messages can't be switched on with no vector, nor masked", () => {
	const { set } = setUp();
	expect(set(MSI, ACTION_TRIGGER | DATA_EVENTFD, 0, 0)).toBe("ERANGE");
	const codes = [ACTION_MASK, ACTION_UNMASK, 0, ACTION_MASK | ACTION_TRIGGER].map((action) =>
		set(MSI, action | DATA_NONE, 0, 1),
	);
	expect(codes).toEqual(["ENOTTY", "ENOTTY", "ENOTTY", "ENOTTY"]);
});

test("INTx masks itself, and happens again when it is unmasked as long as the pin is asserted", () => {
	const { interrupts, trigger, unmask, signals } = setUp();
	trigger(INTX, [10]);
	interrupts.raise(0);
	interrupts.raise(0);
	expect(signals()[0]).toBe(1);
	unmask();
	expect(signals()[0]).toBe(2);
	interrupts.deassert();
	unmask();
	expect(signals()[0]).toBe(2);
	interrupts.raise(0);
	expect(signals()[0]).toBe(3);
});

test("a pin that is asserted before INTx is on interrupts when it is", () => {
	const { interrupts, trigger, signals, config } = setUp();
	interrupts.raise(0);
	expect(config(6) & 8).toBe(8); // the interrupt status bit
	trigger(INTX, [10]);
	expect(signals()[0]).toBe(1);
	interrupts.deassert();
	expect(config(6) & 8).toBe(0);
});

test("INTx is masked by the program, and by the command register", () => {
	const { interrupts, set, trigger, unmask, signals, config } = setUp();
	trigger(INTX, [10]);
	set(INTX, ACTION_MASK | DATA_BOOL, 0, 1, [0]);
	set(INTX, ACTION_MASK | DATA_BOOL, 0, 1, [1]);
	interrupts.raise(0);
	expect(signals()[0]).toBe(0);
	config(4, 0x402);
	unmask();
	set(INTX, ACTION_TRIGGER | DATA_NONE, 0, 1);
	expect(signals()[0]).toBe(0);
	config(4, 2);
	expect(signals()[0]).toBe(1);
});

test("an eventfd unmasks INTx, one at a time", () => {
	const { eventFds, interrupts, set, trigger, signals, holds } = setUp();
	const unmaskBy = (fd: number) => set(INTX, ACTION_UNMASK | DATA_EVENTFD, 0, 1, [fd]);
	trigger(INTX, [10]);
	expect([unmaskBy(99), unmaskBy(20), unmaskBy(11), unmaskBy(12)]).toEqual(["EBADF", "EINVAL", "ok", "EBUSY"]);
	interrupts.raise(0);
	eventFds[1].signal();
	expect([signals(), holds()]).toEqual([
		[2, 0, 0, 0, 0],
		[1, 1, 0, 0, 0],
	]);
	expect([unmaskBy(-1), unmaskBy(12), holds()]).toEqual(["ok", "ok", [1, 0, 1, 0, 0]]);
	eventFds[1].signal();
	expect(signals()[0]).toBe(2);
	expect(set(INTX, ACTION_MASK | DATA_EVENTFD, 0, 1, [10])).toBe("ENOTTY");
});

test("INTx that isn't on can't be masked, unmasked or triggered", () => {
	const { set, unmask, switchOff } = setUp();
	const codes = [set(INTX, ACTION_MASK | DATA_NONE, 0, 1), unmask(), set(INTX, ACTION_TRIGGER | DATA_NONE, 0, 1)];
	expect([...codes, switchOff(INTX)]).toEqual(["EINVAL", "EINVAL", "EINVAL", "EINVAL"]);
});

test("ERR and REQ take an eventfd each, beside the others", () => {
	for (const index of [ERR, REQ]) {
		const { set, trigger, switchOff, signals, holds } = setUp();
		trigger(MSI, [10]);
		expect([switchOff(index), trigger(index, [20]), trigger(index, [-2])]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
		expect([trigger(index, [11]), set(index, ACTION_TRIGGER | DATA_NONE, 0, 1)]).toEqual(["ok", "ok"]);
		expect([trigger(index, [12]), signals(), holds()]).toEqual(["ok", [0, 1, 0, 0, 0], [1, 0, 1, 0, 0]]);
		expect([switchOff(index), switchOff(index), holds()]).toEqual(["ok", "EINVAL", [1, 0, 0, 0, 0]]);
		expect([trigger(index, [12]), trigger(index, [-1]), holds()]).toEqual(["ok", "ok", [1, 0, 0, 0, 0]]);
		expect(set(index, ACTION_MASK | DATA_NONE, 0, 1)).toBe("ENOTTY");
	}
});

test("a program that closes its device lets go of all eventfds", () => {
	const { file, trigger, holds } = setUp();
	trigger(MSI, [10, 11]);
	trigger(ERR, [12]);
	trigger(REQ, [13]);
	file.release();
	expect(holds()).toEqual([0, 0, 0, 0, 0]);
	const other = setUp();
	other.trigger(INTX, [10]);
	other.set(INTX, ACTION_UNMASK | DATA_EVENTFD, 0, 1, [11]);
	expect(other.holds()).toEqual([1, 1, 0, 0, 0]);
	other.file.release();
	expect(other.holds()).toEqual([0, 0, 0, 0, 0]);
});

test("a program can have INTx signalled, unless it has disabled it", () => {
	const { set, trigger, signals, config } = setUp();
	trigger(INTX, [10]);
	set(INTX, ACTION_TRIGGER | DATA_NONE, 0, 1);
	expect(signals()[0]).toBe(1);
	set(INTX, ACTION_TRIGGER | DATA_BOOL, 0, 1, [0]);
	expect(signals()[0]).toBe(1);
	set(INTX, ACTION_TRIGGER | DATA_BOOL, 0, 1, [1]);
	expect(signals()[0]).toBe(2);
	config(4, MEMORY_AND_MASTER | 0x400);
	set(INTX, ACTION_TRIGGER | DATA_NONE, 0, 1);
	expect(signals()[0]).toBe(2);
});

test("fd 0 is an eventfd like any other, and INTx may be on without one", () => {
	const { program, trigger, unmask, set, eventFds, interrupts, holds } = setUp();
	program.client.files.set(0, eventFds[0].file);
	for (const index of [ERR, REQ]) expect(trigger(index, [0])).toBe("ok");
	expect([trigger(MSI, [0]), set(MSI, ACTION_TRIGGER | DATA_NONE, 0, 0)]).toEqual(["ok", "ok"]);
	expect([trigger(INTX, [0]), holds()[0]]).toEqual(["ok", 3]);
	expect([set(INTX, ACTION_UNMASK | DATA_EVENTFD, 0, 1, [0]), holds()[0]]).toEqual(["ok", 4]);
	expect([trigger(INTX, [-1]), holds()[0]]).toEqual(["ok", 3]);
	interrupts.raise(0);
	expect(unmask()).toBe("ok");
});

test("what doesn't fit is refused before anything is looked at", () => {
	const { set, trigger } = setUp();
	const TRIGGER = ACTION_TRIGGER | DATA_EVENTFD;
	expect(set(MSI, TRIGGER, 0, 2, [10])).toBe("EINVAL"); // argsz has no room for the data
	expect([set(MSI, TRIGGER, 3, 2, [10, 11]), set(5, TRIGGER, 0, 1, [10])]).toEqual(["EINVAL", "EINVAL"]);
	expect([set(MSI, ACTION_TRIGGER, 0, 1), set(MSI, TRIGGER | 0x40, 0, 1, [10])]).toEqual(["EINVAL", "EINVAL"]);
	expect(trigger(MSI, [10])).toBe("ok");
});

test("a virtual function has no INTx", () => {
	const { program, file, trigger } = setUp({}, { kind: "virtual", token: undefined });
	expect(program.call(file, VfioDeviceGetIrqInfo, { index: INTX }).count).toBe(0);
	expect(trigger(INTX, [10])).toBe("EINVAL");
});

test("who sends messages himself knows which kind is on, and which vectors have an eventfd", () => {
	const { interrupts, trigger, switchOff } = setUp();
	const kinds: unknown[] = [];
	const vectors: unknown[] = [];
	interrupts.sender = {
		setKind: (kind) => kinds.push(kind),
		setVector: (vector, eventFd) => vectors.push(`${eventFd === undefined ? "-" : "+"}${vector}`),
	};
	trigger(INTX, [10]);
	switchOff(INTX);
	trigger(MSIX, [10, -1, 12]);
	trigger(MSIX, [-1, 11]);
	switchOff(MSIX);
	expect(kinds).toEqual([INTX, undefined, MSIX, undefined]);
	expect(vectors).toEqual(["+0", "+2", "-0", "+1", "-2", "-1"]);
});
