import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EDU_BUFFER, EduDma, EduDmaResult, EduRegister } from "../devices/edu.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { IoasMapFile, IoasMapFlags } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceFeature, VfioDeviceFeatureFlags, VfioDeviceReset, VfioFeature } from "../uapi/vfio.js";
import { setUp } from "./nested-program.testing.js";

const PAGE = 4096n;
const FLAGS = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;
const IOVA = 0x10_0000n;
const CONFIG = 7 * 2 ** 40;

/** The edu of a machine, which reaches the registers of another one. */
function twoDevices(name: string) {
	const description = JSON.parse(readFileSync(`machines/${name}.json`, "utf8"));
	const { devices } = description.iommus[0];
	devices.splice(1, 0, { ...devices[0], address: "0000:00:1f.0" });
	const set = setUp(JSON.stringify(description));
	const { machine, program, file, client, ioasId, edu } = set;
	program.attach(file, ioasId);
	const other = machine.vfioDevices[1];
	const otherFile = program.open(other);
	program.bind(otherFile);
	client.memory.write(BUFFER, Uint8Array.of(2, 0));
	otherFile.writeAt(client.memory, BUFFER, 2, CONFIG + 4);
	const share = (): number => {
		const { size } = VfioDeviceFeature;
		const request = { argsz: size + 32, feature: VfioFeature.DMA_BUF, flags: VfioDeviceFeatureFlags.GET };
		client.memory.write(BUFFER, encode(VfioDeviceFeature, request));
		client.memory.write(BUFFER + size, new Uint8Array(BigUint64Array.of(0n, 1n << 32n, 0n, PAGE).buffer));
		return otherFile.ioctl(client, VfioDeviceFeature.number, BUFFER);
	};
	const map = (fd: number) =>
		client.call(IoasMapFile, { ioasId, flags: FLAGS, fd, start: 0n, length: PAGE, iova: IOVA });
	const set8 = (register: number, value: bigint) => edu.writeRegister(0, register, 8, value);
	const copy = (source: bigint, destination: bigint, command: number) => {
		set8(EduRegister.DMA_SOURCE, source);
		set8(EduRegister.DMA_DESTINATION, destination);
		set8(EduRegister.DMA_COUNT, 4n);
		set8(EduRegister.DMA_COMMAND, BigInt(EduDma.START | command));
		return edu.readRegister(0, EduRegister.DMA_RESULT, 8) === BigInt(EduDmaResult.OK);
	};
	const liveness = IOVA + BigInt(EduRegister.LIVENESS);
	const write = () => copy(EDU_BUFFER, liveness, EduDma.TO_MEMORY);
	const read = () => copy(liveness, EDU_BUFFER, 0);
	return { ...set, other, otherFile, share, map, write, read };
}

test.each(["intel", "amd", "arm"])(
	"%s: a device reads and writes the registers of another one that are mapped for it",
	(name) => {
		const { machine, other, share, map, write, read, events } = twoDevices(name);
		map(share());
		const peer = machine.endpoints.get(other)!;
		peer.writeRegister(0, EduRegister.LIVENESS, 4, 0x12345678n);
		expect([read(), write()]).toEqual([true, true]);
		expect([peer.readRegister(0, EduRegister.LIVENESS, 4), events]).toEqual([0x12345678n, []]);
	},
);

test("the table leads to where the firmware has put the BAR", () => {
	const { machine, other, share, map } = twoDevices("intel");
	map(share());
	const { address } = other.hardware.bars[0];
	const memory = other.barMemory.get(0)!;
	expect(BigInt(machine.frames.frameOf(memory, 0)) * PAGE).toBe(address);
	expect(machine.frames.locate(Number(address / PAGE) + 3)).toMatchObject({ backing: memory, page: 3, count: 253 });
});

test("a reset takes it away, until it is mapped again", () => {
	const { client, otherFile, share, map, read } = twoDevices("intel");
	const fd = share();
	map(fd);
	expect(read()).toBe(true);
	otherFile.ioctl(client, VfioDeviceReset.number, 0);
	expect(read()).toBe(false);
});
