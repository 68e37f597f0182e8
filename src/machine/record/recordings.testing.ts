// Recordings made in process, for tests.

import { EDU_BUFFER, EduRegister } from "../../devices/edu.js";
import type { OpenFile } from "../../files/open-file.js";
import { BUFFER, TestClient } from "../../iommufd/client.testing.js";
import type { IommufdFile } from "../../iommufd/ioctls.js";
import { ArrayBacking } from "../../memory/array-space.js";
import type { Entry } from "../../trace/record.js";
import { codeOf } from "../../uapi/errno.js";
import {
	Destroy,
	FaultQueueAlloc,
	IoasAlloc,
	IoasIovaRanges,
	IoasMap,
	IoasMapFile,
	IoasMapFlags,
	IoasUnmap,
} from "../../uapi/iommufd.js";
import { TestProgram } from "../../vfio/program.testing.js";
import { parseMachineDescription } from "../description.js";
import { Machine } from "../machine.js";
import type { RecordedDevice } from "./recorded-file.js";
import { Recorder } from "./recorder.js";

const RW = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
const root = { capable: () => true };

export const SELFTEST = '{ "name": "selftest", "description": "", "selftest": true }';

export function machineOf(description: string): Machine {
	return new Machine(parseMachineDescription(description, "the test"));
}

/** What is recorded of what a program does on a machine. As a file would have it: what is written can't change any more. */
export function recordingOf(description: string, program: (recorder: Recorder) => void): Entry[] {
	const entries: Entry[] = [];
	const write = (entry: Entry) => entries.push(structuredClone(entry));
	program(
		new Recorder(machineOf(description), JSON.parse(description), { policy: "mainline", memory: 2 ** 30 }, write),
	);
	return entries;
}

/** A program that gets answers of every kind from iommufd, and is asked for all that the engine asks for, but for DMA. */
export function recordOfSelftest(): Entry[] {
	return recordingOf(SELFTEST, (recorder) => {
		const client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
		client.capabilities.delete("CAP_IPC_LOCK");
		client.memlockLimit = 8 * 4096;
		const { outIoasId: ioasId } = client.call(IoasAlloc, {});
		client.test("MOCK_DOMAIN", { id: ioasId });
		client.call(IoasMap, { flags: RW, ioasId, userVa: BigInt(BUFFER), length: 0x4000n });
		codeOf(() => client.call(IoasMap, { flags: RW, ioasId, userVa: BigInt(BUFFER), length: 0x8000n }));
		codeOf(() => client.call(IoasMap, { flags: RW, ioasId, userVa: 0x77000n, length: 0x1000n }));
		const fd = client.addMemfd(new ArrayBacking("memfd", new Uint8Array(0x2000)));
		client.call(IoasMapFile, { flags: RW, ioasId, fd, length: 0x2000n });
		codeOf(() => client.call(IoasMapFile, { flags: RW, ioasId, fd: 77, length: 0x2000n }));
		client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: BUFFER });
		const { outFaultFd, outFaultId } = client.call(FaultQueueAlloc, {});
		client.queue(outFaultFd).read(client.memory, BUFFER, 0);
		codeOf(() => client.queue(outFaultFd).read(client.memory, BUFFER, 3));
		codeOf(() => client.fd.mmap(0x1000, 4096));
		recorder.settle = () => {
			if (client.files.has(outFaultFd)) client.close(outFaultFd);
		};
		client.call(Destroy, { id: outFaultId });
		client.call(IoasUnmap, { ioasId, iova: 0n, length: (1n << 64n) - 1n });
		client.fd.release();
	});
}

/**
 * A program that has the edu device read a page that it has mapped, then reads a register.
 * @param intel the description of a machine whose first function is that
 */
export function recordOfDma(intel: string): Entry[] {
	return recordingOf(intel, (recorder) => {
		const device = recorder.open("/dev/vfio/devices/vfio0", root) as RecordedDevice;
		const iommu = recorder.open("/dev/iommu", root) as OpenFile as IommufdFile;
		const program = new TestProgram(iommu);
		program.bind(device);
		const { memory } = program.client;
		const ioasId = program.client.call(IoasAlloc, {}).outIoasId;
		const flags = RW | IoasMapFlags.FIXED_IOVA;
		program.client.call(IoasMap, { flags, ioasId, userVa: BigInt(BUFFER), length: 0x1000n, iova: 0x5000n });
		program.attach(device, ioasId);
		const write = (position: number, size: number, value: bigint) => {
			memory.write(BUFFER, new Uint8Array(new BigUint64Array([value]).buffer));
			device.writeAt(memory, BUFFER, size, position);
		};
		write(7 * 2 ** 40 + 4, 2, 6n);
		write(EduRegister.DMA_SOURCE, 8, 0x5000n);
		write(EduRegister.DMA_DESTINATION, 8, EDU_BUFFER);
		write(EduRegister.DMA_COUNT, 8, 16n);
		write(EduRegister.DMA_COMMAND, 8, 1n);
		device.readAt(memory, BUFFER, 4, EduRegister.DMA_RESULT);
		codeOf(() => device.readAt(memory, BUFFER, 4, 2 ** 40));
	});
}
