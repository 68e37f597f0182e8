// A mapping that permits nothing, which VFIO's MAP_DMA lets through to the drivers: their page tables differ in what they say.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BUFFER } from "../iommufd/client.testing.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import { codeOf } from "../uapi/errno.js";
import { IoasAlloc, VfioIoas, VfioIoasOp } from "../uapi/iommufd.js";
import { VfioDmaMapFlags, VfioIommuMapDma } from "../uapi/vfio.js";
import { TestProgram } from "../vfio/program.testing.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

/** Where all of them translate, s390 from 4 GiB on. */
const IOVA = 0x1_0000_0000n;

function scene(machine: string) {
	const source = `machines/${machine}.json`;
	const on = new Machine(parseMachineDescription(readFileSync(source, "utf8"), source));
	const program = new TestProgram(on.open("/dev/iommu") as IommufdFile);
	const { client } = program;
	const file = program.open(on.vfioDevices[0]);
	program.bind(file);
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.call(VfioIoas, { op: VfioIoasOp.SET, ioasId });
	const map = (iova: bigint, flags: number) =>
		codeOf(() => client.call(VfioIommuMapDma, { flags, vaddr: BigInt(BUFFER), iova, size: 4096n }));
	const attach = () => codeOf(() => program.attach(file, ioasId));
	return { map, attach };
}

describe.each([
	["intel", "EINVAL"],
	["amd", "EINVAL"],
	["arm", "EINVAL"],
	["qemu-arm-stage2", "EINVAL"],
	["s390", "ok"],
	["s390-2023", "ok"],
])("on %s", (machine, answer) => {
	test(`a mapping without READ and WRITE is ${answer} once a page table has to show it`, () => {
		const late = scene(machine);
		expect([late.map(IOVA, 0), late.attach()]).toEqual(["ok", answer]);
		const early = scene(machine);
		expect([early.attach(), early.map(IOVA, 0)]).toEqual(["ok", answer]);
		expect(early.map(IOVA + 4096n, VfioDmaMapFlags.WRITE)).toBe("ok");
	});
});
