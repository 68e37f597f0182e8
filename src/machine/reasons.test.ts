// What errors say on machines with real IOMMUs: who stands in the way, by name.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BUFFER } from "../iommufd/client.testing.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import { reasonOf } from "../uapi/errno.testing.js";
import {
	Destroy,
	HwptAlloc,
	HwptAllocFlags,
	HwptInvalidate,
	HwptVtdS1Invalidate,
	InvalidateDataType,
	IoasAlloc,
	IoasAllowIovas,
	IoasMap,
	IoasMapFlags,
	IovaRange,
	VdeviceAlloc,
	ViommuAlloc,
	ViommuType,
} from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { TestProgram } from "../vfio/program.testing.js";
import { type MachineDescription, parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";
import { nestOn, setUp as setUpNesting } from "./nested-program.testing.js";

const { READABLE, WRITEABLE, FIXED_IOVA } = IoasMapFlags;

const text = (name: string) => readFileSync(new URL(`../../machines/${name}.json`, import.meta.url), "utf8");

/** A program that has the machine's first function bound, and an IOAS. */
function setUp(name: string, change: (description: MachineDescription) => void = () => {}) {
	const description = parseMachineDescription(text(name), name);
	change(description);
	const machine = new Machine(description);
	const open = () => machine.open("/dev/iommu") as IommufdFile;
	const program = new TestProgram(open());
	const { client } = program;
	const file = program.open(machine.vfioDevices[0]);
	const devId = program.bind(file);
	const ioasId = client.call(IoasAlloc, {}).outIoasId;
	const map = (iova: bigint) =>
		reasonOf(() =>
			client.call(IoasMap, {
				ioasId,
				flags: READABLE | WRITEABLE | FIXED_IOVA,
				userVa: BigInt(BUFFER),
				length: 4096n,
				iova,
			}),
		);
	return { machine, open, program, client, file, devId, ioasId, map };
}

describe("a reserved IOVA: the reason says by what", () => {
	test("the aperture of a HWPT", () => {
		const { program, file, ioasId, map } = setUp("qemu-intel-legacy-39");
		const hwpt = program.attach(file, ioasId);
		expect(map(0x80_0000_0000n)).toBe(
			`EINVAL: 0x8000000000 to 0x8000000fff touches 0x8000000000 to 0xffffffffffffffff, which is reserved in IOAS ${ioasId}: beyond the aperture of HWPT ${hwpt}, 0x0 to 0x7fffffffff`,
		);
	});

	test("the interrupt window of a device", () => {
		const { program, file, ioasId, map } = setUp("intel");
		program.attach(file, ioasId);
		expect(map(0xfee0_0000n)).toBe(
			`EINVAL: 0xfee00000 to 0xfee00fff touches 0xfee00000 to 0xfeefffff, which is reserved in IOAS ${ioasId}: the interrupt (MSI) window of 0000:00:02.0`,
		);
	});

	test("where the kernel maps interrupts on Arm", () => {
		const { program, file, ioasId, map } = setUp("arm");
		program.attach(file, ioasId);
		expect(map(0x800_0000n)).toContain(
			"which is reserved in IOAS 2: where the kernel maps the interrupts (MSI) of 0000:",
		);
	});

	test("what is mapped, when a device that is attached would reserve it", () => {
		const { program, file, ioasId, map } = setUp("intel");
		expect(map(0xfee0_0000n)).toBe("ok");
		expect(reasonOf(() => program.attach(file, ioasId))).toBe(
			`EADDRINUSE: 0xfee00000 to 0xfeefffff (the interrupt (MSI) window of 0000:00:02.0) can't be reserved in IOAS ${ioasId}: 0xfee00000 to 0xfee00fff is mapped`,
		);
	});

	test("a range that is to be allowed", () => {
		const { client, program, file, ioasId } = setUp("intel");
		program.attach(file, ioasId);
		client.memory.write(BUFFER, encode(IovaRange, { start: 0xfee0_0000n, last: 0xfeef_ffffn }));
		expect(reasonOf(() => client.call(IoasAllowIovas, { ioasId, numIovas: 1, allowedIovas: BUFFER }))).toBe(
			"EADDRINUSE: 0xfee00000 to 0xfeefffff can't be allowed: 0xfee00000 to 0xfeefffff is reserved (the interrupt (MSI) window of 0000:00:02.0)",
		);
	});
});

describe("EBUSY: the reason says who uses it", () => {
	test("devices that are attached to a HWPT, and HWPTs of an IOAS", () => {
		const { client, program, file, devId, ioasId } = setUp("intel");
		const { outHwptId: hwpt } = client.call(HwptAlloc, { devId, ptId: ioasId, flags: HwptAllocFlags.NEST_PARENT });
		program.attach(file, hwpt);
		expect(reasonOf(() => client.call(Destroy, { id: hwpt }))).toBe(
			`EBUSY: HWPT ${hwpt} is in use by device ${devId} (0000:00:02.0)`,
		);
		const { outHwptId: other } = client.call(HwptAlloc, { devId, ptId: ioasId });
		expect(reasonOf(() => client.call(Destroy, { id: ioasId }))).toBe(
			`EBUSY: IOAS ${ioasId} is in use by HWPT ${hwpt} and HWPT ${other}`,
		);
		expect(reasonOf(() => client.call(Destroy, { id: devId }))).toBe(
			`EBUSY: device ${devId} (0000:00:02.0) is there as long as a driver has it: its file is open`,
		);
	});

	test("a vIOMMU, its vDEVICEs and what is under them", () => {
		const { client, devId, ioasId } = setUp("arm");
		const { outHwptId: hwptId } = client.call(HwptAlloc, { devId, ptId: ioasId, flags: HwptAllocFlags.NEST_PARENT });
		const { outViommuId: viommuId } = client.call(ViommuAlloc, { type: ViommuType.ARM_SMMUV3, devId, hwptId });
		const { outVdeviceId: vdevice } = client.call(VdeviceAlloc, { viommuId, devId, virtId: 1n });
		expect(reasonOf(() => client.call(Destroy, { id: hwptId }))).toBe(
			`EBUSY: HWPT ${hwptId} is in use by vIOMMU ${viommuId}`,
		);
		expect(reasonOf(() => client.call(Destroy, { id: viommuId }))).toBe(
			`EBUSY: vIOMMU ${viommuId} is in use by VDEVICE ${vdevice}`,
		);
	});

	test("more users than one wants to read are counted", () => {
		const { client, devId, ioasId } = setUp("intel");
		const hwpts = Array.from({ length: 6 }, () => client.call(HwptAlloc, { devId, ptId: ioasId }).outHwptId);
		expect(reasonOf(() => client.call(Destroy, { id: ioasId }))).toBe(
			`EBUSY: IOAS ${ioasId} is in use by ${hwpts
				.slice(0, 4)
				.map((id) => `HWPT ${id}`)
				.join(", ")} and 2 more`,
		);
	});
});

test("a group that another open of /dev/iommu has: the reason says which group, and who", () => {
	const { machine, open } = setUp("intel", ({ iommus: [{ devices }] }) => {
		Object.assign(devices[0], { group: 7 });
		Object.assign(devices[1], { group: 7 });
	});
	const other = new TestProgram(open());
	expect(reasonOf(() => other.bind(other.open(machine.vfioDevices[1])))).toBe(
		"EPERM: group 0 (0000:00:02.0, 0000:01:00.0) is in other hands: another open of /dev/iommu has it",
	);
});

test("an invalidation of a VT-d first stage that has something reserved doesn't blame its flags", () => {
	const nested = setUpNesting(text("intel"));
	const { client } = nested.program;
	const { hwptId } = nestOn.intel(nested);
	const invalidate = (values: { flags?: number; reserved?: number }) => {
		client.memory.write(BUFFER, encode(HwptVtdS1Invalidate, values));
		return reasonOf(() =>
			client.call(HwptInvalidate, {
				hwptId,
				dataUptr: BUFFER,
				dataType: InvalidateDataType.VTD_S1,
				entryLen: HwptVtdS1Invalidate.size,
				entryNum: 1,
			}),
		);
	};
	expect(invalidate({ reserved: 1 })).toBe("EOPNOTSUPP: entry 0: __reserved is 0x1, and must be 0");
	expect(invalidate({ flags: 3 })).toBe("EOPNOTSUPP: entry 0: flags has 0x2, and only LEAF (0x1) is known");
});
