// As in iommufd/every-fault.test.ts, for the drivers of real IOMMUs: whatever Linux may have no memory for when a program uses
// its devices, the call that fails changes nothing that iommufd has, can be made again, and nothing of it is left.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { FailNth } from "../faults/fail-nth.js";
import { withFaults } from "../faults/faults.js";
import { BUFFER } from "../iommufd/client.testing.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import { stateOf } from "../iommufd/state.testing.js";
import { codeOf } from "../uapi/errno.js";
import {
	Destroy,
	FaultQueueAlloc,
	HwptAlloc,
	HwptAllocFlags,
	HwptArmSmmuV3,
	HwptDataType,
	HwptVtdS1,
	IoasAlloc,
	IoasMap,
	VdeviceAlloc,
	ViommuAlloc,
	ViommuType,
} from "../uapi/iommufd.js";
import { encode } from "../uapi/struct.js";
import { TestProgram } from "../vfio/program.testing.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

/** What a machine's drivers can't do, a step is refused for, with and without faults. */
type Step = () => unknown;

const DATA = 0x1000_8000;
const PAGE = 0x1000n;
/** Within the window of every machine, s390's included. */
const IOVA = 0x1_0000_0000n;
const PASID = 3;

/** @param name of a file, with "grouped" behind it for one whose functions are attached together */
function machine(name: string): Machine {
	const grouped = name.endsWith(" grouped");
	const source = `machines/${name.replace(" grouped", "")}.json`;
	const description = parseMachineDescription(readFileSync(source, "utf8"), source);
	const devices = description.iommus.flatMap((iommu) => iommu.devices);
	// In a group they can also ask for pages, which takes memory when they are attached.
	if (grouped) for (const device of devices) Object.assign(device, { group: 1, ats: true, pri: true });
	return new Machine(description);
}

/** All that a program does with its devices; and closing everything. */
function story(on: Machine): { program: TestProgram; steps: Step[]; end: () => void } {
	const program = new TestProgram(on.open("/dev/iommu") as IommufdFile);
	const { client } = program;
	const files = on.vfioDevices.map((device) => program.open(device));
	const devIds: number[] = [];
	const hwpts = { plain: 0, pasid: 0, parent: 0, dirty: 0, nested: 0, faulting: 0 };
	let ioasId = 0;
	let otherId = 0;
	let viommuId = 0;
	let faultId = 0;
	const flagsOf = {
		plain: 0,
		pasid: HwptAllocFlags.PASID,
		parent: HwptAllocFlags.NEST_PARENT,
		dirty: HwptAllocFlags.DIRTY_TRACKING,
	};
	const nest = (ptId: number, dataType: number, bytes: Uint8Array) => {
		client.memory.write(DATA, bytes);
		const values = { devId: devIds[0], ptId, dataType, dataLen: bytes.length, dataUptr: DATA };
		return (flags: number) => client.call(HwptAlloc, { ...values, flags, faultId }).outHwptId;
	};
	const nestVtd = () => nest(hwpts.parent, HwptDataType.VTD_S1, encode(HwptVtdS1, { pgtblAddr: IOVA, addrWidth: 48 }));
	const ste = BigUint64Array.of(1n | (5n << 1n), 0n);
	const nestSmmu = () => nest(viommuId, HwptDataType.ARM_SMMUV3, encode(HwptArmSmmuV3, { ste }));
	const nested = on.name.includes("arm") ? nestSmmu : nestVtd;
	const steps: Step[] = [
		() => (ioasId = client.call(IoasAlloc, {}).outIoasId),
		() => (otherId = client.call(IoasAlloc, {}).outIoasId),
		() => client.call(IoasMap, { ioasId, flags: 7, userVa: BigInt(BUFFER), length: 4n * PAGE, iova: IOVA }),
		...files.map((file, i) => () => (devIds[i] = program.bind(file))),
		...files.map((file) => () => program.attach(file, ioasId)),
		() => client.call(IoasMap, { ioasId, flags: 7, userVa: BigInt(BUFFER), length: 4n * PAGE, iova: 2n * IOVA }),
		...(Object.keys(flagsOf) as (keyof typeof flagsOf)[]).map((name) => () => {
			const values = { devId: devIds[0], ptId: otherId, flags: flagsOf[name] };
			hwpts[name] = client.call(HwptAlloc, values).outHwptId;
		}),
		// From one IOAS to another: within one, a move that fails takes reserved regions away, as in Linux.
		() => program.attach(files[0], hwpts.plain),
		() => program.attach(files[0], ioasId),
		() => program.attach(files[0], hwpts.dirty),
		() => program.attach(files[0], ioasId),
		() => program.attach(files[0], hwpts.pasid),
		() => program.attach(files[0], hwpts.pasid, PASID),
		() => program.attach(files[0], hwpts.pasid, PASID + 2000),
		() => program.detach(files[0], PASID + 2000),
		() => program.detach(files[0], PASID),
		() => (faultId = client.call(FaultQueueAlloc, {}).outFaultId),
		() => {
			const values = { type: ViommuType.ARM_SMMUV3, devId: devIds[0], hwptId: hwpts.parent };
			viommuId = client.call(ViommuAlloc, values).outViommuId;
		},
		() => client.call(VdeviceAlloc, { viommuId, devId: devIds[0], virtId: 8n }),
		() => (hwpts.nested = nested()(0)),
		() => (hwpts.faulting = nested()(HwptAllocFlags.FAULT_ID_VALID)),
		() => program.attach(files[0], ioasId),
		() => program.attach(files[0], hwpts.nested),
		() => program.attach(files[0], ioasId),
		() => program.attach(files[0], hwpts.faulting),
		() => program.attach(files[0], ioasId),
		() => program.detach(files[0]),
		() => client.call(Destroy, { id: hwpts.plain }),
	];
	const end = () => {
		for (const file of files) file.release();
		for (const fd of [...client.files.keys()]) if (fd !== program.iommufd) client.close(fd);
		client.close(program.iommufd);
	};
	return { program, steps, end };
}

/**
 * Plays the story with one place failing.
 * @param good the answers without that
 * @param givesUp whether the program ends then; else it makes the call again
 * @returns the answer to each step, and the state after it
 */
function play(on: Machine, nth: number, good?: readonly string[], givesUp = false) {
	const faults = new FailNth(nth);
	const { program, steps, end } = story(on);
	const answers: string[] = [];
	const states: object[] = [];
	for (const [number, step] of steps.entries()) {
		const before = stateOf(program.client, on.frames);
		let answer = withFaults(faults, () => codeOf(step));
		if (good !== undefined && answer !== good[number]) {
			const where = `step ${number} is ${answer}, where it failed: ${faults.failed?.what}`;
			expect(faults.failed, where).toBeDefined();
			expect(stateOf(program.client, on.frames), where).toEqual(before);
			if (givesUp) break;
			answer = codeOf(step);
		}
		answers.push(answer);
		states.push(stateOf(program.client, on.frames));
	}
	end();
	expect(left(on), `where it failed: ${faults.failed?.what}`).toEqual([]);
	return { answers, states, faults };
}

/** Of what the machine has left, that which isn't the program's own. */
function left(on: Machine): string[] {
	return on.leftovers().filter((line) => !line.includes("when /dev/iommu was closed"));
}

test.each([
	"intel",
	"intel grouped",
	"amd",
	"amd grouped",
	"arm",
	"arm grouped",
	"riscv",
	"s390",
	"s390-2023",
	"arm-smmu-2023",
	"noiommu",
	"qemu-arm-nested",
])("on %s no failed allocation leaves anything", (name) => {
	const on = machine(name);
	const good = play(on, 0);
	expect(good.answers.filter((answer) => answer === "ok").length).toBeGreaterThan(8);
	for (let nth = 1; nth <= good.faults.passed; nth++) {
		play(on, nth, good.answers, true);
		const { answers } = play(on, nth, good.answers);
		expect(answers).toEqual(good.answers);
	}
	// After all that, it goes as on a machine that has just been made.
	expect(play(on, 0, good.answers).states).toEqual(good.states);
});
