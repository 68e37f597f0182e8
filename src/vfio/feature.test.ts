import { expect, test } from "vitest";
import { TestEventFd } from "../files/event-fd.testing.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceFeature, VfioDeviceFeatureFlags, VfioDeviceGetInfo, VfioFeature } from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";
import { VfToken } from "./vf-token.js";

const { GET, SET, PROBE } = VfioDeviceFeatureFlags;
const { LOW_POWER_ENTRY, LOW_POWER_ENTRY_WITH_WAKEUP, LOW_POWER_EXIT, DMA_BUF, PCI_VF_TOKEN } = VfioFeature;
const EVENTFD = 10;
const OTHER = 11;
/** The configuration space's region. */
const CONFIG = 7 * 2 ** 40;

function setUp(...[has, sriov]: Parameters<TestBus["add"]>) {
	const program = new TestProgram();
	const file = program.open(new TestBus().add(has, sriov));
	program.bind(file);
	const eventFd = new TestEventFd();
	program.client.files.set(EVENTFD, eventFd.file);
	program.client.files.set(OTHER, { kind: "other" });
	const { memory } = program.client;
	const { size } = VfioDeviceFeature;
	/** @param data what follows the struct, as far as argsz says, which is all of it unless it is given */
	const feature = (number: number, flags: number, data: readonly number[] | BigUint64Array = [], argsz?: number) => {
		const bytes = new Uint8Array(data instanceof BigUint64Array ? data.buffer : Uint32Array.from(data).buffer);
		memory.write(BUFFER, encode(VfioDeviceFeature, { argsz: argsz ?? size + bytes.length, feature: number, flags }));
		memory.write(BUFFER + size, bytes);
		return codeOf(() => file.ioctl(program.caller, VfioDeviceFeature.number, BUFFER));
	};
	return { program, file, memory, eventFd, feature, size };
}

test("features that a device doesn't have are ENOTTY, after what is wrong in itself", () => {
	const { feature } = setUp();
	for (const number of [VfioFeature.MIGRATION, VfioFeature.DMA_LOGGING_START, VfioFeature.BUS_MASTER, 14, 0xffff]) {
		expect(feature(number, GET | PROBE)).toBe("ENOTTY");
		expect(feature(number, GET | SET)).toBe("EINVAL");
		expect(feature(number, 8)).toBe("EINVAL");
	}
	expect(feature(VfioFeature.MIG_PRECOPY_INFOv2, SET | PROBE)).toBe("EINVAL");
});

test("the VF token is a feature of functions that have VFs", () => {
	expect(setUp().feature(PCI_VF_TOKEN, SET | PROBE)).toBe("ENOTTY");
	expect(setUp({}, { kind: "virtual", token: undefined }).feature(PCI_VF_TOKEN, SET | PROBE)).toBe("ENOTTY");
	const { feature } = setUp({}, { kind: "physical", token: new VfToken() });
	expect([feature(PCI_VF_TOKEN, SET | PROBE), feature(PCI_VF_TOKEN, GET)]).toEqual(["ok", "EINVAL"]);
	expect([feature(PCI_VF_TOKEN, SET, [1, 2, 3]), feature(PCI_VF_TOKEN, SET, [1, 2, 3, 4])]).toEqual(["EINVAL", "ok"]);
});

test("low power can be entered once, until it is left", () => {
	const { feature } = setUp();
	expect([feature(LOW_POWER_ENTRY, SET | PROBE), feature(LOW_POWER_ENTRY, GET | PROBE)]).toEqual(["ok", "EINVAL"]);
	expect([feature(LOW_POWER_ENTRY, 0), feature(LOW_POWER_ENTRY, GET | SET | PROBE)]).toEqual(["EINVAL", "EINVAL"]);
	expect([feature(LOW_POWER_ENTRY, SET), feature(LOW_POWER_ENTRY, SET)]).toEqual(["ok", "EINVAL"]);
	expect(feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET, [EVENTFD, 0])).toBe("EINVAL");
	expect([feature(LOW_POWER_EXIT, SET), feature(LOW_POWER_EXIT, SET)]).toEqual(["ok", "ok"]);
	expect(feature(LOW_POWER_ENTRY, SET)).toBe("ok");
});

test("what may wake the program has to be an eventfd", () => {
	const { feature, eventFd } = setUp();
	const enter = (fd: number) => feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET, [fd, 0]);
	expect(feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET | PROBE)).toBe("ok");
	expect(feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET, [EVENTFD])).toBe("EINVAL");
	expect([enter(-1), enter(99), enter(OTHER)]).toEqual(["EINVAL", "EBADF", "EINVAL"]);
	feature(LOW_POWER_ENTRY, SET);
	expect(enter(EVENTFD)).toBe("EINVAL");
	expect(eventFd.holds).toBe(0);
});

test("any use of a function in low power wakes it once, and says so to its eventfd", () => {
	const { program, file, feature, eventFd, memory } = setUp();
	const { caller } = program;
	const uses = [
		() => program.call(file, VfioDeviceGetInfo, {}),
		() => file.readAt(memory, BUFFER, 4, CONFIG),
		() => file.writeAt(memory, BUFFER, 1, CONFIG + 0x3c),
		() => feature(LOW_POWER_EXIT, SET),
		() => codeOf(() => file.ioctl(caller, 0x3b99, 0)),
	];
	for (const [i, use] of uses.entries()) {
		expect(feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET, [EVENTFD, 0])).toBe("ok");
		expect(eventFd.signals).toBe(i);
		use();
		use();
		expect(eventFd.signals).toBe(i + 1);
		expect(eventFd.holds).toBe(0);
	}
	feature(LOW_POWER_ENTRY_WITH_WAKEUP, SET, [EVENTFD, 0]);
	expect(codeOf(() => file.readAt(memory, BUFFER, 4, 9 * 2 ** 40))).toBe("EINVAL"); // no region, so nothing is used
	expect(eventFd.signals).toBe(uses.length);
	file.release();
	expect([eventFd.signals, eventFd.holds]).toEqual([uses.length, 0]);
});

test("which parts of a BAR are to be a dma-buf is checked in Linux's order", () => {
	const { feature, size } = setUp({
		bars: [
			{ index: 0, size: 0x4000, space: "memory32", prefetchable: false, address: 0xfe00_0000n },
			{ index: 1, size: 0x20, space: "io", prefetchable: false, address: 0xc000n },
		],
	});
	const page = 0x1000n;
	const get = (region: number, flags: number, ...ranges: (readonly [offset: bigint, length: bigint])[]) =>
		feature(
			DMA_BUF,
			GET,
			BigUint64Array.of(BigInt(region), BigInt(flags) | (BigInt(ranges.length) << 32n), ...ranges.flat()),
		);
	expect([feature(DMA_BUF, GET | PROBE), feature(DMA_BUF, SET | PROBE)]).toEqual(["ok", "EINVAL"]);
	expect(feature(DMA_BUF, GET, [0, 0, 0, 1], size + 15)).toBe("EINVAL");
	expect([get(0, 0), get(2, 0), get(0, 1, [0n, page])]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
	expect([get(2, 0, [0n, page]), get(6, 0, [0n, page]), get(7, 0, [0n, page])]).toEqual(["ENODEV", "ENODEV", "ENODEV"]);
	expect([get(0, 0, [0n, 0n]), get(0, 0, [1n, page]), get(0, 0, [0n, 1n])]).toEqual(["EINVAL", "EINVAL", "EINVAL"]);
	expect([get(0, 0, [page, 4n * page]), get(1, 0, [0n, page])]).toEqual(["EINVAL", "EINVAL"]);
	expect(get(0, 0, [(1n << 64n) - page, page])).toBe("EOVERFLOW");
	expect(get(0, 0, [0n, 1n << 63n])).toBe("EINVAL");
	expect(feature(DMA_BUF, GET, [0, 0, 0, 2 ** 18 + 1])).toBe("ENOMEM");
	expect(feature(DMA_BUF, GET, [0, 0, 0, 2 ** 18])).toBe("EFAULT");
});
