// run --walk: a page table at work, seen from outside.

import { expect, test, vi } from "vitest";
import { ioasis } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

/** The page that this program maps is at 4 GiB. */
const attach = ["--", process.execPath, "examples/hwpt-thread.mjs", "attach"];
const walk = (machine: string, iova: string, ...words: string[]) =>
	ioasis("run", "--quiet", "--machine", machine, "--walk", iova, ...words);

test("shows each level of the walk, when a call has changed it", () => {
	const { stderr, status } = walk("amd", "0x100000000", ...attach);
	const [head, ...levels] = stderr.trimEnd().split("\n");
	expect(head).toMatch(/^IOVA 0x100000000 in HWPT 3 \(amd\), after VFIO_DEVICE_ATTACH_IOMMUFD_PT:$/);
	expect(levels.length).toBeGreaterThan(1);
	for (const level of levels.slice(0, -1))
		expect(level).toMatch(/^ {2}level \d PTE \d+ of the table at .*: next table/);
	expect(levels.at(-1)).toMatch(/: 4K page at 0x[0-9a-f]+, read and write \(/);
	expect(status).toBe(0);
});

test("shows it again when it has become another, and only then", () => {
	const { stderr } = walk("selftest", "0x1000000,0x0", "--", process.execPath, "examples/first-steps.mjs");
	expect(stderr.match(/^IOVA .*$/gm)).toEqual([
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_TEST_CMD:",
		"IOVA 0x0 in HWPT 4 (selftest), after IOMMU_TEST_CMD:",
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_IOAS_MAP:",
		"IOVA 0x0 in HWPT 4 (selftest), after IOMMU_IOAS_MAP:", // the table has got another level on top
		"IOVA 0x1000000 in HWPT 4 (selftest), after IOMMU_IOAS_UNMAP:",
	]);
});

test("says so where there is no table yet, and where the table can't have the address", () => {
	const alloc = ["--", process.execPath, "examples/hwpt-thread.mjs", "alloc"];
	expect(walk("arm-smmu-2023", "0x1000", ...alloc).stderr).toMatch(
		/after IOMMU_HWPT_ALLOC:\n {2}there is no table yet/,
	);
	expect(walk("s390", "0xfffffffffffff000", ...alloc).stderr).toMatch(
		/0xfffffffffffff000 is outside of 0x0 to 0x[0-9a-f]+, which/,
	);
});

test("goes with --trace, whose lines come before", () => {
	expect(walk("amd", "0x100000000", "--trace", ...attach).stderr).toMatch(
		/ATTACH_IOMMUFD_PT, .* = 0.*\nIOVA 0x100000000/,
	);
});

test("what isn't an address is refused", () => {
	const { status, stderr } = walk("amd", "4096", "--", "true");
	expect(stderr).toBe("ioasis: --walk 4096: not an IOVA\n        give it in hexadecimal: 0x1000000\n");
	expect(status).toBe(2);
});
