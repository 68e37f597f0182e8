// A recording made in process, and what becomes of it when it is replayed.

import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { walkTable } from "../../iommu/translation/explain.js";
import { BUFFER, TestClient } from "../../iommufd/client.testing.js";
import type { IommufdFile } from "../../iommufd/ioctls.js";
import { PhysicalMemory } from "../../memory/physical-memory.js";
import type { Entry, Extent, Ioctl, Question } from "../../trace/record.js";
import { codeOf } from "../../uapi/errno.js";
import { Destroy, FaultQueueAlloc, IoasAlloc, IoasIovaRanges, IoasMap, IoasMapFlags } from "../../uapi/iommufd.js";
import { RecordedRun } from "./recorded-run.js";
import { Recorder } from "./recorder.js";
import { Recording } from "./recording.js";
import { machineOf, recordOfDma, SELFTEST } from "./recordings.testing.js";
import type { Difference } from "./replayer.js";

const INTEL = readFileSync("machines/intel.json", "utf8");
const root = { capable: () => true };
const machine = () => machineOf(SELFTEST);

let entries: Entry[];
let recorder: Recorder;
let client: TestClient;

beforeEach(() => {
	entries = [];
	// As a file would: what is written can't change any more.
	recorder = new Recorder(machine(), JSON.parse(SELFTEST), { policy: "mainline" }, (entry) =>
		entries.push(structuredClone(entry)),
	);
	client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
});

/** The first difference. */
function replay(recording: readonly Entry[], on = machine()): Difference | undefined {
	const run = new RecordedRun(new Recording(recording), on);
	run.forward(recording.length);
	return run.difference;
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
	return entries.flatMap((entry) => ("asked" in entry ? (entry.asked ?? []) : []));
}

function ioctls(): Ioctl[] {
	return entries.filter((entry) => entry.kind === "ioctl");
}

test("a function that is unbound while it is recorded is unbound when that is replayed", () => {
	entries = [];
	const intel = new Recorder(machineOf(INTEL), JSON.parse(INTEL), { policy: "mainline" }, (entry) =>
		entries.push(structuredClone(entry)),
	);
	const drivers = "/sys/bus/pci/drivers/vfio-pci";
	intel.open("/dev/vfio/0", root)!.release();
	intel.store(`${drivers}/unbind`, "0000:00:02.0\n");
	expect(codeOf(() => intel.store(`${drivers}/unbind`, "0000:00:02.0\n"))).toBe("ENODEV");
	expect(intel.open("/dev/vfio/0", root)).toBeUndefined();
	intel.store(`${drivers}/bind`, "0000:00:02.0");
	intel.open("/dev/vfio/0", root)!.release();
	expect(entries.map(({ kind }) => kind)).toEqual([
		"start",
		"open",
		"release",
		"store",
		"store",
		"store",
		"open",
		"release",
	]);
	expect(replay(entries, machineOf(INTEL))).toBeUndefined();
	const stillBound = entries.filter((_, i) => i !== 3);
	expect(replay(stillBound, machineOf(INTEL))).toMatchObject({ call: { kind: "store" }, now: { result: 0 } });
});

test("calls that succeed, that fail, and that answer into an array are answered as they were", () => {
	const { ioasId } = mapSomething();
	expect(codeOf(() => client.call(Destroy, { id: ioasId }))).toBe("EBUSY");
	expect(codeOf(() => client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: BUFFER }))).toBe("ok");
	expect(codeOf(() => client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: 0x66000 }))).toBe("EFAULT");
	client.fd.release();
	expect(replay(entries)).toBeUndefined();
	expect(ioctls()).toHaveLength(6);
});

test("what is read between two calls is known from then on, and nothing else of that memory", () => {
	const { iova } = mapSomething();
	const pages = questions().find((question) => question.ask === "pages");
	const [[backing, page]] = pages!.is as Extent[];
	const bytesRead = Uint8Array.of(0x2a, 0x2b);
	const asked: Question[] = [{ ask: "dma read", backing, at: page * 4096, length: 2, bytes: bytesRead }];
	const machineOfReplay = machine();
	expect(replay([...entries, { kind: "aside", asked }], machineOfReplay)).toBeUndefined();
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
	const at = page * 4096;
	const asked: Question[] = [
		{ ask: "dma read", backing, at, length: 2, bytes: Uint8Array.of(0x2a, 0x2b) },
		{ ask: "dma read", backing, at, length: 2, bytes: Uint8Array.of(0x2c, 0x2b) },
	];
	const last = { ...ioctls().at(-1)!, asked };
	const machineOfReplay = machine();
	expect(replay([...entries.slice(0, -1), last], machineOfReplay)).toBeUndefined();
	const [{ hwpt }] = machineOfReplay.hwpts();
	const bytes = new Uint8Array(2);
	new PhysicalMemory(machineOfReplay.frames).read(walkTable(hwpt.paging.domain, iova).physical!, bytes);
	expect([...bytes]).toEqual([0x2c, 0x2b]);
});

test("an entry has the struct before and after, and what is behind the pages that were asked for", () => {
	const { iova } = mapSomething();
	const { in: before, out } = ioctls().at(-1)!;
	expect(new DataView(before!.buffer).getBigUint64(16, true)).toBe(BigInt(BUFFER)); // user_va
	expect(out).toEqual(Uint8Array.of(...before!.slice(0, -8), ...new Uint8Array(new BigUint64Array([iova]).buffer)));
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
	expect(replay(entries)).toBeUndefined();
});

describe("a difference", () => {
	test("in the struct is found, and both answers are told", () => {
		mapSomething();
		const right = ioctls()[0].out!;
		const changed = { ...ioctls()[0], out: right.with(8, 2) };
		const difference = replay(entries.map((entry) => (entry === ioctls()[0] ? changed : entry)));
		expect(difference?.call).toBe(changed);
		expect(difference?.now).toEqual({ result: 0, out: right });
	});

	test("in the errno is found, in the reason it is none", () => {
		mapSomething();
		codeOf(() => client.call(Destroy, { id: 77 }));
		const [last] = ioctls().slice(-1);
		const withAnswer = (errno: "ENOENT" | "EBUSY") =>
			entries.map((entry) => (entry === last ? { ...last, answer: { errno, reason: "other words" } } : entry));
		expect(replay(withAnswer("ENOENT"))).toBeUndefined();
		expect(replay(withAnswer("EBUSY"))?.now.result).toMatchObject({ errno: "ENOENT" });
	});

	test("in what is written elsewhere is found", () => {
		const { ioasId } = mapSomething();
		client.call(IoasIovaRanges, { ioasId, numIovas: 9, allowedIovas: BUFFER });
		const [last] = ioctls().slice(-1);
		const asked = last.asked!.map((question) =>
			question.ask === "write" ? { ...question, bytes: question.bytes.map((byte) => byte ^ 1) } : question,
		);
		const difference = replay(entries.map((entry) => (entry === last ? { ...last, asked } : entry)));
		expect(difference?.deviations).toEqual([
			expect.objectContaining({ what: `the bytes at 0x${BUFFER.toString(16)}` }),
		]);
	});
});

test("an engine that looks for the pages at another time finds them all the same", () => {
	mapSomething();
	const ofMap = ioctls().at(-1)!;
	const elsewhere = entries.map((entry) => (entry === ofMap ? { ...ofMap, asked: [] } : entry));
	elsewhere.push({ kind: "aside", asked: ofMap.asked! });
	expect(replay(elsewhere)).toBeUndefined();
});

describe("the registers of a device", () => {
	const intel = () => machineOf(INTEL);

	test("are read and written as they were, and a DMA reads what it read then", () => {
		const recording = recordOfDma(INTEL);
		expect(recording).toContainEqual(
			expect.objectContaining({ kind: "pwrite", position: 0x98, answer: 8, asked: expect.anything() }),
		);
		expect(replay(recording, intel())).toBeUndefined();
	});

	test("that read otherwise are a difference", () => {
		const changed = recordOfDma(INTEL).map((entry) => {
			if (entry.kind !== "pread" || entry.asked === undefined) return entry;
			return {
				...entry,
				asked: entry.asked.map((one) => (one.ask === "write" ? { ...one, bytes: Uint8Array.of(1, 0, 0, 0) } : one)),
			};
		});
		expect(replay(changed, intel())?.deviations).toEqual([
			expect.objectContaining({ recorded: "01000000", now: "00000000" }),
		]);
	});
});
