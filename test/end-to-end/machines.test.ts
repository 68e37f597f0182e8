// ioasis machines: showing, checking and capturing. What is captured in front of one of our machines is that machine.

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { command, ioasis, temporaryDirectory } from "./programs.js";

const { path: directory, remove } = temporaryDirectory();
afterAll(remove);

interface MachineFile {
	readonly iommus: readonly { readonly devices: readonly Record<string, unknown>[] }[];
}

const shipped = (name: string): MachineFile => JSON.parse(readFileSync(`machines/${name}.json`, "utf8"));

test("show prints the file of a machine, which can be used as one's own", () => {
	const { stdout, status } = ioasis("machines", "show", "intel");
	expect([JSON.parse(stdout), status]).toEqual([shipped("intel"), 0]);
	const file = join(directory, "mine.json");
	writeFileSync(file, stdout);
	expect(ioasis("machines", "check", file)).toEqual({
		status: 0,
		stdout: `${file} is right: the machine "intel" with vfio0 (0000:00:02.0), vfio1 (0000:01:00.0), in 2 groups\n`,
		stderr: "",
	});
	expect(ioasis("machines", "show", "nonesuch").stderr).toContain('there is no machine "nonesuch"');
});

test("check knows the model that only the command has: a function of a vfio-user server's", () => {
	const file = join(directory, "remote.json");
	const device = { address: "0000:00:09.0", model: "vfio-user", options: { socket: "/nowhere/socket" } };
	const { iommus, ...machine } = shipped("intel");
	writeFileSync(file, JSON.stringify({ ...machine, iommus: [{ ...iommus[0], devices: [device] }] }));
	const { status, stderr } = ioasis("machines", "check", file);
	expect([status, stderr]).toEqual([
		2,
		expect.stringContaining(": vfio-user: no server can be had at /nowhere/socket:"),
	]);
});

test("check says what is wrong, and in which line and column", () => {
	const file = join(directory, "wrong.json");
	writeFileSync(file, '{\n\t"name": "mine",\n\t"description": "x",\n\t"iommu": []\n}\n');
	const { stderr, status } = ioasis("machines", "check", file);
	expect(stderr).toBe(`ioasis: ${file}:4:11: unknown field "iommu": did you mean "iommus"?\n`);
	expect(status).toBe(2);
});

describe("capture", () => {
	/** What a file may leave out, and what a capture says of it; and whether a function can be reset, which our /sys doesn't say. */
	const usual = { subsystemVendor: "0x1af4", subsystem: "0x1100" };
	const unsaid = { canReset: undefined };
	const numbers = (value: unknown): unknown =>
		JSON.parse(JSON.stringify(value), (_, one) => (/^0x/.test(one) ? `0x${BigInt(one).toString(16)}` : one));

	test.each(["intel", "amd", "arm", "riscv", "qemu-intel-nested", "qemu-intel-legacy-39"])(
		"in front of %s is that machine again",
		(name) => {
			const { stdout, status } = ioasis("run", "--quiet", "--machine", name, "--", command, "machines", "capture");
			const captured = JSON.parse(stdout) as MachineFile;
			expect(status).toBe(0);
			for (const [i, iommu] of shipped(name).iommus.entries()) {
				const { devices, ...rest } = captured.iommus[i];
				expect(numbers(rest)).toMatchObject(numbers({ ...iommu, devices: undefined }) as object);
				expect(numbers(devices)).toEqual(numbers(iommu.devices.map((device) => ({ ...usual, ...device, ...unsaid }))));
			}
		},
	);

	test("from a copy of /sys: groups, regions of the firmware, and bridges left out", () => {
		const root = join(directory, "tree");
		const write = (path: string, content: string) => {
			mkdirSync(dirname(join(root, path)), { recursive: true });
			writeFileSync(join(root, path), content);
		};
		const link = (path: string, target: string) => {
			mkdirSync(dirname(join(root, path)), { recursive: true });
			symlinkSync(target, join(root, path));
		};
		for (const address of ["0000:03:00.0", "0000:03:00.1"]) {
			const at = `sys/bus/pci/devices/${address}`;
			const ids = { vendor: "0x8086", device: "0x10fb", subsystem_vendor: "0x8086", subsystem_device: "0x0003" };
			for (const [name, value] of Object.entries(ids)) write(`${at}/${name}`, `${value}\n`);
			write(`${at}/class`, "0x020000\n");
			write(`${at}/revision`, "0x01\n");
			write(`${at}/resource`, `${"0x0 0x0 0x0\n".repeat(2)}0xd000 0xd01f 0x40101\n`);
			link(`${at}/iommu`, "../../../dmar1");
			link(`${at}/iommu_group`, "../../../kernel/iommu_groups/17");
			write(`sys/kernel/iommu_groups/17/devices/${address}`, "");
		}
		write("sys/bus/pci/devices/0000:00:01.0/class", "0x060400\n");
		write("sys/kernel/iommu_groups/17/reserved_regions", "0x7d000000 0x7d1fffff direct\n0xfee00000 0xfeefffff msi\n");
		write("sys/class/iommu/dmar1/intel-iommu/cap", "19ed008c40780c66\n");
		write("sys/class/iommu/dmar1/intel-iommu/ecap", "3ef9ea6f050df\n");
		const { stdout, stderr, status } = ioasis("machines", "capture", "--root", root, "--name", "server");
		const { name, iommus } = JSON.parse(stdout);
		expect([name, status]).toEqual(["server", 0]);
		expect(stderr).toContain("0000:03:00.0: only root sees its capabilities");
		expect(iommus).toMatchObject([{ driver: "intel-vtd", registers: { CAP_REG: "0x19ed008c40780c66" } }]);
		expect(iommus[0].devices).toMatchObject([
			{
				address: "0000:03:00.0",
				group: 17,
				bars: [{ index: 2, size: 32, space: "io" }],
				firmwareRegions: [{ kind: "direct", first: "0x7d000000", last: "0x7d1fffff" }],
			},
			{ address: "0000:03:00.1", group: 17 },
		]);
		const file = join(directory, "server.json");
		writeFileSync(file, stdout);
		expect(ioasis("machines", "check", file).status).toBe(0);
	});

	test("of what has no PCI functions is an error", () => {
		const { stderr, status } = ioasis("machines", "capture", "--root", directory);
		expect(stderr).toMatch(/^ioasis: no PCI functions are in .*\n +give the directory/);
		expect(status).toBe(2);
	});
});
