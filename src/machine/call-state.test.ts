import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { OpenFile } from "../files/open-file.js";
import { BUFFER, TestClient } from "../iommufd/client.testing.js";
import { TestGuest } from "../iommufd/guest.testing.js";
import { IommufdFile } from "../iommufd/ioctls.js";
import { inputsOf, type ShownField } from "../trace/print.js";
import type { FieldTable } from "../uapi/field.js";
import {
	Destroy,
	HwQueueAlloc,
	HwQueueType,
	IoasAlloc,
	IoasCopy,
	IoasMap,
	IoasMapFlags,
	IoasUnmap,
	VdeviceAlloc,
} from "../uapi/iommufd.js";
import { type Command, encode } from "../uapi/struct.js";
import {
	VfioDeviceAttachIommufdPt,
	VfioDmaMapFlags,
	VfioExtension,
	VfioGroupSetContainer,
	VfioIommuMapDma,
	VfioIommuUnmapDma,
	VfioSetIommu,
} from "../uapi/vfio.js";
import type { Values } from "../uapi/view.js";
import { TestProgram } from "../vfio/program.testing.js";
import { callState } from "./call-state.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";
import { machineWith } from "./vtd-machine.testing.js";

const { READABLE, FIXED_IOVA } = IoasMapFlags;
const flags = READABLE | FIXED_IOVA;
const userVa = BigInt(BUFFER);
const PAGE = 0x1000n;

/** What a trace would show of a call. */
function inputs<F extends FieldTable>(command: Command<F>, values: Partial<Values<F>>): ShownField[] {
	const { number } = command;
	const call = { thread: 1, fd: 3, path: "", number, argument: 0, result: 0 };
	return inputsOf({ ...call, command, before: encode(command, values), after: undefined });
}

/** A program that has the first function of a machine, and an IOAS. */
function setUp() {
	const machine = machineWith({});
	const iommufd = machine.open("/dev/iommu") as IommufdFile;
	const program = new TestProgram(iommufd);
	const device = program.open(machine.vfioDevices[0]);
	const devId = program.bind(device);
	const { client } = program;
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	/** As the call of a number. */
	const map = (call: number, iova: bigint, length = PAGE) => {
		machine.history.begin(call, 7, IoasMap.number);
		client.call(IoasMap, { flags, ioasId, userVa, length, iova });
		machine.history.end();
	};
	const stateOf = <F extends FieldTable>(command: Command<F>, values: Partial<Values<F>>, file: OpenFile = iommufd) =>
		callState(machine, file, inputs(command, values));
	return { machine, program, client, device, devId, ioasId, map, stateOf };
}

describe("the objects that a call is about", () => {
	test("are those that it names, and ids of none are absent", () => {
		const { devId, ioasId, stateOf } = setUp();
		expect(stateOf(Destroy, { id: ioasId }).objects.map(({ id }) => id)).toEqual([ioasId]);
		const { objects, absent } = stateOf(VdeviceAlloc, { viommuId: 99, devId, virtId: 77n });
		expect([objects.map(({ id }) => id), absent]).toEqual([[devId], [99]]);
	});

	test("of a device's own call that device is one, too", () => {
		const { client, device, devId, ioasId, stateOf } = setUp();
		const { context, objects } = stateOf(VfioDeviceAttachIommufdPt, { ptId: ioasId }, device);
		expect(objects.map(({ id }) => id).sort()).toEqual([devId, ioasId]);
		expect(context === client.fd.context).toBe(true);
	});

	test("are none, where a file isn't open any more", () => {
		const { machine } = setUp();
		const state = callState(machine, undefined, inputs(Destroy, { id: 1 }));
		expect(state).toEqual({ context: undefined, objects: [], absent: [], ranges: [] });
	});
});

describe("the range that a call is about", () => {
	test("has what is mapped and reserved there, and which call has mapped it", () => {
		const { program, device, ioasId, map, stateOf } = setUp();
		program.attach(device, ioasId);
		map(11, 0xfedf_f000n);
		const { ranges } = stateOf(IoasMap, { flags, ioasId, iova: 0xfedf_f000n, length: 0x3000n });
		const here = { map: `IOAS ${ioasId}` };
		expect(ranges).toEqual([
			{
				...{ first: 0xfedf_f000n, last: 0xfee0_1fffn, ...here, more: 0 },
				found: [
					{
						...{ first: 0xfedf_f000n, last: 0xfedf_ffffn, ...here, kind: "mapping" },
						by: { call: 11, thread: 7, command: IoasMap.number },
					},
					expect.objectContaining({ first: 0xfee0_0000n, last: 0xfeef_ffffn, ...here, kind: "reserved" }),
				],
			},
		]);
	});

	test("is none, where the engine chooses it, nor in an IOAS that nobody has used", () => {
		const { ioasId, map, stateOf } = setUp();
		const unmap = { ioasId, iova: 0x1000n, length: PAGE };
		expect(stateOf(IoasUnmap, unmap).ranges).toEqual([]);
		map(1, 0x1000n);
		expect(stateOf(IoasUnmap, unmap).ranges).toHaveLength(1);
		expect(stateOf(IoasMap, { ...unmap, flags: READABLE }).ranges).toEqual([]);
	});

	test("has what is next to it, where nothing is in it", () => {
		const { ioasId, map, stateOf } = setUp();
		map(11, 0x1000n);
		map(12, 0x9000n);
		const [{ found }] = stateOf(IoasUnmap, { ioasId, iova: 0x4000n, length: PAGE }).ranges;
		expect(found.map(({ kind, first }) => [kind, first])).toEqual([
			["below", 0x1000n],
			["above", 0x9000n],
		]);
	});

	test("ends where addresses do", () => {
		const { ioasId, map, stateOf } = setUp();
		map(1, 0n);
		const end = (iova: bigint, length: bigint) => stateOf(IoasUnmap, { ioasId, iova, length }).ranges[0].last;
		expect([end(PAGE, 2n ** 64n - 1n), end(PAGE, 0n)]).toEqual([2n ** 64n - 1n, PAGE]);
	});

	test("names four mappings, and counts the others", () => {
		const pages = fc.uniqueArray(fc.nat({ max: 15 }), { maxLength: 12 });
		fc.assert(
			fc.property(pages, fc.nat({ max: 15 }), fc.integer({ min: 1, max: 16 }), (mapped, from, count) => {
				const { ioasId, map, stateOf } = setUp();
				map(1, 0x100_0000n);
				for (const page of mapped) map(1, BigInt(page) * PAGE);
				const values = { ioasId, iova: BigInt(from) * PAGE, length: BigInt(count) * PAGE };
				const [{ found, more }] = stateOf(IoasUnmap, values).ranges;
				const inside = mapped.filter((page) => page >= from && page < from + count).sort((a, b) => a - b);
				const named = found.filter(({ kind }) => kind === "mapping").map(({ first }) => Number(first / PAGE));
				expect([named, more]).toEqual([inside.slice(0, 4), Math.max(0, inside.length - 4)]);
			}),
			{ numRuns: 50 },
		);
	});

	test("of a copy is one in each IOAS", () => {
		const { client, ioasId, map, stateOf } = setUp();
		map(1, 0x1000n);
		const { outIoasId: other } = client.call(IoasAlloc, {});
		client.call(IoasMap, { flags, ioasId: other, userVa, length: PAGE, iova: 0x5000n });
		const copy = { flags, dstIoasId: other, srcIoasId: ioasId, length: PAGE, dstIova: 0x5000n, srcIova: 0x1000n };
		const { ranges, objects } = stateOf(IoasCopy, copy);
		expect(ranges.map(({ map, first }) => [map, first]).sort()).toEqual([
			[`IOAS ${ioasId}`, 0x1000n],
			[`IOAS ${other}`, 0x5000n],
		]);
		expect(objects.map(({ id }) => id).sort()).toEqual([ioasId, other]);
	});

	test("of a guest's queue is in what its vIOMMU is nested on", () => {
		const { client, viommuId, ioasId } = new TestGuest();
		const machine = new Machine(parseMachineDescription('{"name": "y", "description": "", "selftest": true}', "y"));
		const queue = { viommuId, type: HwQueueType.SELFTEST, nestingParentIova: 0x7000n, length: PAGE };
		const { ranges } = callState(machine, client.fd, inputs(HwQueueAlloc, queue));
		expect(ranges.map(({ map, first }) => [map, first])).toEqual([[`IOAS ${ioasId}`, 0x7000n]]);
	});

	test("of a container of VFIO's own is in that", () => {
		const machine = machineWith({});
		const client = new TestClient(undefined, {}, machine.open("/dev/iommu") as IommufdFile);
		const argument = 0x1000_0000;
		const container = machine.open("/dev/vfio/vfio", client)!;
		if (container instanceof IommufdFile) return expect.unreachable("it is iommufd's");
		const group = machine.open(machine.vfioGroups[0].path, client)!;
		client.memory.write(argument, new Uint8Array(Int32Array.of(client.install(container)).buffer));
		group.ioctl(client, VfioGroupSetContainer.number, argument);
		container.ioctl(client, VfioSetIommu.number, VfioExtension.TYPE1v2_IOMMU);
		const mapping = { flags: VfioDmaMapFlags.READ, vaddr: userVa, iova: 0x4000n, size: PAGE };
		client.memory.write(argument, encode(VfioIommuMapDma, mapping));
		machine.history.begin(5, 7, VfioIommuMapDma.number);
		container.ioctl(client, VfioIommuMapDma.number, argument);
		machine.history.end();
		const { ranges } = callState(machine, container, inputs(VfioIommuUnmapDma, { iova: 0x4000n, size: 0x2000n }));
		expect(ranges).toMatchObject([
			{ first: 0x4000n, last: 0x5fffn, found: [{ kind: "mapping", last: 0x4fffn, by: { call: 5 } }] },
		]);
	});
});
