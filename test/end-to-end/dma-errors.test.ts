// Drivers with a bug: what goes wrong with DMA is told with the call that is to blame. clients/dma_errors.c, clients/nested_dma.c.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, command, hasCompiler, ioasis, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);
const program = hasCompiler ? buildClient("dma_errors", directory.path) : "";

const run = (bug: string, ...words: string[]) =>
	ioasis("run", "--machine", "intel", ...words, "--", program, "/dev/vfio/devices/vfio0", bug);

/** Without what differs: threads, tables, and how often the driver has looked whether its device is done. */
const toldOf = (stderr: string): string[] =>
	stderr
		.replaceAll(/thread \d+/g, "thread N")
		.replaceAll(/unmapped: by call \d+/g, "unmapped: by call N")
		.replaceAll(/the table at 0x[0-9a-f]+/g, "the table at T")
		.split("\n")
		.filter((line) => !/^ioasis: \d+ calls|left allocated|^$/.test(line));

const MAP = "IOMMU_IOAS_MAP of thread N";
const FIRST = "0x100000 to 0x100fff";
const SECOND = "0x108000 to 0x108fff";

describe.skipIf(!hasCompiler)("--dma-errors=report", () => {
	test.each([
		[
			"not mapped",
			"reads 256 bytes at iova 0x104000: not mapped",
			[
				`nearest in IOAS 2: below ${FIRST}, above ${SECOND}`,
				"page table: 0x104000 is not mapped: PTE 260 of the table at T is 0x0",
			],
		],
		[
			"unmapped",
			"writes 256 bytes at iova 0x100010: unmapped meanwhile",
			[
				`mapped: ${FIRST} in IOAS 2, by call 7, ${MAP}`,
				"unmapped: by call N, IOMMU_IOAS_UNMAP of thread N",
				`nearest in IOAS 2: above ${SECOND}`,
				"page table: 0x100010 is not mapped: PTE 256 of the table at T is 0x0",
			],
		],
		[
			"past the end",
			"writes 256 bytes at iova 0x100fa0, of which those from 0x101000 on: past the end of a mapping",
			[
				`nearest in IOAS 2: below ${FIRST}, above ${SECOND}`,
				"page table: 0x101000 is not mapped: PTE 257 of the table at T is 0x0",
			],
		],
		[
			"no permission",
			"writes 256 bytes at iova 0x108000: the mapping doesn't permit that",
			[
				`mapped: ${SECOND} in IOAS 2, by call 8, ${MAP}`,
				`nearest in IOAS 2: below ${SECOND}`,
				expect.stringMatching(/^ {8}page table: 0x108000 would be written, and .* permits reading only$/),
			],
		],
		[
			"no memory",
			"writes 256 bytes at iova 0x100000: the memory behind it is gone",
			[
				`mapped: ${FIRST} in IOAS 2, by call 7, ${MAP}`,
				`nearest in IOAS 2: below ${FIRST}, above ${SECOND}`,
				expect.stringMatching(/^ {8}memory: 0x100000 leads to physical address 0x[0-9a-f]+, where there is no memory$/),
			],
		],
		[
			"bus master off",
			"reads 256 bytes at iova 0x100000: the device may not do DMA",
			["function: Bus Master Enable is off, bit 2 of the command register"],
		],
		[
			"not attached",
			"reads 256 bytes at iova 0x100000: the device, or this PASID, is attached to nothing",
			[expect.stringMatching(/^ {8}attachment: .* is attached to (nothing|a blocked domain)$/)],
		],
	])("%s: says where, what is mapped, and by which call", (bug, title, lines) => {
		const { stderr, status } = run(bug, "--dma-errors=report");
		expect(toldOf(stderr)).toEqual([
			`ioasis: DMA error: 0000:00:02.0 ${title}`,
			...lines.map((line) => (typeof line === "string" ? `        ${line}` : line)),
			`ioasis: 1 DMA error: 1 ${bug} (--dma-errors=report tells of each)`,
		]);
		expect(status).toBe(0);
	});

	test("says nothing where nothing is wrong", () => {
		for (const bug of ["none", "mapped again"]) {
			const { stderr, status } = run(bug, "--dma-errors=exit=9");
			expect(toldOf(stderr)).toEqual([]);
			expect(status).toBe(0);
		}
	});

	test("a translation that was changed and not invalidated is stale", () => {
		const client = buildClient("nested_dma", directory.path);
		const { stderr } = ioasis("run", "--dma-errors=report", "--machine", "amd", "--", client);
		expect(stderr).toMatch(/^ioasis: DMA error: .*: a stale translation was used\n {8}.* used a cached translation/m);
		expect(stderr).toMatch(/^ioasis: \d+ DMA errors: .*\b2 stale\b/m);
	});
});

describe.skipIf(!hasCompiler)("what becomes of a run in which DMA goes wrong", () => {
	test("without the option it is counted, and the exit code is the program's", () => {
		const { stderr, status } = run("unmapped");
		expect(toldOf(stderr)).toEqual(["ioasis: 1 DMA error: 1 unmapped (--dma-errors=report tells of each)"]);
		expect(status).toBe(0);
	});

	test("exit=CODE ends it with that code, abort kills the program", () => {
		expect(run("unmapped", "--dma-errors=exit=42").status).toBe(42);
		expect(run("unmapped", "--dma-errors=abort").status).toBe(134);
	});

	test("--json prints a line of JSON, which is in the report as well", () => {
		const report = join(directory.path, "report.jsonl");
		const { stderr } = run("unmapped", "--dma-errors=report", "--json", "--report", report);
		const printed = stderr.split("\n").filter((line) => line.startsWith("{"));
		expect(readFileSync(report, "utf8")).toContain(`${printed[0]}\n`);
		expect(JSON.parse(printed[0])).toMatchObject({
			...{ event: "dma error", kind: "unmapped", device: "0000:00:02.0", pasid: 0, isWrite: true },
			...{ start: "0x100010", iova: "0x100010", length: 256, map: "IOAS 2" },
			mapped: { first: "0x100000", last: "0x100fff", call: 7, ioctl: "IOMMU_IOAS_MAP" },
			unmapped: { ioctl: "IOMMU_IOAS_UNMAP" },
		});
	});

	test("a wrong way is refused before the program starts", () => {
		const { stderr, status } = spawn(command, "run", "--dma-errors=exit=0", "--", "true");
		expect(stderr).toBe(
			"ioasis: --dma-errors exit=0: there is no such way\n        report, abort, or exit=CODE with a code from 1 to 255\n",
		);
		expect(status).toBe(2);
	});
});
