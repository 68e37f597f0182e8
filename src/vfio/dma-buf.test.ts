import { expect, test } from "vitest";
import type { PagingDomain } from "../iommu/core/iommu.js";
import { NO_PASID } from "../iommu/core/pasid.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, IoasMapFile, IoasMapFlags } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceFeature, VfioDeviceFeatureFlags, VfioDeviceReset, VfioFeature } from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";

const { GET, SET } = VfioDeviceFeatureFlags;
const { DMA_BUF, LOW_POWER_ENTRY, LOW_POWER_EXIT } = VfioFeature;
const CONFIG = 7 * 2 ** 40;
const MEMORY = 2;
const PAGE = 4096n;
const FLAGS = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;

function setUp() {
	const device = new TestBus().add();
	const program = new TestProgram();
	const file = program.open(device);
	program.bind(file);
	const { client } = program;
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	const { size } = VfioDeviceFeature;
	const feature = (number: number, flags: number, data: BigUint64Array = new BigUint64Array()) => {
		const argsz = size + data.byteLength;
		client.memory.write(BUFFER, encode(VfioDeviceFeature, { argsz, feature: number, flags }));
		client.memory.write(BUFFER + size, new Uint8Array(data.buffer));
		return file.ioctl(program.caller, VfioDeviceFeature.number, BUFFER);
	};
	/** @param ranges of BAR 0, each offset and length in pages @returns its fd */
	const create = (...ranges: [number, number][]) => {
		const pages = ranges.flat().map((count) => BigInt(count) * PAGE);
		return feature(DMA_BUF, GET, BigUint64Array.of(0n, BigInt(ranges.length) << 32n, ...pages));
	};
	/** Whether a page of IOVA leads anywhere for the function. */
	const leads = (iova: number) => {
		const { domain } = device.device.group.attachment(NO_PASID)!;
		return (domain as PagingDomain).table.translate(iova) !== -1;
	};
	program.attach(file, ioasId);
	const map = (fd: number, iova: number, start = 0, pages = 1) => {
		const range = { start: BigInt(start) * PAGE, length: BigInt(pages) * PAGE, iova: BigInt(iova) * PAGE };
		return codeOf(() => client.call(IoasMapFile, { ioasId, flags: FLAGS, fd, ...range }));
	};
	const command = (value: number) => {
		client.memory.write(BUFFER, Uint8Array.of(value, 0));
		file.writeAt(client.memory, BUFFER, 2, CONFIG + 4);
	};
	command(MEMORY);
	return { device, program, file, client, feature, create, map, leads, command };
}

test("a dma-buf of a range can be mapped as far as it goes, one of several ranges can't", () => {
	const { create, map } = setUp();
	const fd = create([3, 2]);
	expect([map(fd, 1, 0, 2), map(fd, 5, 1), map(fd, 7, 1, 2), map(fd, 9, 2)]).toEqual(["ok", "ok", "EINVAL", "EINVAL"]);
	expect(map(create([0, 1], [2, 1]), 20)).toBe("EOPNOTSUPP");
});

test("while memory decoding is off nothing can be mapped, and what was has to be mapped anew", () => {
	const { create, map, leads, command } = setUp();
	const fd = create([0, 1]);
	expect([map(fd, 1), leads(1)]).toEqual(["ok", true]);
	command(0);
	expect(leads(1)).toBe(false);
	const another = create([0, 1]);
	expect([map(fd, 2), map(another, 2)]).toEqual(["ENODEV", "ENODEV"]);
	command(MEMORY);
	expect([map(fd, 2), map(another, 3)]).toEqual(["ok", "ok"]);
	expect([1, 2, 3].map(leads)).toEqual([false, true, true]);
});

test("a function in low power has its dma-bufs back when it is told to leave", () => {
	const { create, map, leads, feature } = setUp();
	const fd = create([0, 1]);
	expect([map(fd, 9), leads(9)]).toEqual(["ok", true]);
	feature(LOW_POWER_ENTRY, SET);
	expect(leads(9)).toBe(false);
	expect([map(fd, 1), map(create([0, 1]), 1)]).toEqual(["ENODEV", "ENODEV"]);
	feature(LOW_POWER_EXIT, SET);
	expect(map(fd, 1)).toBe("ok");
});

test("those of a device that was closed lead nowhere for ever", () => {
	const { device, program, file, create, map } = setUp();
	const fd = create([0, 1]);
	file.release();
	expect(map(fd, 1)).toBe("ENODEV");
	const again = program.open(device);
	program.bind(again);
	expect(map(fd, 1)).toBe("ENODEV");
});

test("a reset takes mappings away, and after it they can be made again", () => {
	const { file, program, create, map, leads } = setUp();
	const fd = create([0, 1]);
	expect([map(fd, 1), leads(1)]).toEqual(["ok", true]);
	file.ioctl(program.caller, VfioDeviceReset.number, 0);
	expect([leads(1), map(fd, 2), leads(2)]).toEqual([false, "ok", true]);
});
