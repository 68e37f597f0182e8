// A machine without an IOMMU, whose devices VFIO hands out all the same.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Capability } from "../files/caller.js";
import type { OpenFile } from "../files/open-file.js";
import type { Entry } from "../trace/record.js";
import { codeOf } from "../uapi/errno.js";
import { IoasNoiommuGetPa } from "../uapi/iommufd.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";
import { dmaRead, GUEST, guestPage, setUp } from "./nested-program.testing.js";
import { RecordedRun } from "./record/recorded-run.js";
import { Recorder } from "./record/recorder.js";
import { Recording } from "./record/recording.js";

const text = readFileSync("machines/noiommu.json", "utf8");
const machine = () => new Machine(parseMachineDescription(text, "noiommu.json"));

const DEVICE = "/dev/vfio/devices/noiommu-vfio0";
const nobody = { capable: () => false };
const root = { capable: (capability: Capability) => capability === "CAP_SYS_RAWIO" };

test("its devices are called otherwise, and are opened by who may reach all memory", () => {
	const on = machine();
	const groups = ["/dev/vfio/noiommu-0", "/dev/vfio/noiommu-1"];
	expect(on.paths).toEqual(["/dev/iommu", "/dev/vfio/vfio", ...groups, DEVICE, "/dev/vfio/devices/noiommu-vfio1"]);
	expect(codeOf(() => on.open(DEVICE, nobody))).toBe("EPERM");
	expect(on.open(DEVICE, root)?.path).toBe(DEVICE);
	expect(on.open("/dev/iommu", nobody)?.path).toBe("/dev/iommu");
});

test("an open that was refused is refused in a replay, too", () => {
	const entries: Entry[] = [];
	const recorder = new Recorder(machine(), JSON.parse(text), { policy: "mainline" }, (entry) => entries.push(entry));
	expect(codeOf(() => recorder.open(DEVICE, nobody))).toBe("EPERM");
	(recorder.open(DEVICE, root) as OpenFile).release();
	expect(new RecordedRun(new Recording(entries), machine()).forward(entries.length)).toBe(true);
	expect(entries.filter(({ kind }) => kind === "open")).toHaveLength(2);
});

test("a device reaches memory by the addresses that GET_PA tells, and by no others", () => {
	const set = setUp(text);
	const { program, client, file, ioasId } = set;
	client.capabilities.add("CAP_SYS_RAWIO");
	const physical = (iova: bigint) => client.call(IoasNoiommuGetPa, { ioasId, iova, length: 4n }).outPhys;
	expect(dmaRead(set, guestPage(7))).toBe("fault");
	program.attach(file, ioasId);
	// IOVAs are for looking addresses up only: no hardware knows them.
	expect(dmaRead(set, guestPage(7))).toBe("fault");
	expect(set.events.at(-1)?.message).toMatch(/^0000:00:02.0 can't read iova 0x40007000: memory: there is no memory at/);
	expect(dmaRead(set, physical(guestPage(7)))).toBe(7);
	// Nothing stands between the device and memory, attached or not.
	const address = physical(guestPage(9));
	program.detach(file);
	expect(codeOf(() => physical(GUEST))).toBe("EOPNOTSUPP");
	program.attach(file, ioasId);
	expect(dmaRead(set, address)).toBe(9);
	expect(dmaRead(set, 0xffff_ffff_ffff_fffcn)).toBe("fault");
});

test("/sys shows VFIO's own group for each, and no IOMMU", () => {
	const { files } = machine();
	const read = (path: string) => {
		const { node } = files.walk(path, true);
		return node?.kind === "file" ? node.content : node?.kind;
	};
	const path = "/sys/devices/pci0000:00/0000:00:02.0";
	expect(read(`${path}/iommu`)).toBeUndefined();
	expect(files.walk(`${path}/iommu_group`, true).path).toBe("/sys/kernel/iommu_groups/0");
	expect([read(`${path}/iommu_group/name`), read(`${path}/iommu_group/type`)]).toEqual(["vfio-noiommu\n", "unknown\n"]);
	expect(read(`${path}/iommu_group/reserved_regions`)).toBe("");
	expect(files.walk("/sys/class/vfio-dev/noiommu-vfio1/device", true).path).toMatch(/0000:01:00.0$/);
	expect(read("/sys/class/vfio-dev/noiommu-vfio1/uevent")).toMatch(/DEVNAME=vfio\/devices\/noiommu-vfio1\n/);
	expect(read("/sys/class/iommu")).toBe("directory");
	expect(read("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")).toBe("Y\n");
});

test("functions without an IOMMU are in no group with others", () => {
	const description = parseMachineDescription(text, "noiommu.json");
	for (const device of description.iommus[0].devices) Object.assign(device, { group: 1 });
	expect(() => new Machine(description)).toThrow(/0000:00:02.0 has no IOMMU: VFIO gives it a group of its own/);
});
