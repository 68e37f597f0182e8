// A device that a program has bound reads memory through the IOMMU of each machine: clients/nested_dma.c.

import { afterAll, expect, test, vi } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const directory = temporaryDirectory();
afterAll(directory.remove);
const program = hasCompiler ? buildClient("nested_dma", directory.path) : "";

const run = (machine: string, ...words: string[]) => ioasis("run", ...words, "--machine", machine, "--", program);

test.skipIf(!hasCompiler).each(["intel", "amd", "arm"])(
	"%s: through both stages a device sees an entry that has changed only after its invalidation, and the trace says so",
	(machine) => {
		const { status, stdout, stderr } = run(machine, "--trace");
		expect(stdout.trimEnd().split("\n")).toEqual([
			"bound: fault",
			"one stage: page 7",
			"both stages: page 8",
			"changed, not invalidated: page 8",
			"invalidated: page 11",
			"detached: fault",
		]);
		expect(status).toBe(0);
		const lines = stderr.split("\n");
		const isInvalidation = (line: string) => /IOMMU_(HWPT_INVALIDATE|IOAS_UNMAP)/.test(line);
		const stale = lines.flatMap((line, i) => (line.includes("used a cached translation") ? [i] : []));
		expect(stale.length).toBeGreaterThan(0);
		expect(Math.max(...stale)).toBeLessThan(lines.findLastIndex(isInvalidation));
	},
);

test.skipIf(!hasCompiler).each(["s390", "s390-2023", "arm-smmu-2023"])(
	"%s: through one stage, where the driver has no second one for user space",
	(machine) => {
		const { status, stdout } = run(machine, "--quiet");
		expect(stdout).toBe("bound: fault\none stage: page 7\ndetached: fault\n");
		expect(status).toBe(0);
	},
);

test.skipIf(!hasCompiler)("pamu-2023: a device behind an IOMMU without DMA domains can't be bound", () => {
	const { status, stderr } = run("pamu-2023", "--quiet");
	expect(stderr).toContain("VFIO_DEVICE_BIND_IOMMUFD: Operation not supported");
	expect(status).toBe(1);
});
