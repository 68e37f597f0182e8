// What the machines that ship show in /sys and /dev.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseMachineDescription } from "./description.js";
import type { Node } from "./file-tree.js";
import { Machine } from "./machine.js";
import { reservedRegionLines } from "./sysfs.js";

function machine(name: string): Machine {
	const file = new URL(`../../machines/${name}.json`, import.meta.url);
	return new Machine(parseMachineDescription(readFileSync(file, "utf8"), name));
}

function read({ files }: Machine, path: string): string {
	const { node } = files.walk(path, true);
	if (node?.kind !== "file") throw new Error(`${path}: ${node?.kind}`);
	return typeof node.content === "string" ? node.content : Buffer.from(node.content).toString("latin1");
}

function list({ files }: Machine, path: string): string[] {
	const { node } = files.walk(path, true);
	return node?.kind === "directory" ? [...node.entries.keys()].sort() : [];
}

test("a function's files say what its configuration space says", () => {
	const intel = machine("intel");
	const path = "/sys/bus/pci/devices/0000:01:00.0";
	const names = ["vendor", "device", "subsystem_vendor", "subsystem_device", "class", "revision", "irq"];
	expect(names.map((name) => read(intel, `${path}/${name}`).trim())).toEqual([
		"0x1b36",
		"0x0010",
		"0x1af4",
		"0x1100",
		"0x010802",
		"0x02",
		"0",
	]);
	expect(read(intel, `${path}/modalias`)).toBe("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02\n");
	expect(read(intel, `${path}/uevent`)).toBe(
		`DRIVER=vfio-pci\nPCI_CLASS=10802\nPCI_ID=1B36:0010\nPCI_SUBSYS_ID=1AF4:1100\nPCI_SLOT_NAME=0000:01:00.0\nMODALIAS=${read(intel, `${path}/modalias`)}`,
	);
	expect(read(intel, `${path}/config`).slice(0, 4)).toBe("\x36\x1b\x10\x00");
	expect(read(intel, `${path}/config`)).toHaveLength(4096);
	const lines = read(intel, `${path}/resource`).split("\n");
	expect(lines[0]).toBe("0x0000008000000000 0x0000008000003fff 0x0000000000140204");
	expect(lines[1]).toBe("0x0000000000000000 0x0000000000000000 0x0000000000000000");
	expect(lines).toHaveLength(14);
});

test("its links lead to its driver, its group, its IOMMU and its VFIO device, and back", () => {
	const intel = machine("intel");
	const path = "/sys/devices/pci0000:00/0000:00:02.0";
	const links = { driver: "vfio-pci", iommu_group: "0", iommu: "dmar0", subsystem: "pci" };
	for (const [name, target] of Object.entries(links))
		expect(intel.files.walk(`${path}/${name}`, true).path.split("/").pop()).toBe(target);
	for (const back of [
		"/sys/bus/pci/devices/0000:00:02.0",
		"/sys/bus/pci/drivers/vfio-pci/0000:00:02.0",
		"/sys/kernel/iommu_groups/0/devices/0000:00:02.0",
		"/sys/class/iommu/dmar0/devices/0000:00:02.0",
		"/sys/class/vfio-dev/vfio0/device",
	])
		expect(intel.files.walk(back, true).path).toBe(path);
});

test("each device in /dev has the number that sysfs gives", () => {
	const intel = machine("intel");
	const places = {
		"/dev/iommu": "/sys/class/misc/iommu",
		"/dev/vfio/vfio": "/sys/class/misc/vfio",
		"/dev/vfio/devices/vfio1": "/sys/bus/pci/devices/0000:01:00.0/vfio-dev/vfio1",
	};
	for (const [device, directory] of Object.entries(places)) {
		const { node } = intel.files.walk(device, true) as { node: Node & { kind: "device" } };
		const number = `${node.major}:${node.minor}`;
		expect(read(intel, `${directory}/dev`)).toBe(`${number}\n`);
		expect(read(intel, `/sys/dev/char/${number}/uevent`)).toContain(`DEVNAME=${device.slice("/dev/".length)}\n`);
	}
	expect(read(intel, "/sys/class/misc/vfio/dev")).toBe("10:196\n");
	for (const path of intel.paths) expect(intel.files.walk(path, false).node?.kind).toBe("device");
});

test("functions that VFIO doesn't take have no driver", () => {
	const description = JSON.parse(readFileSync(new URL("../../machines/riscv.json", import.meta.url), "utf8"));
	description.iommus[0].claimsCacheCoherency = false;
	const riscv = new Machine(parseMachineDescription(JSON.stringify(description), "riscv"));
	expect(list(riscv, "/sys/class/vfio-dev")).toEqual([]);
	const [name] = list(riscv, "/sys/bus/pci/devices");
	expect(list(riscv, `/sys/bus/pci/devices/${name}`)).not.toContain("driver");
	expect(read(riscv, `/sys/bus/pci/devices/${name}/driver_override`)).toBe("(null)\n");
});

test.each(["selftest", "intel", "amd", "arm", "riscv", "s390", "pamu-2023", "arm-smmu-2023", "noiommu"])(
	"no link of %s leads nowhere",
	(name) => {
		const { files } = machine(name);
		const dangling: string[] = [];
		const visit = (path: string, node: Node) => {
			if (node.kind === "link" && files.walk(path, true).node === undefined) dangling.push(path);
			if (node.kind === "directory") for (const [entry, child] of node.entries) visit(`${path}/${entry}`, child);
		};
		visit("", files.root);
		expect(dangling).toEqual([]);
	},
);

test("an IOMMU shows its registers", () => {
	expect(read(machine("intel"), "/sys/class/iommu/dmar0/intel-iommu/cap")).toBe("19ed008c40780c66\n");
	expect(read(machine("qemu-amd"), "/sys/class/iommu/ivhd0/amd-iommu/features")).toBe("29d3:0\n");
});

test("a group's reserved regions are in order, and those that touch are one", () => {
	expect(read(machine("intel"), "/sys/kernel/iommu_groups/0/reserved_regions")).toBe(
		"0x00000000fee00000 0x00000000feefffff msi\n",
	);
	expect(read(machine("arm"), "/sys/kernel/iommu_groups/0/type")).toBe("DMA\n");
	const lines = reservedRegionLines([
		{ kind: "software-msi", first: 0x8000000n, last: 0x80fffffn },
		{ kind: "reserved", first: 0x2000n, last: 0x2fffn },
		{ kind: "direct", first: 0x1000n, last: 0x1fffn },
		{ kind: "reserved", first: 0x1000n, last: 0x1fffn },
	]);
	expect(lines).toEqual([
		"0x0000000000001000 0x0000000000001fff direct\n",
		"0x0000000000001000 0x0000000000002fff reserved\n",
		"0x0000000008000000 0x00000000080fffff msi\n",
	]);
});

test("a function has the files of SR-IOV when it has virtual functions, and they lead to each other", () => {
	const nic = {
		vendor: "0x8086",
		device: "0x10fb",
		class: "0x020000",
		express: true,
		bars: [{ index: 0, size: 16384 }],
	};
	const devices = [
		{ ...nic, address: "0000:01:00.0", sriov: true },
		{ ...nic, address: "0000:01:10.0", virtualFunctionOf: "0000:01:00.0" },
		{ ...nic, address: "0000:02:00.0", sriov: true },
	];
	const registers = { CAP_REG: "0x19ed008c40780c66", ECAP_REG: "0x3ef9ea6f050df" };
	const description = { name: "sriov", description: "", iommus: [{ driver: "intel-vtd", registers, devices }] };
	const machine = new Machine(parseMachineDescription(JSON.stringify(description), "sriov"));
	const path = (address: string) => `/sys/bus/pci/devices/${address}`;
	const says = (name: string) => read(machine, `${path("0000:01:00.0")}/sriov_${name}`);
	expect(["totalvfs", "offset", "stride", "vf_device", "vf_total_msix"].map(says)).toEqual(
		["1", "128", "1", "10fb", "0"].map((line) => `${line}\n`),
	);
	expect(machine.files.walk(`${path("0000:01:00.0")}/virtfn0/physfn`, true).path).toMatch(/0000:01:00\.0$/);
	expect(list(machine, path("0000:02:00.0")).filter((name) => name.startsWith("sriov"))).toEqual([]);
	expect(machine.vfioDevices.map(({ sriov }) => sriov.kind)).toEqual(["physical", "virtual", "none"]);
});
