import { expect, test } from "vitest";
import { TestEventFd } from "../files/event-fd.testing.js";
import { TestClient } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc } from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import {
	VfioDeviceBindIommufd,
	VfioDeviceSetIrqs,
	VfioGroupFlags,
	VfioGroupGetStatus,
	VfioIrqSetFlags,
	VfioPciIrq,
} from "../uapi/vfio.js";
import type { Machine } from "./machine.js";
import type { BoundFunction } from "./pci-drivers.js";
import { machineWith } from "./vtd-machine.testing.js";

const ARGUMENT = 0x1000_0000;

function functionOf(on: Machine, address: string): BoundFunction {
	return on.pci.functions.find((one) => one.address === address)!;
}

function read(on: Machine, path: string): unknown {
	const { node } = on.files.walk(path, true);
	return node?.kind === "file" ? node.content : node?.kind;
}

const DEVICES = "/sys/bus/pci/devices";

test("a function begins with the driver that its machine file names, or with none", () => {
	const on = machineWith({}, { driver: "igb" }, { driver: "none" });
	expect(on.pci.functions.map(({ driver }) => driver)).toEqual(["vfio-pci", "igb", undefined]);
	expect(on.pci.names).toEqual(["vfio-pci", "igb"]);
	expect(on.files.walk(`${DEVICES}/0000:00:02.0/driver`, true).path).toBe("/sys/bus/pci/drivers/igb");
	expect(read(on, `${DEVICES}/0000:00:03.0/driver`)).toBeUndefined();
	expect(read(on, `${DEVICES}/0000:00:03.0/driver_override`)).toBe("(null)\n");
	expect(on.paths.filter((path) => path.startsWith("/dev/vfio"))).toEqual([
		"/dev/vfio/vfio",
		"/dev/vfio/0",
		"/dev/vfio/devices/vfio0",
	]);
});

test("vfio-pci takes a function whose driver_override is its name, or whose ids it was told, and no other", () => {
	const on = machineWith({ driver: "igb" }, { driver: "none", device: "0x1521" });
	const { pci } = on;
	const [igb, none] = pci.functions;
	expect(codeOf(() => pci.bind("vfio-pci", "0000:00:02.0\n"))).toBe("ENODEV");
	expect(codeOf(() => pci.bind("vfio-pci", "0000:00:1f.0"))).toBe("ENODEV");
	pci.setOverride(none, "vfio-pci\n");
	pci.bind("vfio-pci", "0000:00:02.0\n");
	expect([none.driver, codeOf(() => pci.bind("vfio-pci", "0000:00:02.0"))]).toEqual(["vfio-pci", "EBUSY"]);
	// As driverctl does it.
	expect(codeOf(() => pci.unbind("vfio-pci", "0000:00:01.0"))).toBe("ENODEV");
	pci.unbind("igb", "0000:00:01.0");
	pci.setOverride(igb, "vfio-pci");
	pci.probe("0000:00:01.0");
	expect(igb.driver).toBe("vfio-pci");
	// And back.
	pci.unbind("vfio-pci", "0000:00:01.0");
	pci.setOverride(igb, "\n");
	pci.probe("0000:00:01.0");
	expect([igb.driver, igb.override]).toEqual(["igb", undefined]);
	expect(codeOf(() => pci.probe("0000:00:09.0"))).toBe("ENODEV");
	expect(codeOf(() => pci.setOverride(igb, "x".repeat(5000)))).toBe("EINVAL");
});

test("a driver that is told of ids takes what has them and no driver, until it is told to forget them", () => {
	const on = machineWith({ driver: "none" }, { driver: "igb" }, { driver: "none", device: "0x1521" });
	const { pci } = on;
	expect(codeOf(() => pci.newId("vfio-pci", "8086"))).toBe("EINVAL");
	pci.newId("vfio-pci", "8086 10c9\n");
	expect(pci.functions.map(({ driver }) => driver)).toEqual(["vfio-pci", "igb", undefined]);
	expect(codeOf(() => pci.newId("vfio-pci", "8086 10c9"))).toBe("EEXIST");
	expect(codeOf(() => pci.newId("igb", "8086 10c9"))).toBe("EEXIST");
	pci.unbind("igb", "0000:00:02.0");
	pci.bind("vfio-pci", "0000:00:02.0");
	pci.unbind("vfio-pci", "0000:00:01.0");
	pci.removeId("vfio-pci", "8086 10c9");
	expect(codeOf(() => pci.removeId("vfio-pci", "8086 10c9"))).toBe("ENODEV");
	expect(codeOf(() => pci.bind("vfio-pci", "0000:00:01.0"))).toBe("ENODEV");
});

test("indices and minors are the lowest that are free", () => {
	const on = machineWith({}, {}, {});
	const { pci } = on;
	for (const address of ["0000:00:02.0", "0000:00:01.0"]) pci.unbind("vfio-pci", address);
	expect(on.vfioGroups.map(({ name }) => name)).toEqual(["2"]);
	pci.bind("vfio-pci", "0000:00:02.0");
	expect(on.files.walk("/sys/class/vfio-dev/vfio0/device", true).path).toMatch(/0000:00:02.0$/);
	expect([read(on, "/sys/class/vfio/1/dev"), read(on, "/sys/class/vfio/0/dev")]).toEqual(["511:0\n", undefined]);
});

test("a group with a function that a driver of the kernel's uses isn't viable, and one that a program has keeps such drivers away", () => {
	const on = machineWith({ group: 1 }, { group: 1, driver: "igb" }, { group: 1, driver: "none" });
	const client = new TestClient();
	const group = client.install(on.open("/dev/vfio/0", client)!);
	const status = () => {
		client.memory.write(ARGUMENT, encode(VfioGroupGetStatus, {}));
		fileOf(client, group).ioctl(client, VfioGroupGetStatus.number, ARGUMENT);
		const answer = VfioGroupGetStatus.newView();
		client.memory.read(ARGUMENT, answer.bytes);
		return answer.flags;
	};
	expect(status()).toBe(0);
	on.pci.unbind("igb", "0000:00:02.0");
	expect(status()).toBe(VfioGroupFlags.VIABLE);
	const { group: iommuGroup } = on.vfioDevices[0].device;
	iommuGroup.claimAlone({}, "a test");
	expect(codeOf(() => on.pci.bind("igb", "0000:00:02.0"))).toBe("EBUSY");
	iommuGroup.release();
	expect(codeOf(() => on.pci.bind("igb", "0000:00:02.0"))).toBe("ok");
});

function fileOf(client: TestClient, fd: number) {
	const found = client.file(fd);
	if (found?.kind !== "ours") throw new Error(`fd ${fd} is not a file of ours`);
	return found.file;
}

test("a function that a program has is asked back, and goes when it is closed", () => {
	const on = machineWith({});
	const client = new TestClient(undefined, {}, on.open("/dev/iommu") as TestClient["fd"]);
	const iommufd = client.install(client.fd);
	const cdev = client.install(on.open("/dev/vfio/devices/vfio0", client)!);
	const call = (number: number, bytes: Uint8Array) => {
		client.memory.write(ARGUMENT, bytes);
		fileOf(client, cdev).ioctl(client, number, ARGUMENT);
	};
	call(VfioDeviceBindIommufd.number, encode(VfioDeviceBindIommufd, { iommufd }));
	const request = new TestEventFd();
	client.files.set(77, request.file);
	const flags = VfioIrqSetFlags.DATA_EVENTFD | VfioIrqSetFlags.ACTION_TRIGGER;
	const set = encode(VfioDeviceSetIrqs, { argsz: VfioDeviceSetIrqs.size + 4, flags, index: VfioPciIrq.REQ, count: 1 });
	call(VfioDeviceSetIrqs.number, Uint8Array.from([...set, ...new Uint8Array(Int32Array.of(77).buffer)]));

	on.pci.unbind("vfio-pci", "0000:00:01.0");
	expect([request.signals, on.pci.functions[0].driver]).toEqual([1, "vfio-pci"]);
	expect([on.open("/dev/vfio/devices/vfio0"), read(on, "/sys/class/vfio-dev/vfio0")]).toEqual([undefined, undefined]);
	expect(client.call(IoasAlloc, {}).outIoasId).toBe(2);
	client.close(cdev);
	expect([on.pci.functions[0].driver, on.paths]).toEqual([undefined, ["/dev/iommu", "/dev/vfio/vfio"]]);
});

test("virtual functions are made and taken away by sriov_numvfs of a physical function that VFIO has", () => {
	const virtual = { virtualFunctionOf: "0000:00:01.0", express: true };
	const on = machineWith({ sriov: true, express: true, numvfs: 0 }, virtual, virtual);
	const { pci } = on;
	const physical = functionOf(on, "0000:00:01.0");
	const set = (text: string) => codeOf(() => pci.setNumvfs(physical, text));
	const numbers = () => ["sriov_numvfs", "sriov_totalvfs"].map((name) => read(on, `${DEVICES}/0000:00:01.0/${name}`));
	/** What it says in its configuration space: NumVFs and VF Enable. */
	const { config } = physical.one.vfio!;
	const said = () => [config.u16(0x100 + 0x10), config.u16(0x100 + 8) & 1];
	expect([numbers(), on.vfioGroups.length, said()]).toEqual([["0\n", "2\n"], 1, [0, 0]]);
	expect([set("x"), set("65536"), set("3"), set("0")]).toEqual(["EINVAL", "EINVAL", "ERANGE", "ok"]);
	expect([set("0x1\n"), numbers(), said()]).toEqual(["ok", ["1\n", "2\n"], [1, 1]]);
	config.restore();
	expect(said()).toEqual([1, 1]);
	expect(functionOf(on, "0000:00:02.0").driver).toBe("vfio-pci");
	expect(on.files.walk(`${DEVICES}/0000:00:01.0/virtfn0`, true).path).toMatch(/0000:00:02.0$/);
	expect(read(on, `${DEVICES}/0000:00:03.0`)).toBeUndefined();
	expect([set("2"), set("1"), set("0")]).toEqual(["EBUSY", "ok", "ok"]);
	expect([numbers(), on.vfioGroups.length, read(on, `${DEVICES}/0000:00:02.0`)]).toEqual([
		["0\n", "2\n"],
		1,
		undefined,
	]);
	pci.setEnableSriov("N\n");
	expect([set("1"), codeOf(() => pci.setEnableSriov("maybe"))]).toEqual(["ENOENT", "EINVAL"]);
	pci.setEnableSriov("Y\n");
	set("2");
	expect(said()).toEqual([2, 1]);
	pci.unbind("vfio-pci", "0000:00:01.0");
	expect([numbers()[0], said(), set("1")]).toEqual(["0\n", [0, 0], "ENOENT"]);
});

test("without numvfs all virtual functions are there from the start, and a function without any has no file of SR-IOV", () => {
	const on = machineWith({ sriov: true }, { virtualFunctionOf: "0000:00:01.0" }, { sriov: true });
	expect(read(on, `${DEVICES}/0000:00:01.0/sriov_numvfs`)).toBe("1\n");
	expect(read(on, `${DEVICES}/0000:00:03.0/sriov_numvfs`)).toBeUndefined();
	expect(on.paths).toContain("/dev/vfio/1");
});
