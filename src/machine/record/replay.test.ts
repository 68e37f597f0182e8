// A recording made in process, and what becomes of it when it is replayed.

import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { walkTable } from "../../iommu/translation/explain.js";
import { BUFFER, TestClient } from "../../iommufd/client.testing.js";
import type { IommufdFile } from "../../iommufd/ioctls.js";
import { PhysicalMemory } from "../../memory/physical-memory.js";
import type { Extent, Ioctl, Question, RecordLine } from "../../trace/record.js";
import { codeOf, hex } from "../../uapi/errno.js";
import { Destroy, FaultQueueAlloc, IoasAlloc, IoasIovaRanges, IoasMap, IoasMapFlags } from "../../uapi/iommufd.js";
import { Recorder } from "./recorder.js";
import { machineOf, recordOfDma, SELFTEST } from "./recordings.testing.js";
import { type Difference, Replayer } from "./replayer.js";

const INTEL = readFileSync("machines/intel.json", "utf8");
const root = { capable: () => true };
const machine = () => machineOf(SELFTEST);

let lines: RecordLine[];
let recorder: Recorder;
let client: TestClient;

beforeEach(() => {
	lines = [];
	// As a file would: what is written can't change any more.
	recorder = new Recorder(machine(), JSON.parse(SELFTEST), { policy: "mainline" }, (line) =>
		lines.push(JSON.parse(JSON.stringify(line))),
	);
	client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
});

/** The first difference. */
function replay(recording: readonly RecordLine[], on = machine()): Difference | undefined {
	const replayer = new Replayer(on);
	for (const line of recording) replayer.learn(line);
	for (const line of recording) {
		const difference = replayer.replay(line);
		if (difference !== undefined) return difference;
	}
	return undefined;
}

/** Maps four pages in an IOAS with a device; returns the IOAS and the IOVA. */
function mapSomething() {
	const { outIoasId: ioasId } = client.call(IoasAlloc, {});
	client.test("MOCK_DOMAIN", { id: ioasId });
	const flags = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE;
	const { iova } = client.call(IoasMap, { flags, ioasId, userVa: BigInt(BUFFER), length: 0x4000n });
	return { ioasId, iova };
}

function questions(): Question[] {
	return lines.flatMap((line) => ("asked" in line ? (line.asked ?? []) : []));
}

function ioctls(): Ioctl[] {
	return lines.filter((line) => line.kind === "ioctl");
}

test("a function that is unbound while it is recorded is unbound when that is replayed", () => {
	lines = [];
	const intel = new Recorder(machineOf(INTEL), JSON.parse(INTEL), { policy: "mainline" }, (line) => lines.push(line));
	const drivers = "/sys/bus/pci/drivers/vfio-pci";
	intel.open("/dev/vfio/0", root)!.release();
	intel.store(`${drivers}/unbind`, "0000:00:02.0\n");
	expect(codeOf(() => intel.store(`${drivers}/unbind`, "0000:00:02.0\n"))).toBe("ENODEV");
	expect(intel.open("/dev/vfio/0", root)).toBeUndefined();
	intel.store(`${drivers}/bind`, "0000:00:02.0");
	intel.open("/dev/vfio/0", root)!.release();
	expect(lines.map(({ kind }) => kind)).toEqual([
		"start",
		"open",
		"release",
		"store",
		"store",
		"store",
		"open",
		"release",
	]);
	expect(replay(lines, machineOf(INTEL))).toBeUndefined();
	const stillBound = lines.filter((_, i) => i !== 3);
	expect(replay(stillBound, machineOf(INTEL))).toMatchObject({ line: { kind: "store" }, now: { result: 0 } });
});

test("calls that succeed, that fail, and that answer into an array are answered as they were", () => {
	const { ioasId } = mapSomething();
	expect(codeOf(() => client.call(Destroy, { id: ioasId }))).toBe("EBUSY");
	expect(codeOf(() => client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: BUFFER }))).toBe("ok");
	expect(codeOf(() => client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: 0x66000 }))).toBe("EFAULT");
	client.fd.release();
	expect(replay(lines)).toBeUndefined();
	expect(ioctls()).toHaveLength(6);
});

test("what is read between two calls is known from then on, and nothing else of that memory", () => {
	const { iova } = mapSomething();
	const pages = questions().find((question) => question.ask === "pages");
	const [[backing, page]] = pages!.is as Extent[];
	const asked: Question[] = [{ ask: "dma read", backing, at: hex(page * 4096), length: 2, bytes: "2a2b" }];
	const machineOfReplay = machine();
	const replayer = new Replayer(machineOfReplay);
	for (const line of lines) replayer.learn(line);
	for (const line of [...lines, { kind: "aside", asked } as const]) expect(replayer.replay(line)).toBeUndefined();
	const [{ hwpt }] = machineOfReplay.hwpts();
	const { physical } = walkTable(hwpt.paging.domain, iova);
	const bytes = new Uint8Array(4);
	expect(new PhysicalMemory(machineOfReplay.frames).read(physical!, bytes)).toBe(2);
	expect([...bytes]).toEqual([0x2a, 0x2b, 0, 0]);
});

test("what was read for who watched is known from then on, though nobody watches now", () => {
	const { iova } = mapSomething();
	const pages = questions().find((question) => question.ask === "pages");
	const [[backing, page]] = pages!.is as Extent[];
	client.call(IoasAlloc, {});
	const at = hex(page * 4096);
	const asked: Question[] = [
		{ ask: "dma read", backing, at, length: 2, bytes: "2a2b" },
		{ ask: "dma read", backing, at, length: 2, bytes: "2c2b" },
	];
	const last = { ...ioctls().at(-1)!, asked };
	const machineOfReplay = machine();
	expect(replay([...lines.slice(0, -1), last], machineOfReplay)).toBeUndefined();
	const [{ hwpt }] = machineOfReplay.hwpts();
	const bytes = new Uint8Array(2);
	new PhysicalMemory(machineOfReplay.frames).read(walkTable(hwpt.paging.domain, iova).physical!, bytes);
	expect([...bytes]).toEqual([0x2c, 0x2b]);
});

test("a line has the struct before and after, and what is behind the pages that were asked for", () => {
	const { iova } = mapSomething();
	const { in: before, out } = ioctls().at(-1)!;
	expect(before).toContain("0000002000000000"); // user_va
	expect(out).toBe(before!.slice(0, -16) + Buffer.from(new BigUint64Array([iova]).buffer).toString("hex"));
	expect(questions()).toContainEqual(expect.objectContaining({ ask: "pages", page: BUFFER / 4096, count: 4 }));
});

test("files that are handed out, read, and found closed while a call is answered", () => {
	const { outFaultFd, outFaultId } = client.call(FaultQueueAlloc, {});
	expect(client.queue(outFaultFd).read(client.memory, BUFFER, 0)).toBe(0);
	recorder.settle = () => {
		if (client.files.has(outFaultFd)) client.close(outFaultFd);
	};
	client.call(Destroy, { id: outFaultId });
	expect(questions()).toContainEqual(expect.objectContaining({ ask: "closed" }));
	client.fd.release();
	expect(replay(lines)).toBeUndefined();
});

describe("a difference", () => {
	test("in the struct is found, and both answers are told", () => {
		mapSomething();
		const changed = { ...ioctls()[0], out: "0c0000000000000002000000" };
		const difference = replay(lines.map((line) => (line === ioctls()[0] ? changed : line)));
		expect(difference?.line).toBe(changed);
		expect(difference?.now).toEqual({ result: 0, out: "0c0000000000000001000000" });
	});

	test("in the errno is found, in the reason it is none", () => {
		mapSomething();
		codeOf(() => client.call(Destroy, { id: 77 }));
		const [last] = ioctls().slice(-1);
		const withAnswer = (errno: "ENOENT" | "EBUSY") =>
			lines.map((line) => (line === last ? { ...last, answer: { errno, reason: "other words" } } : line));
		expect(replay(withAnswer("ENOENT"))).toBeUndefined();
		expect(replay(withAnswer("EBUSY"))?.now.result).toMatchObject({ errno: "ENOENT" });
	});

	test("in what is written elsewhere is found", () => {
		const { ioasId } = mapSomething();
		client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: BUFFER });
		const [last] = ioctls().slice(-1);
		const asked = last.asked!.map((question) =>
			question.ask === "write" ? { ...question, bytes: question.bytes.replaceAll("f", "e") } : question,
		);
		const difference = replay(lines.map((line) => (line === last ? { ...last, asked } : line)));
		expect(difference?.deviations).toEqual([
			expect.objectContaining({ what: `the bytes at 0x${BUFFER.toString(16)}` }),
		]);
	});
});

test("an engine that looks for the pages at another time finds them all the same", () => {
	mapSomething();
	const ofMap = ioctls().at(-1)!;
	const elsewhere = lines.map((line) => (line === ofMap ? { ...ofMap, asked: [] } : line));
	elsewhere.push({ kind: "aside", asked: ofMap.asked! });
	expect(replay(elsewhere)).toBeUndefined();
});

describe("the registers of a device", () => {
	const intel = () => machineOf(INTEL);

	test("are read and written as they were, and a DMA reads what it read then", () => {
		const recording = recordOfDma(INTEL);
		expect(recording).toContainEqual(
			expect.objectContaining({ kind: "pwrite", position: "0x98", answer: 8, asked: expect.anything() }),
		);
		expect(replay(recording, intel())).toBeUndefined();
	});

	test("that read otherwise are a difference", () => {
		const changed = recordOfDma(INTEL).map((line) => {
			if (line.kind !== "pread" || line.asked === undefined) return line;
			return { ...line, asked: line.asked.map((one) => (one.ask === "write" ? { ...one, bytes: "01000000" } : one)) };
		});
		expect(replay(changed, intel())?.deviations).toEqual([
			expect.objectContaining({ recorded: "01000000", now: "00000000" }),
		]);
	});
});
