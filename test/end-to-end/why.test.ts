// why: a call of a recording is shown with the state that made it fail, or with what it changed.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { EDU_BUFFER, EduRegister } from "../../src/devices/edu.js";
import { BUFFER, TestClient } from "../../src/iommufd/client.testing.js";
import type { IommufdFile } from "../../src/iommufd/ioctls.js";
import { LineWriter } from "../../src/machine/record/json-lines.js";
import type { RecordedDevice } from "../../src/machine/record/recorded-file.js";
import { recordingOf, SELFTEST } from "../../src/machine/record/recordings.testing.js";
import type { Entry } from "../../src/trace/record.js";
import { codeOf } from "../../src/uapi/errno.js";
import { Destroy, HwptAlloc, IoasAlloc, IoasCopy, IoasMap, IoasMapFlags, IoasUnmap } from "../../src/uapi/iommufd.js";
import { TestProgram } from "../../src/vfio/program.testing.js";
import { ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const root = { capable: () => true };
const flags = IoasMapFlags.READABLE | IoasMapFlags.WRITEABLE | IoasMapFlags.FIXED_IOVA;
const userVa = BigInt(BUFFER);

/** @returns the file */
function written(name: string, entries: readonly Entry[]): string {
	const writer = new LineWriter();
	const path = join(directory.path, name);
	writeFileSync(path, entries.map((entry) => `${writer.lineOf(entry)}\n`).join(""));
	return path;
}

const mapped = written(
	"mapped.rec",
	recordingOf(SELFTEST, (recorder) => {
		const client = new TestClient(undefined, {}, recorder.open("/dev/iommu", root) as IommufdFile);
		const map = (iova: bigint, length: bigint) => client.call(IoasMap, { flags, ioasId: 1, userVa, length, iova });
		client.call(IoasAlloc, {}); // call 2
		const { outIdevId: devId } = client.test("MOCK_DOMAIN", { id: 1 }); // 3
		map(0x1010000n, 0x2000n); // 4
		map(0x1013000n, 0x1000n); // 5
		codeOf(() => map(0x1011000n, 0x3000n)); // 6
		codeOf(() => client.call(Destroy, { id: 1 })); // 7
		const other = client.call(IoasAlloc, {}).outIoasId; // 8
		client.call(Destroy, { id: other }); // 9
		codeOf(() => client.call(HwptAlloc, { devId, ptId: other })); // 10
		client.call(IoasUnmap, { ioasId: 1, iova: 0x1013000n, length: 0x1000n }); // 11
		codeOf(() => client.call(IoasUnmap, { ioasId: 1, iova: 0x1013000n, length: 0x1000n })); // 12
		const third = client.call(IoasAlloc, {}).outIoasId; // 13
		const copy = { flags, dstIoasId: third, srcIoasId: 1, length: 0x4000n, dstIova: 0n, srcIova: 0x1010000n };
		codeOf(() => client.call(IoasCopy, copy)); // 14
		client.fd.release();
	}),
);

const why = (call: number, path = mapped) => {
	const { stdout, stderr, status } = ioasis("why", String(call), path);
	expect([stderr, status]).toEqual(["", 0]);
	return stdout.trimEnd().split("\n").slice(1);
};
/** What stands below a heading. */
const below = (lines: readonly string[], heading: string) => lines.slice(lines.indexOf(heading) + 1);

describe("of a call that failed it says", () => {
	test("the call, its reason and what to do, as a trace has it", () => {
		const [call, reason] = why(6);
		expect(call).toMatch(/IOMMU_IOAS_MAP, {flags=FIXED_IOVA\|WRITEABLE\|READABLE, .*iova=0x1011000}\) = -1 EEXIST$/);
		expect(reason).toMatch(/^ {5}\S/);
	});

	test("what is in the way, and which call has put it there", () => {
		expect(below(why(6), "what it met:")).toEqual([
			expect.stringMatching(/^ {2}IOAS 1: 2 mappings .*, made by call 2 \(IOMMU_IOAS_ALLOC\)$/),
			"    reserved: 0x0 to 0xffffff, beyond the aperture of HWPT 4, 0x1000000 to 0x7fffffff",
			"    reserved: 0x80000000 to 0xffffffffffffffff, beyond the aperture of HWPT 4, 0x1000000 to 0x7fffffff",
			"    in use by HWPT 4",
			expect.stringMatching(/^ {2}HWPT 4 \(selftest\): shows IOAS 1, made by an attach, made by call 3 /),
			expect.stringMatching(/^ {4}in use by device 3/),
			"  0x1011000 to 0x1013fff of IOAS 1:",
			"    mapped: 0x1010000 to 0x1011fff, by call 4 (IOMMU_IOAS_MAP)",
			"    mapped: 0x1013000 to 0x1013fff, by call 5 (IOMMU_IOAS_MAP)",
		]);
	});

	test("who uses an object that is to be destroyed", () => {
		const lines = why(7);
		expect(lines[0]).toMatch(/IOMMU_DESTROY, {id=1}\) = -1 EBUSY$/);
		expect(lines).toContain("    in use by HWPT 4");
	});

	test("which call has destroyed an object that isn't there", () => {
		expect(why(10)).toContain("  there is no object 5: call 9 (IOMMU_DESTROY) has destroyed it");
	});

	test("that nothing is mapped, and what is next to it", () => {
		expect(why(12).slice(-3)).toEqual([
			"  0x1013000 to 0x1013fff of IOAS 1:",
			"    nothing is mapped or reserved there",
			"    the next mapping below it: 0x1010000 to 0x1011fff",
		]);
	});

	test("of a copy both ranges", () => {
		expect(why(14)).toContain("  0x1010000 to 0x1013fff of IOAS 1:");
	});
});

describe("of a call that succeeded it says", () => {
	test("what it changed", () => {
		expect(below(why(11), "what it changed:")).toEqual([
			"-   IOAS 1: 2 mappings of 0x3000 bytes at 0x1010000 to 0x1011fff, 0x1013000 to 0x1013fff",
			"+   IOAS 1: 1 mapping of 0x2000 bytes at 0x1010000 to 0x1011fff",
		]);
		expect(below(why(8), "what it changed:")).toEqual(["+   IOAS 5: nothing mapped"]);
	});

	test("which DMA of it went wrong, and which call took away what was mapped", () => {
		const intel = readFileSync("machines/intel.json", "utf8");
		const path = written(
			"dma.rec",
			recordingOf(intel, (recorder) => {
				const device = recorder.open("/dev/vfio/devices/vfio0", root) as RecordedDevice;
				const program = new TestProgram(recorder.open("/dev/iommu", root) as IommufdFile);
				program.bind(device);
				const { client } = program;
				const ioasId = client.call(IoasAlloc, {}).outIoasId;
				client.call(IoasMap, { flags, ioasId, userVa, length: 0x1000n, iova: 0x5000n });
				program.attach(device, ioasId);
				client.call(IoasUnmap, { ioasId, iova: 0x5000n, length: 0x1000n });
				const write = (position: number, size: number, value: bigint) => {
					client.memory.write(BUFFER, new Uint8Array(new BigUint64Array([value]).buffer));
					device.writeAt(client.memory, BUFFER, size, position);
				};
				write(7 * 2 ** 40 + 4, 2, 6n);
				write(EduRegister.DMA_SOURCE, 8, 0x5000n);
				write(EduRegister.DMA_DESTINATION, 8, EDU_BUFFER);
				write(EduRegister.DMA_COUNT, 8, 16n);
				write(EduRegister.DMA_COMMAND, 8, 1n);
				client.fd.release();
			}),
		);
		const lines = why(12, path);
		expect(lines).toContain("DMA error: 0000:00:02.0 reads 16 bytes at iova 0x5000: unmapped meanwhile");
		expect(lines).toContainEqual(
			expect.stringMatching(/^mapped: 0x5000 to 0x5fff in IOAS 2, by call 5, IOMMU_IOAS_MAP/),
		);
		expect(lines).toContainEqual(expect.stringMatching(/^unmapped: by call 7, IOMMU_IOAS_UNMAP/));
	});
});

test("--json has it all by name", () => {
	const { stdout } = ioasis("why", "6", mapped, "--json");
	expect(JSON.parse(stdout)).toMatchObject({
		...{ recording: mapped, number: 6, call: "IOMMU_IOAS_MAP", errno: "EEXIST" },
		state: expect.arrayContaining(["  mapped: 0x1010000 to 0x1011fff, by call 4 (IOMMU_IOAS_MAP)"]),
		dmaErrors: [],
	});
});

test.each([
	[["six", "x.rec"], /^ioasis: "six" is not the number of a call\n/],
	[["99", mapped], /^ioasis: call 99: .* has \d+ calls, counted from 1\n/],
	[["0", mapped], /^ioasis: call 0: /],
	[["1", "no-such.rec"], /no-such.rec can't be read: ENOENT/],
])("%j is refused with a line", (words, message) => {
	const { status, stderr } = ioasis("why", ...words);
	expect(stderr).toMatch(message);
	expect(status).toBe(2);
});
