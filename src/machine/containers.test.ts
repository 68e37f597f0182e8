// Groups and containers on whole machines: behind each IOMMU, behind none, and with any allocation failing.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FailNth } from "../faults/fail-nth.js";
import { withFaults } from "../faults/faults.js";
import { BUFFER, TestClient } from "../iommufd/client.testing.js";
import { codeOf } from "../uapi/errno.js";
import { encode } from "../uapi/struct.js";
import {
	VfioCheckExtension,
	VfioDirtyPagesFlags,
	VfioDmaMapFlags,
	VfioDmaUnmapFlags,
	VfioExtension,
	VfioGroupGetDeviceFd,
	VfioGroupSetContainer,
	VfioGroupUnsetContainer,
	VfioIommuDirtyPages,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioSetIommu,
} from "../uapi/vfio.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

const ARGUMENT = 0x1000_0000;
/** Beyond what any of the machines reserves below it, and within the window of 4 GiB that s390 has. */
const IOVA = 0x1_1000_0000n;
const OTHER_IOVA = 0x1_8000_0000n;
const PAGE = 4096n;
const RW = VfioDmaMapFlags.READ | VfioDmaMapFlags.WRITE;

function machine(name: string, change: (text: Record<string, unknown>) => void = () => {}): Machine {
	const text = JSON.parse(readFileSync(`machines/${name}.json`, "utf8"));
	change(text);
	return new Machine(parseMachineDescription(JSON.stringify(text), name));
}

/** A program on a machine, with the calls that it makes. */
class Program {
	readonly client = new TestClient();
	readonly #on: Machine;

	constructor(on: Machine) {
		this.#on = on;
	}

	open(path: string): number {
		return this.client.install(this.#on.open(path, this.client)!);
	}

	plain(fd: number, command: number, argument: number): number {
		const found = this.client.file(fd);
		if (found?.kind !== "ours") throw new Error(`fd ${fd} is not a file of ours`);
		return found.file.ioctl(this.client, command, argument);
	}

	/** An ioctl whose argument points to some bytes. */
	with(fd: number, command: number, bytes: Uint8Array): number {
		this.client.memory.write(ARGUMENT, bytes);
		return this.plain(fd, command, ARGUMENT);
	}

	setContainer(group: number, container: number): void {
		this.with(group, VfioGroupSetContainer.number, new Uint8Array(Int32Array.of(container).buffer));
	}

	getDevice(group: number, name: string): number {
		return this.with(group, VfioGroupGetDeviceFd.number, new TextEncoder().encode(`${name}\0`));
	}

	map(container: number, iova: bigint, count = 4n): void {
		const values = { flags: RW, vaddr: BigInt(BUFFER), iova, size: count * PAGE };
		this.with(container, VfioIommuMapDma.number, encode(VfioIommuMapDma, values));
	}

	unmapAll(container: number): void {
		const values = { flags: VfioDmaUnmapFlags.ALL };
		this.with(container, VfioIommuUnmapDma.number, encode(VfioIommuUnmapDma, values));
	}

	dirty(container: number, flags: number): void {
		this.with(container, VfioIommuDirtyPages.number, encode(VfioIommuDirtyPages, { flags }));
	}

	closeAll(): void {
		for (const fd of [...this.client.files.keys()].reverse()) this.client.close(fd);
	}
}

/** All that a program does with its groups, in both kinds of containers. */
function story(on: Machine): { program: Program; steps: (() => unknown)[] } {
	const program = new Program(on);
	const fds: Record<string, number> = {};
	const devices = on.vfioDevices;
	const [group] = on.vfioGroups;
	const steps = [
		() => (fds.container = program.open("/dev/vfio/vfio")),
		() => (fds.group = program.open(group.path)),
		() => program.setContainer(fds.group, fds.container),
		() => program.plain(fds.container, VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU),
		() => program.map(fds.container, IOVA),
		() => program.dirty(fds.container, VfioDirtyPagesFlags.START),
		() => program.map(fds.container, OTHER_IOVA),
		() => (fds.device = program.getDevice(fds.group, group.devices[0].name)),
		...on.vfioGroups
			.slice(1)
			.flatMap((other, index) => [
				() => (fds[index] = program.open(other.path)),
				() => program.setContainer(fds[index], fds.container),
				() => program.plain(fds[index], VfioGroupUnsetContainer.number, 0),
			]),
		() => program.unmapAll(fds.container),
		() => program.client.close(fds.device),
		() => program.plain(fds.group, VfioGroupUnsetContainer.number, 0),
		() => (fds.iommufd = program.open("/dev/iommu")),
		() => program.setContainer(fds.group, fds.iommufd),
		() => program.map(fds.iommufd, IOVA),
		() => (fds.device = program.getDevice(fds.group, devices[0].name)),
		() => program.client.close(fds.device),
		() => program.plain(fds.group, VfioGroupUnsetContainer.number, 0),
	];
	return { program, steps };
}

function play(on: Machine, nth: number, good?: readonly string[]) {
	const faults = new FailNth(nth);
	const { program, steps } = story(on);
	const answers = steps.map((step, number) => {
		const before = on.frames.pinned;
		const answer = withFaults(faults, () => codeOf(step));
		if (good === undefined || answer === good[number]) return answer;
		const where = `step ${number} is ${answer}, where it failed: ${faults.failed?.what}`;
		expect(faults.failed, where).toBeDefined();
		expect(on.frames.pinned, where).toBe(before);
		return codeOf(step);
	});
	program.closeAll();
	const left = on.leftovers().filter((line) => !line.includes("when /dev/iommu was closed"));
	expect(left, `where it failed: ${faults.failed?.what}`).toEqual([]);
	return { answers, faults };
}

test.each(["intel", "amd", "arm", "s390", "arm-smmu-2023", "qemu-intel-legacy-39"])(
	"on %s groups go into containers, and no failed allocation leaves anything",
	(name) => {
		const on = machine(name);
		const good = play(on, 0);
		expect(good.answers).toEqual(good.answers.map(() => "ok"));
		for (let nth = 1; nth <= good.faults.passed; nth++)
			expect(play(on, nth, good.answers).answers).toEqual(good.answers);
	},
);

test("a device that was opened through its group does DMA by what its container maps", () => {
	const on = machine("intel");
	const program = new Program(on);
	const [container, group] = [program.open("/dev/vfio/vfio"), program.open("/dev/vfio/0")];
	program.setContainer(group, container);
	program.plain(container, VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU);
	program.map(container, IOVA);
	program.getDevice(group, "0000:00:02.0");
	const [device] = on.vfioDevices;
	const bytes = new Uint8Array(4);
	program.client.backing.bytes.set([1, 2, 3, 4], 4096);
	expect(on.dma.read(device.device, IOVA + 4096n, bytes)).toBeUndefined();
	expect([...bytes]).toEqual([1, 2, 3, 4]);
	program.unmapAll(container);
	expect(on.dma.read(device.device, IOVA + 4096n, bytes)?.kind).toBe("not-present");
});

test("groups without an IOMMU have containers of their own, in which nothing can be mapped", () => {
	const on = machine("noiommu");
	const program = new Program(on);
	expect(codeOf(() => program.open("/dev/vfio/noiommu-0"))).toBe("EPERM");
	program.client.capabilities.add("CAP_SYS_RAWIO");
	const [container, group] = [program.open("/dev/vfio/vfio"), program.open("/dev/vfio/noiommu-0")];
	const set = (type: number) => codeOf(() => program.plain(container, VfioSetIommu.number, type));
	const has = (extension: number) => program.plain(container, VfioCheckExtension.number, extension);
	program.client.capabilities.delete("CAP_SYS_RAWIO");
	expect(codeOf(() => program.setContainer(group, container))).toBe("EPERM");
	program.client.capabilities.add("CAP_SYS_RAWIO");
	program.setContainer(group, container);
	expect([has(VfioExtension.TYPE1v2_IOMMU), has(VfioExtension.NOIOMMU_IOMMU)]).toEqual([0, 1]);
	expect(set(VfioExtension.TYPE1v2_IOMMU)).toBe("ENODEV");
	program.client.capabilities.delete("CAP_SYS_RAWIO");
	expect(set(VfioExtension.NOIOMMU_IOMMU)).toBe("EPERM");
	program.client.capabilities.add("CAP_SYS_RAWIO");
	expect(set(VfioExtension.NOIOMMU_IOMMU)).toBe("ok");
	expect(codeOf(() => program.map(container, IOVA))).toBe("ENOTTY");
	const name = on.vfioDevices[0].name;
	program.client.capabilities.delete("CAP_SYS_RAWIO");
	expect(codeOf(() => program.getDevice(group, name))).toBe("EPERM");
	program.client.capabilities.add("CAP_SYS_RAWIO");
	expect(codeOf(() => program.getDevice(group, name))).toBe("ok");
});

test("an iommufd that has become the container of a group without an IOMMU is good for nothing else", () => {
	const on = machine("noiommu");
	const program = new Program(on);
	program.client.capabilities.add("CAP_SYS_RAWIO");
	const [iommufd, group] = [program.open("/dev/iommu"), program.open("/dev/vfio/noiommu-1")];
	program.setContainer(group, iommufd);
	const has = (extension: number) => program.plain(iommufd, VfioCheckExtension.number, extension);
	expect([has(VfioExtension.TYPE1_IOMMU), has(VfioExtension.NOIOMMU_IOMMU)]).toEqual([0, 1]);
	const set = (type: number) => codeOf(() => program.plain(iommufd, VfioSetIommu.number, type));
	expect([set(VfioExtension.TYPE1_IOMMU), set(VfioExtension.NOIOMMU_IOMMU)]).toEqual(["EINVAL", "ok"]);
	expect(codeOf(() => program.map(iommufd, IOVA))).toBe("ENODEV");
	expect(codeOf(() => program.getDevice(group, on.vfioDevices[1].name))).toBe("ok");
});

test("a group whose devices can reach some memory at all times, or forge interrupts, is in nobody's container", () => {
	const set = (change: (text: Record<string, unknown>) => void, type?: number) => {
		const on = machine("intel", change);
		const program = new Program(on);
		const [container, group] = [program.open("/dev/vfio/vfio"), program.open("/dev/vfio/0")];
		const put = codeOf(() => program.setContainer(group, container));
		return type === undefined ? put : codeOf(() => program.plain(container, VfioSetIommu.number, type));
	};
	const firmwareRegions = [{ kind: "direct", first: "0x7d000000", last: "0x7d1fffff" }];
	type Text = { iommus: { registers: Record<string, string>; devices: Record<string, unknown>[] }[] };
	expect(
		set((text) => Object.assign((text as Text).iommus[0].devices[0], { firmwareRegions, class: "0x020000" })),
	).toBe("EINVAL");
	const noRemapping = (text: unknown) =>
		Object.assign((text as Text).iommus[0].registers, { ECAP_REG: "0x3ef9ea6f050d7" });
	expect(set(noRemapping)).toBe("ok");
	expect(set(noRemapping, VfioExtension.TYPE1_IOMMU)).toBe("EPERM");
});

test("where iommufd is the container, /dev/vfio/vfio is an iommufd", () => {
	const on = machine("intel", (text) => Object.assign(text, { container: "iommufd" }));
	const program = new Program(on);
	const [container, group] = [program.open("/dev/vfio/vfio"), program.open("/dev/vfio/0")];
	expect(codeOf(() => program.map(container, IOVA))).toBe("ENODEV");
	program.setContainer(group, container);
	program.map(container, IOVA);
	expect(codeOf(() => program.getDevice(group, "0000:00:02.0"))).toBe("ok");
	expect(on.leftovers()[0]).toMatch(/^\/dev\/vfio\/vfio is open/);
});
