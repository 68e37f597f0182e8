import { expect, test } from "vitest";
import { IommuGroup } from "../iommu/core/group.js";
import { BUFFER } from "../iommufd/client.testing.js";
import { ArrayBacking } from "../memory/array-space.js";
import { codeOf } from "../uapi/errno.js";
import { Destroy, HwptAlloc, HwptAllocFlags, IoasAlloc, IoasMap, IoasUnmap } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import {
	VfioDeviceAttachIommufdPt,
	VfioDeviceBindIommufd,
	VfioDeviceGetInfo,
	VfioDeviceGetIrqInfo,
	VfioDeviceGetPciHotResetInfo,
	VfioDeviceGetRegionInfo,
	VfioDeviceReset,
	VfioPciIrq,
} from "../uapi/vfio.js";
import { TestBus } from "./hardware.testing.js";
import { TestProgram } from "./program.testing.js";
import { VfToken } from "./vf-token.js";

function setUp(...has: Parameters<TestBus["add"]>) {
	const bus = new TestBus();
	const device = bus.add(...has);
	const program = new TestProgram();
	const file = program.open(device);
	const ioas = () => program.client.call(IoasAlloc, {}).outIoasId;
	return { bus, device, program, file, ioas };
}

test("a device answers nothing before it is bound", () => {
	const { program, file } = setUp();
	expect(codeOf(() => program.call(file, VfioDeviceGetInfo, {}))).toBe("EINVAL");
	expect(codeOf(() => program.attach(file, 1))).toBe("EINVAL");
	expect(codeOf(() => file.ioctl(program.caller, 0x3bff, 0))).toBe("EINVAL");
	expect(program.bind(file)).toBe(1);
	expect(codeOf(() => file.ioctl(program.caller, 0x3bff, 0))).toBe("ENOTTY");
});

test("what BIND_IOMMUFD gets as an iommufd must be one", () => {
	const { bus, program, file } = setUp();
	const bind = (iommufd: number, more = {}) =>
		codeOf(() => program.call(file, VfioDeviceBindIommufd, { iommufd, ...more }));
	program.client.files.set(0, { kind: "other" });
	program.client.files.set(9, { kind: "ours", file: program.open(bus.add()) });
	expect([bind(-1), bind(77), bind(0), bind(9)]).toEqual(["EINVAL", "EBADF", "EBADFD", "EBADFD"]);
	expect(bind(program.iommufd, { flags: 2 })).toBe("EINVAL");
	expect(bind(program.iommufd, { argsz: 8 })).toBe("EINVAL");
	expect(bind(program.iommufd)).toBe("ok");
});

test("a device is bound by one open of its file, and free again when that is closed", () => {
	const { device, program, file } = setUp();
	const other = program.open(device);
	program.bind(file);
	expect([codeOf(() => program.bind(file)), codeOf(() => program.bind(other))]).toEqual(["EINVAL", "EINVAL"]);
	file.release();
	expect(program.bind(other)).toBe(1);
});

test("closing a bound device detaches it and takes its id away", () => {
	const { program, file, ioas } = setUp();
	const id = program.bind(file);
	const ioasId = ioas();
	program.attach(file, ioasId);
	expect(codeOf(() => program.client.call(Destroy, { id }))).toBe("EBUSY");
	file.release();
	expect(codeOf(() => program.client.call(Destroy, { id }))).toBe("ENOENT");
	expect(codeOf(() => program.client.call(Destroy, { id: ioasId }))).toBe("ok");
});

test("an iommufd that is closed lives on until its devices are", () => {
	const { device, program, file, ioas } = setUp();
	program.bind(file);
	const ioasId = ioas();
	program.client.fd.release();
	expect(codeOf(() => program.attach(file, ioasId))).toBe("ok");
	file.release();
	expect(device.isOpen).toBe(false);
	expect([...program.client.fd.context.objects]).toEqual([]);
});

test("an answer that can't be written leaves the device unbound", () => {
	const { device, program, file } = setUp();
	const bytes = new Uint8Array(4096);
	bytes.set(encode(VfioDeviceBindIommufd, { iommufd: program.iommufd }));
	const readOnly = 0x3000_0000;
	program.client.memory.map(readOnly, 4096, { backing: new ArrayBacking("read-only", bytes), writable: false });
	expect(codeOf(() => file.ioctl(program.caller, VfioDeviceBindIommufd.number, readOnly))).toBe("EFAULT");
	expect(device.isOpen).toBe(false);
});

test("attach answers the HWPT, a second attach moves the device, and detach may come twice", () => {
	const { program, file, ioas } = setUp();
	const devId = program.bind(file);
	const first = ioas();
	const hwptId = program.attach(file, first);
	expect(hwptId).toBe(3);
	expect(program.attach(file, first)).toBe(hwptId);
	const { outHwptId } = program.client.call(HwptAlloc, { devId, ptId: ioas() });
	expect(program.attach(file, outHwptId)).toBe(outHwptId);
	program.detach(file);
	program.detach(file);
	expect(codeOf(() => program.attach(file, 99))).toBe("ENOENT");
});

test("what is mapped in an IOAS is pinned as long as a device is attached", () => {
	const { program, file, ioas } = setUp();
	program.bind(file);
	const ioasId = ioas();
	const { iova } = program.client.call(IoasMap, { ioasId, flags: 6, userVa: BigInt(BUFFER), length: 8192n });
	const { frames } = program.client.platform;
	expect(frames.pinned).toBe(0);
	program.attach(file, ioasId);
	expect(frames.pinned).toBe(2);
	program.detach(file);
	expect(frames.pinned).toBe(0);
	program.client.call(IoasUnmap, { ioasId, iova, length: 8192n });
});

test("PASID 0 is the device itself, but only DETACH with PASID 0 undoes its attach", () => {
	const { program, file, ioas } = setUp({ pasidBits: 4, isExpress: true });
	program.bind(file);
	const ioasId = ioas();
	program.attach(file, ioasId, 0);
	program.detach(file);
	expect(codeOf(() => program.attach(file, ioasId))).toBe("EBUSY");
	program.detach(file, 0);
	expect(codeOf(() => program.attach(file, ioasId))).toBe("ok");
});

test("a PASID takes a HWPT that was made for it, and a PASID that the device can send", () => {
	const { program, file, ioas } = setUp({ pasidBits: 4, isExpress: true });
	const devId = program.bind(file);
	const ptId = ioas();
	const { outHwptId } = program.client.call(HwptAlloc, { devId, ptId, flags: HwptAllocFlags.PASID });
	const attach = (pasid: number, to = outHwptId) => codeOf(() => program.attach(file, to, pasid));
	expect([attach(5), attach(16), attach(6, ptId)]).toEqual(["ok", "EINVAL", "EINVAL"]);
	// VFIO keeps PASIDs as ints, and looks at that first.
	expect([attach(2 ** 31 - 1), attach(2 ** 31), attach(2 ** 32 - 1)]).toEqual(["EINVAL", "ENOSPC", "ENOSPC"]);
	expect(attach(5)).toBe("ok"); // replaced by itself
	program.detach(file, 7);
	program.detach(file, 5);
	expect(codeOf(() => program.client.call(Destroy, { id: outHwptId }))).toBe("ok");
});

test("devices of one group are attached together", () => {
	const bus = new TestBus();
	const group = new IommuGroup(7);
	const program = new TestProgram();
	const [one, two] = [0, 1].map(() => program.open(bus.add({}, { kind: "none" }, group)));
	program.bind(one);
	program.bind(two);
	const [here, there] = [0, 1].map(() => program.client.call(IoasAlloc, {}).outIoasId);
	program.attach(one, here);
	expect(codeOf(() => program.attach(two, there))).toBe("EINVAL");
	expect(codeOf(() => program.attach(two, here))).toBe("ok");
	const other = new TestProgram();
	expect(codeOf(() => other.bind(other.open(bus.add({}, { kind: "none" }, group))))).toBe("EPERM");
});

test("argsz says how much of a struct there is", () => {
	const { program, file } = setUp();
	program.bind(file);
	const answer = (argsz: number, flags: number) =>
		codeOf(() => program.call(file, VfioDeviceAttachIommufdPt, { argsz, flags, ptId: 99 }));
	expect([answer(11, 0), answer(12, 0), answer(12, 1), answer(16, 1), answer(16, 2)]).toEqual([
		"EINVAL",
		"ENOENT",
		"EINVAL",
		"ENOENT",
		"EINVAL",
	]);
});

test("GET_INFO counts regions and interrupts, and says whether RESET works", () => {
	for (const canReset of [true, false]) {
		const { program, file } = setUp({ canReset });
		program.bind(file);
		const { flags, numRegions, numIrqs, capOffset } = program.call(file, VfioDeviceGetInfo, {});
		expect([flags, numRegions, numIrqs, capOffset]).toEqual([canReset ? 3 : 2, 9, 5, 0]);
		const reset = () => file.ioctl(program.caller, VfioDeviceReset.number, 0);
		expect(codeOf(reset)).toBe(canReset ? "ok" : "EINVAL");
	}
});

test("regions are BARs and the configuration space, at 2^40 times their index", () => {
	const { program, file } = setUp();
	program.bind(file);
	const region = (index: number) => program.call(file, VfioDeviceGetRegionInfo, { index });
	expect([region(0).size, region(0).flags]).toEqual([1n << 20n, 3]);
	expect([region(1).size, region(1).flags, region(1).offset]).toEqual([0n, 0, 1n << 40n]);
	expect([region(7).size, region(7).offset]).toEqual([256n, 7n << 40n]);
	expect(codeOf(() => region(8))).toBe("EINVAL");
});

test("interrupts have vectors, and flags that say what can be done with them", () => {
	const { program, file } = setUp({ msiVectors: 4 });
	program.bind(file);
	const irq = (index: number) => program.call(file, VfioDeviceGetIrqInfo, { index });
	expect([irq(VfioPciIrq.INTX).count, irq(VfioPciIrq.MSI).count, irq(VfioPciIrq.MSIX).count]).toEqual([1, 4, 0]);
	expect([irq(VfioPciIrq.INTX).flags, irq(VfioPciIrq.MSI).flags]).toEqual([7, 9]);
	expect(codeOf(() => irq(5))).toBe("EINVAL");
});

test("a bus that can't be reset has no dependent devices", () => {
	const { program, file } = setUp();
	program.bind(file);
	expect(codeOf(() => program.call(file, VfioDeviceGetPciHotResetInfo, {}))).toBe("ENODEV");
});

test("a VF token lets those in who know it", () => {
	const bus = new TestBus();
	const token = new VfToken();
	const physical = bus.add({}, { kind: "physical", token });
	const virtual = bus.add({}, { kind: "virtual", token });
	const plain = bus.add();
	const program = new TestProgram();
	const uuidAt = 0x1000_8000;
	const bind = (device: typeof plain, uuid?: number) => {
		if (uuid !== undefined) program.client.memory.write(uuidAt, new Uint8Array(16).fill(uuid));
		const withToken = uuid === undefined ? {} : { flags: 1, tokenUuidPtr: uuidAt };
		const file = program.open(device);
		return {
			file,
			code: codeOf(() => program.call(file, VfioDeviceBindIommufd, { iommufd: program.iommufd, ...withToken })),
		};
	};
	expect(bind(plain, 1).code).toBe("EINVAL");
	expect(bind(virtual).code).toBe("EACCES");
	const owner = bind(physical, 1); // sets it
	expect(owner.code).toBe("ok");
	expect([bind(virtual, 2).code, bind(virtual, 1).code]).toEqual(["EACCES", "ok"]);
	owner.file.release();
	expect([bind(physical).code, bind(physical, 2).code, bind(physical, 1).code]).toEqual(["EACCES", "EACCES", "ok"]);
});
