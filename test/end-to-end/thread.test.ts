// The thread of 2023 about the allocation rule, from a real process: which machine works under which rule, and which breaks.
// machine/thread.test.ts has the same in the engine alone, and docs/policies.md tells the story.

import { expect, test, vi } from "vitest";
import { ioasis, spawn } from "./programs.js";

// Many processes, on a computer that may be busy with other tests.
vi.setConfig({ testTimeout: 120_000 });

const MACHINES = ["intel", "s390-2023", "arm-smmu-2023", "pamu-2023"];

interface Combination {
	readonly machine: string;
	readonly result: string;
	readonly firstFailure?: { readonly call: string; readonly errno: string };
}

/** What examples/hwpt-thread.mjs gets for an answer on each of the machines: "pass", or the call that fails and its errno. */
function answers(question: string, policy: string): Record<string, string> {
	const words = ["--machines", MACHINES.join(","), "--policies", policy, "--json"];
	const { stdout } = ioasis("matrix", ...words, "--", process.execPath, "examples/hwpt-thread.mjs", question);
	const { combinations }: { combinations: Combination[] } = JSON.parse(stdout);
	return Object.fromEntries(
		combinations.map(({ machine, result, firstFailure }) => [
			machine,
			firstFailure ? `${firstFailure.call}: ${firstFailure.errno}` : result,
		]),
	);
}

const all = (answer: string) => Object.fromEntries(MACHINES.map((machine) => [machine, answer]));
const ALLOC_UNSUPPORTED = "IOMMU_HWPT_ALLOC: EOPNOTSUPP";
const ATTACH_UNSUPPORTED = "VFIO_DEVICE_ATTACH_IOMMUFD_PT: EOPNOTSUPP";
const BIND_UNSUPPORTED = "VFIO_DEVICE_BIND_IOMMUFD: EOPNOTSUPP";

test("posted: every device binds, and then a driver without the op can do nothing, not even in the automatic flow", () => {
	expect(answers("bind", "posted")).toEqual(all("pass"));
	expect(answers("alloc", "posted")).toEqual({ ...all(ALLOC_UNSUPPORTED), intel: "pass" });
	expect(answers("attach", "posted")).toEqual({ ...all(ATTACH_UNSUPPORTED), intel: "pass" });
});

test.each(["agreed", "mainline"])(
	"%s: both flows work without user data, and who has no DMA domains can't bind",
	(policy) => {
		const expected = { ...all("pass"), "pamu-2023": BIND_UNSUPPORTED };
		expect(answers("alloc", policy)).toEqual(expected);
		expect(answers("attach", policy)).toEqual(expected);
	},
);

test.each(["agreed", "mainline"])("%s: user data needs the op, and a driver that knows what it means", (policy) => {
	expect(answers("alloc-data", policy)).toEqual({ ...all(ALLOC_UNSUPPORTED), "pamu-2023": BIND_UNSUPPORTED });
});

test("agreed: user data that is all zeroes is none; for mainline it is data like any other", () => {
	expect(answers("alloc-zeroes", "agreed")).toEqual({ ...all("pass"), "pamu-2023": BIND_UNSUPPORTED });
	expect(answers("alloc-zeroes", "mainline")).toEqual({ ...all(ALLOC_UNSUPPORTED), "pamu-2023": BIND_UNSUPPORTED });
});

test("a domain that is finished only at attach can't be mapped before it: HWPT_ALLOC of an IOAS that isn't empty fails on arm-smmu-2023", () => {
	for (const policy of ["agreed", "mainline"])
		expect(answers("alloc-mapped", policy)).toEqual({
			intel: "pass",
			"s390-2023": "pass",
			"arm-smmu-2023": "IOMMU_HWPT_ALLOC: ENODEV",
			"pamu-2023": BIND_UNSUPPORTED,
		});
});

test("reordered: mapping before the attach in the automatic flow breaks arm-smmu-2023, and nobody else", () => {
	expect(answers("attach", "reordered")).toEqual({
		...answers("attach", "agreed"),
		"arm-smmu-2023": "VFIO_DEVICE_ATTACH_IOMMUFD_PT: ENODEV",
	});
});

test("the table of it all has a line for what rules come to the same, and a letter for each reason", () => {
	const table = spawn(process.execPath, "examples/thread-table.mjs", "intel,s390", "posted,agreed,mainline");
	expect(table.stdout.split("\n")).toEqual([
		"machine  policy                    alloc         alloc-data    alloc-nested  attach",
		"intel    posted, agreed, mainline  works         EOPNOTSUPP a  works         works",
		"s390     posted                    EOPNOTSUPP b  EOPNOTSUPP b  EOPNOTSUPP b  EOPNOTSUPP c",
		"         agreed                    works         EOPNOTSUPP d  EOPNOTSUPP d  works",
		"         mainline                  works         EOPNOTSUPP e  EOPNOTSUPP e  works",
		"",
		"a  IOMMU_HWPT_ALLOC: intel-vtd: a paging HWPT takes no data",
		"b  IOMMU_HWPT_ALLOC: posted: s390 has no domain_alloc_user",
		"c  VFIO_DEVICE_ATTACH_IOMMUFD_PT: posted: s390 has no domain_alloc_user",
		"d  IOMMU_HWPT_ALLOC: agreed: s390 has no domain_alloc_user, so flags and data can't be served",
		"e  IOMMU_HWPT_ALLOC: s390 has no domain_alloc_paging_flags, so flags and data can't be served",
		"",
	]);
	expect([table.status, table.stderr]).toEqual([0, ""]);
});

test("user data that a driver has works on the parent of a nested table, by way of a vIOMMU where it has one", () => {
	for (const machine of ["intel", "amd", "arm"])
		expect(
			ioasis("run", "-q", "-m", machine, "--", process.execPath, "examples/hwpt-thread.mjs", "alloc-nested").stdout,
		).toBe("alloc-nested works\n");
});
