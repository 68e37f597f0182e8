// A device that no IOMMU stands in front of, in the hands of a program.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const DEVICE = "/dev/vfio/devices/noiommu-vfio0";
const trace = join(directory.path, "trace");
const recording = join(directory.path, "recording.rec");

/** Whether what is run here may have physical addresses. */
const CAP_SYS_RAWIO = 17;
const effective = BigInt(`0x${readFileSync("/proc/self/status", "utf8").match(/CapEff:\s+(\S+)/)![1]}`);
const isCapable = (effective >> BigInt(CAP_SYS_RAWIO)) & 1n;
const hasSetpriv = spawn("setpriv", "--version").status === 0;

describe.skipIf(!hasCompiler || !isCapable)("a device without an IOMMU", () => {
	const options = ["--quiet", "--machine", "noiommu", `--trace=${trace}`, "--record", recording];

	test("copies memory by the physical addresses that a program is told", () => {
		const client = buildClient("noiommu", directory.path);
		expect(ioasis("run", ...options, "--", client, DEVICE)).toEqual({
			status: 0,
			stdout: [
				"not attached: Operation not supported",
				"the second page: 4096 bytes side by side",
				"by its IOVA: refused",
				"by its physical address: copied",
				"",
			].join("\n"),
			stderr: "",
		});
		const lines = readFileSync(trace, "utf8");
		expect(lines).toMatch(/IOMMU_IOAS_NOIOMMU_GET_PA, .*iova=0x101000.*out_phys=0x[0-9a-f]+/);
		expect(lines).toMatch(/0000:00:02.0 can't read iova 0x100000: memory: there is no memory at 0x100000/);
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});

	test.skipIf(!hasSetpriv)("isn't opened without CAP_SYS_RAWIO", () => {
		const opening = ["setpriv", "--bounding-set=-sys_rawio", "--inh-caps=-sys_rawio", "cat", DEVICE];
		const { status, stderr } = ioasis("run", ...options, "--", ...opening);
		expect(stderr).toContain("Operation not permitted");
		expect(status).not.toBe(0);
		expect(readFileSync(trace, "utf8")).toMatch(
			/has no IOMMU, and so reaches all memory: to open it takes CAP_SYS_RAWIO/,
		);
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});
});

test("its files show that VFIO takes it without an IOMMU", () => {
	const script =
		"cat /sys/module/vfio/parameters/enable_unsafe_noiommu_mode; cat /sys/bus/pci/devices/*/iommu_group/name; ls /sys/bus/pci/devices/0000:00:02.0/vfio-dev";
	const { stdout, stderr } = ioasis("run", "--quiet", "--machine", "noiommu", "--", "sh", "-c", script);
	expect(stderr).toBe("");
	expect(stdout).toBe("Y\nvfio-noiommu\nvfio-noiommu\nnoiommu-vfio0\n");
});
