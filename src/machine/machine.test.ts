import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { EduRegister } from "../devices/edu.js";
import { TestEventFd } from "../files/event-fd.testing.js";
import { BUFFER } from "../iommufd/client.testing.js";
import type { HwptPolicy } from "../iommufd/hwpt-policy.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import { codeOf } from "../uapi/errno.js";
import { HwptAlloc, HwptAllocFlags, HwptDataType, IoasAlloc, IoasMap } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { VfioDeviceSetIrqs, VfioIrqSetFlags, VfioPciIrq } from "../uapi/vfio.js";
import { TestProgram } from "../vfio/program.testing.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

function machine(name: string, policy?: HwptPolicy): Machine {
	const source = `machines/${name}.json`;
	return new Machine(parseMachineDescription(readFileSync(source, "utf8"), source), policy);
}

/** A program that has a machine's /dev/iommu open. */
function programOn(on: Machine): TestProgram {
	const file = on.open("/dev/iommu");
	if (!(file instanceof IommufdFile)) throw new Error("no /dev/iommu");
	return new TestProgram(file);
}

test("a machine has /dev/iommu, and a file for each group and each function", () => {
	const intel = machine("intel");
	const devices = ["/dev/vfio/devices/vfio0", "/dev/vfio/devices/vfio1"];
	expect(intel.paths).toEqual(["/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/0", "/dev/vfio/1", ...devices]);
	for (const path of intel.paths) expect(intel.open(path)?.path).toBe(path);
	expect(intel.open("/dev/vfio/devices/vfio2")).toBeUndefined();
	expect(intel.open("/dev/null")).toBeUndefined();
});

test("functions that would need their caches flushed aren't VFIO's", () => {
	const description = parseMachineDescription(readFileSync("machines/riscv.json", "utf8"), "riscv.json");
	const [iommu] = description.iommus;
	if (iommu.driver !== "riscv") throw new Error("not the RISC-V machine");
	expect(new Machine(description).vfioDevices).toHaveLength(2);
	const honest = { ...description, iommus: [{ ...iommu, claimsCacheCoherency: false }] };
	expect(new Machine(honest).vfioDevices).toHaveLength(0);
});

test("functions with the same group number share a group", () => {
	const at = (address: string, group?: number) => ({ address, vendor: "0x1", device: "0x2", class: "0x020000", group });
	const devices = [at("0000:00:01.0", 4), at("0000:00:01.1", 4), at("0000:00:02.0")];
	const text = { name: "x", description: "x", iommus: [{ driver: "amd", registers: { EFR: "0x29d3" }, devices }] };
	const { vfioDevices } = new Machine(parseMachineDescription(JSON.stringify(text), "x"));
	expect(vfioDevices.map(({ device }) => device.group.id)).toEqual([0, 0, 1]);
});

test("BARs are placed one after the other, aligned to their size", () => {
	const bars = [
		{ index: 0, size: 4096 },
		{ index: 1, size: 1 << 20 },
		{ index: 2, size: 16 },
	];
	const device = { address: "0000:00:01.0", vendor: "0x1", device: "0x2", class: "0x020000", bars };
	const text = {
		name: "x",
		description: "x",
		iommus: [{ driver: "amd", registers: { EFR: "0x29d3" }, devices: [device] }],
	};
	const { vfioDevices } = new Machine(parseMachineDescription(JSON.stringify(text), "x"));
	expect(vfioDevices[0].hardware.bars.map(({ address }) => address)).toEqual([
		0xc000_0000n,
		0xc010_0000n,
		0xc020_0000n,
	]);
});

test("a function whose firmware wants memory mapped at all times can't be bound, unless it is graphics or USB", () => {
	const bind = (classCode: string) => {
		const device = {
			address: "0000:00:01.0",
			vendor: "0x1",
			device: "0x2",
			class: classCode,
			firmwareRegions: [{ kind: "direct", first: "0x70000000", last: "0x7fffffff" }],
		};
		const registers = { CAP_REG: "0xd2008c222f0686", ECAP_REG: "0x480080f00f4a" };
		const text = { name: "x", description: "x", iommus: [{ driver: "intel-vtd", registers, devices: [device] }] };
		const on = new Machine(parseMachineDescription(JSON.stringify(text), "x"));
		const program = programOn(on);
		return codeOf(() => program.bind(program.open(on.vfioDevices[0])));
	};
	expect([bind("0x020000"), bind("0x030000"), bind("0x0c0330")]).toEqual(["EINVAL", "ok", "ok"]);
});

test("what firmware wants mapped until a driver takes over is no hole in the IOVAs, but interrupts are", () => {
	const device = {
		address: "0000:00:01.0",
		vendor: "0x1",
		device: "0x2",
		class: "0x0c0330",
		firmwareRegions: [
			{ kind: "direct", first: "0x70000000", last: "0x7fffffff" },
			{ kind: "reserved", first: "0x90000000", last: "0x90000fff" },
		],
	};
	const registers = { CAP_REG: "0xd2008c222f0686", ECAP_REG: "0x480080f00f4a" };
	const text = { name: "x", description: "x", iommus: [{ driver: "intel-vtd", registers, devices: [device] }] };
	const on = new Machine(parseMachineDescription(JSON.stringify(text), "x"));
	const program = programOn(on);
	const file = program.open(on.vfioDevices[0]);
	program.bind(file);
	const { outIoasId: ioasId } = program.client.call(IoasAlloc, {});
	program.attach(file, ioasId);
	const map = (iova: bigint) =>
		codeOf(() => program.client.call(IoasMap, { ioasId, flags: 7, userVa: BigInt(BUFFER), length: 4096n, iova }));
	const answers = [0x7000_0000n, 0x7fff_f000n, 0x8fff_f000n, 0x9000_0000n, 0x9000_1000n, 0xfee0_0000n].map(map);
	expect(answers).toEqual(["ok", "ok", "ok", "EINVAL", "ok", "EINVAL"]);
});

test("an IOMMU that doesn't remap interrupts keeps its devices from programs", () => {
	const device = { address: "0000:00:01.0", vendor: "0x1", device: "0x2", class: "0x020000" };
	const registers = { CAP_REG: "0xd2008c222f0686", ECAP_REG: "0x480080f00f42" };
	const text = { name: "x", description: "x", iommus: [{ driver: "intel-vtd", registers, devices: [device] }] };
	const on = new Machine(parseMachineDescription(JSON.stringify(text), "x"));
	const program = programOn(on);
	expect(codeOf(() => program.bind(program.open(on.vfioDevices[0])))).toBe("EPERM");
});

test("every machine lets a program bind and attach, and nothing is left when it goes", () => {
	for (const name of ["intel", "amd", "arm", "riscv", "s390", "s390-2023", "arm-smmu-2023"]) {
		const on = machine(name);
		const program = programOn(on);
		const files = on.vfioDevices.map((device) => program.open(device));
		for (const file of files) program.bind(file);
		const ioasId = program.client.call(IoasAlloc, {}).outIoasId;
		for (const file of files) expect(program.attach(file, ioasId)).toBeGreaterThan(ioasId);
		expect(on.tables.tablesInUse).toBeGreaterThan(0);
		program.client.fd.release();
		for (const file of files) file.release();
		expect([name, on.frames.pinned, on.tables.tablesInUse]).toEqual([name, 0, 0]);
	}
});

test("what is bound holds what it is bound to: there, and no leftover, until the device is closed, too", () => {
	const intel = machine("intel");
	const program = programOn(intel);
	const file = program.open(intel.vfioDevices[0]);
	program.bind(file);
	program.attach(file, program.client.call(IoasAlloc, {}).outIoasId);
	program.client.fd.release();
	expect([...intel.hwpts()]).toHaveLength(1);
	file.release();
	expect([...intel.contexts()]).toEqual([]);
	expect(intel.leftovers()).toEqual(["1 IOAS when /dev/iommu was closed"]);
});

test("a reason says what to do instead: to nest on a vIOMMU, or to take the machine that has the mock IOMMU", () => {
	const arm = machine("arm");
	const program = programOn(arm);
	const { client } = program;
	const devId = program.bind(program.open(arm.vfioDevices[0]));
	const { outIoasId: ptId } = client.call(IoasAlloc, {});
	const { outHwptId } = client.call(HwptAlloc, { flags: HwptAllocFlags.NEST_PARENT, devId, ptId });
	const data = { dataType: HwptDataType.ARM_SMMUV3, dataLen: 16, dataUptr: BUFFER };
	const nest = () => client.call(HwptAlloc, { devId, ptId: outHwptId, ...data });
	expect(nest).toThrow(/^EOPNOTSUPP: arm-smmu-v3 nests on a vIOMMU, and HWPT 3 is none: IOMMU_VIOMMU_ALLOC makes one/);
	expect(() => client.test("MOCK_DOMAIN", { id: ptId })).toThrow(/^ENOTTY: .* mock IOMMU, .* `selftest`/);
});

test("a type of data is called by its name where it has one", () => {
	const intel = machine("intel");
	const program = programOn(intel);
	const { client } = program;
	const devId = program.bind(program.open(intel.vfioDevices[0]));
	const { outIoasId: ptId } = client.call(IoasAlloc, {});
	const { outHwptId } = client.call(HwptAlloc, { flags: HwptAllocFlags.NEST_PARENT, devId, ptId });
	const nest = (dataType: number) =>
		client.call(HwptAlloc, { devId, ptId: outHwptId, dataType, dataLen: 16, dataUptr: BUFFER });
	expect(() => nest(HwptDataType.ARM_SMMUV3)).toThrow("data_type is ARM_SMMUV3, and it nests with VTD_S1 only");
	expect(() => nest(0x77)).toThrow("data_type is 0x77, and it nests with VTD_S1 only");
});

test("what a device's model does to interrupt arrives at the program that has the device", () => {
	const intel = machine("intel");
	const program = programOn(intel);
	const [device] = intel.vfioDevices;
	const file = program.open(device);
	program.bind(file);
	const eventFd = new TestEventFd();
	program.client.files.set(10, eventFd.file);
	const set = { flags: VfioIrqSetFlags.DATA_EVENTFD | VfioIrqSetFlags.ACTION_TRIGGER, index: VfioPciIrq.INTX };
	const { memory } = program.client;
	const argsz = VfioDeviceSetIrqs.size + 4;
	memory.write(BUFFER, encode(VfioDeviceSetIrqs, { ...set, argsz, start: 0, count: 1 }));
	memory.write(BUFFER + VfioDeviceSetIrqs.size, Uint8Array.of(10, 0, 0, 0));
	file.ioctl(program.caller, VfioDeviceSetIrqs.number, BUFFER);
	const write = (register: number, value: number) => {
		memory.write(BUFFER, Uint8Array.of(value, 0, 0, 0));
		file.writeAt(memory, BUFFER, 4, register);
	};
	write(EduRegister.INTERRUPT_RAISE, 1);
	expect([eventFd.signals, device.config.u16(6) & 8]).toEqual([1, 8]);
	write(EduRegister.INTERRUPT_ACKNOWLEDGE, 1);
	expect(device.config.u16(6) & 8).toBe(0);
});
