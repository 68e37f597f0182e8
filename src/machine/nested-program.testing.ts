// A program for tests that nests a guest's page table on its own, for each driver that can: what the guest's tables are, and how it
// changes and invalidates them.

import { EDU_BUFFER, EduDma, EduDmaResult, EduRegister } from "../devices/edu.js";
import type { Endpoint } from "../devices/endpoint.js";
import { BUFFER, BUFFER_PAGES } from "../iommufd/client.testing.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import type { DmaEvent } from "../trace/event.js";
import type { FieldTable } from "../uapi/field.js";
import {
	HwptAlloc,
	HwptAllocFlags,
	HwptAmdGuest,
	HwptArmSmmuV3,
	HwptDataType,
	HwptInvalidate,
	HwptVtdS1,
	HwptVtdS1Invalidate,
	InvalidateDataType,
	IoasAlloc,
	IoasMap,
	IoasMapFlags,
	IoasUnmap,
	VdeviceAlloc,
	ViommuAlloc,
	ViommuArmSmmuV3Invalidate,
	ViommuType,
} from "../uapi/iommufd.js";
import { encode, type Struct } from "../uapi/struct.js";
import type { Values } from "../uapi/view.js";
import { PciCommand } from "../vfio/pci-config.js";
import { TestProgram } from "../vfio/program.testing.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

/** The guest's memory begins here; its pages are those of the program's buffer. */
export const GUEST = 0x4000_0000n;
export const guestPage = (page: number) => GUEST + (BigInt(page) << 12n);
/** An IOVA of the first stage, and how its tables lie: pages 0 to 3 of the guest, the top one first. */
export const IOVA = 0x5000n;
const LEVELS = 4;
/** Where a context descriptor is, and the guest's table of roots. */
const ROOTS = 4;
/** What the program has for the driver. */
const USER_DATA = BUFFER + 15 * 4096;

/**
 * A program that has the machine's edu device, and that device's memory as a guest's.
 * @param description the machine's
 */
export function setUp(description: string) {
	const machine = new Machine(parseMachineDescription(description, "the machine's description"));
	const events: DmaEvent[] = [];
	machine.dma.report = (event) => events.push(event);
	const opened = machine.open("/dev/iommu");
	if (!(opened instanceof IommufdFile)) throw new Error("no /dev/iommu");
	const program = new TestProgram(opened);
	const { client } = program;
	const device = machine.vfioDevices[0];
	const file = program.open(device);
	const devId = program.bind(file);
	device.config.write(4, PciCommand.MEMORY | PciCommand.MASTER);
	const ioasId = client.call(IoasAlloc, {}).outIoasId;
	const flags = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;
	const length = BigInt(BUFFER_PAGES * 4096);
	client.call(IoasMap, { ioasId, flags, userVa: BigInt(BUFFER), length, iova: GUEST });
	const memory = new DataView(client.backing.bytes.buffer);
	for (let page = 5; page < 15; page++) memory.setUint32(page * 4096, page, true);
	const edu = machine.endpoints.get(device) as Endpoint;
	return { machine, events, program, client, file, devId, ioasId, memory, edu };
}

export type SetUp = ReturnType<typeof setUp>;

/** The device reads a word at an IOVA, then writes it to where the program sees it: the first word that it saw, or "fault". */
export function dmaRead({ edu, memory }: SetUp, iova: bigint): number | "fault" {
	const set = (register: number, value: bigint) => edu.writeRegister(0, register, 8, value);
	set(EduRegister.DMA_SOURCE, iova);
	set(EduRegister.DMA_DESTINATION, EDU_BUFFER);
	set(EduRegister.DMA_COUNT, 4n);
	set(EduRegister.DMA_COMMAND, BigInt(EduDma.START));
	if (edu.readRegister(0, EduRegister.DMA_RESULT, 8) !== BigInt(EduDmaResult.OK)) return "fault";
	set(EduRegister.DMA_SOURCE, EDU_BUFFER);
	set(EduRegister.DMA_DESTINATION, iova + 0x100n);
	set(EduRegister.DMA_COMMAND, BigInt(EduDma.START | EduDma.TO_MEMORY));
	if (edu.readRegister(0, EduRegister.DMA_RESULT, 8) !== BigInt(EduDmaResult.OK)) return "fault";
	for (let page = 5; page < 15; page++) {
		const word = memory.getUint32(page * 4096 + 0x100, true);
		memory.setUint32(page * 4096 + 0x100, 0, true);
		if (word !== 0) return word;
	}
	throw new Error("what was written is nowhere");
}

function dataFor<F extends FieldTable>({ client }: SetUp, struct: Struct<F>, values: Partial<Values<F>>) {
	client.memory.write(USER_DATA, encode(struct, values));
	return { dataUptr: USER_DATA, dataLen: struct.size };
}

/** A first stage from IOVA to a page of the guest. @param tableBits, pageBits what entries have besides an address */
function buildTables({ memory }: SetUp, tableBits: bigint, pageBits: bigint) {
	const entryAt = (level: number) => (LEVELS - 1 - level) * 4096 + 8 * Number((IOVA >> BigInt(12 + 9 * level)) & 511n);
	for (let level = LEVELS - 1; level > 0; level--)
		memory.setBigUint64(entryAt(level), guestPage(LEVELS - level) | tableBits, true);
	return (page: number) => memory.setBigUint64(entryAt(0), guestPage(page) | pageBits, true);
}

export interface Nested {
	readonly hwptId: number;
	/** Lets the IOVA lead to another page of the guest. */
	readonly setPage: (page: number) => void;
	readonly invalidate: () => void;
}

function parentOf({ client, devId, ioasId }: SetUp): number {
	return client.call(HwptAlloc, { devId, ptId: ioasId, flags: HwptAllocFlags.NEST_PARENT }).outHwptId;
}

export const nestOn: Record<string, (set: SetUp) => Nested> = {
	intel(set) {
		const { client, devId } = set;
		const setPage = buildTables(set, 7n, 7n);
		const data = { dataType: HwptDataType.VTD_S1, ...dataFor(set, HwptVtdS1, { pgtblAddr: GUEST, addrWidth: 48 }) };
		const { outHwptId: hwptId } = client.call(HwptAlloc, { devId, ptId: parentOf(set), ...data });
		const invalidate = () => {
			const { dataUptr, dataLen } = dataFor(set, HwptVtdS1Invalidate, { addr: IOVA, npages: 1n });
			const request = { dataUptr, dataType: InvalidateDataType.VTD_S1, entryLen: dataLen, entryNum: 1 };
			client.call(HwptInvalidate, { hwptId, ...request });
		};
		return { hwptId, setPage, invalidate };
	},

	amd(set) {
		const { client, devId, ioasId, memory } = set;
		const setPage = buildTables(set, 7n, 7n);
		memory.setBigUint64(ROOTS * 4096, GUEST | 1n, true);
		const hwptId = parentOf(set);
		// Linux doesn't look at the type, and has none for AMD yet.
		const { outViommuId } = client.call(ViommuAlloc, { type: ViommuType.SELFTEST, devId, hwptId });
		const roots = guestPage(ROOTS);
		const [V, GIOV, GV] = [1n, 1n << 54n, 1n << 55n];
		const low = V | GIOV | GV | (((roots >> 12n) & 7n) << 58n);
		const dte = BigUint64Array.of(low, ((roots >> 15n) & 0xffffn) << 16n, 0n, 0n);
		const data = { dataType: HwptDataType.AMD_GUEST, ...dataFor(set, HwptAmdGuest, { dte }) };
		const nested = client.call(HwptAlloc, { devId, ptId: outViommuId, ...data }).outHwptId;
		// There is no invalidation for AMD in the interface. An unmap of what is below flushes what is above.
		const invalidate = () => {
			const flags = IoasMapFlags.READABLE | IoasMapFlags.FIXED_IOVA;
			const spare = { ioasId, iova: 0x1000n, length: 4096n };
			client.call(IoasMap, { ...spare, flags, userVa: BigInt(BUFFER) });
			client.call(IoasUnmap, spare);
		};
		return { hwptId: nested, setPage, invalidate };
	},

	arm(set) {
		const { client, devId, memory } = set;
		const setPage = buildTables(set, 3n, 3n | (1n << 6n) | (1n << 10n) | (1n << 11n));
		// V, AA64, EPD1, IPS of 48 bits, T0SZ of 16, ASID 9
		const descriptor = (1n << 31n) | (1n << 41n) | (1n << 30n) | (5n << 32n) | 16n | (9n << 48n);
		memory.setBigUint64(ROOTS * 4096, descriptor, true);
		memory.setBigUint64(ROOTS * 4096 + 8, GUEST, true);
		const hwptId = parentOf(set);
		const { outViommuId: viommuId } = client.call(ViommuAlloc, { type: ViommuType.ARM_SMMUV3, devId, hwptId });
		client.call(VdeviceAlloc, { viommuId, devId, virtId: 7n });
		const ste = BigUint64Array.of(1n | (5n << 1n) | guestPage(ROOTS), 0n);
		const data = { dataType: HwptDataType.ARM_SMMUV3, ...dataFor(set, HwptArmSmmuV3, { ste }) };
		const nested = client.call(HwptAlloc, { devId, ptId: viommuId, ...data }).outHwptId;
		const invalidate = () => {
			const TLBI_NH_VA = 0x12n | (9n << 48n);
			const cmd = BigUint64Array.of(TLBI_NH_VA, IOVA);
			const { dataUptr, dataLen } = dataFor(set, ViommuArmSmmuV3Invalidate, { cmd });
			const request = { dataUptr, dataType: InvalidateDataType.ARM_SMMUV3, entryLen: dataLen, entryNum: 1 };
			client.call(HwptInvalidate, { hwptId: viommuId, ...request });
		};
		return { hwptId: nested, setPage, invalidate };
	},
};
