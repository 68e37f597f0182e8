import { expect, test } from "vitest";
import { leaksBeyond } from "./leaks.js";

test("what is left as always is no leak, and of each kind what is more than that is", () => {
	const usual = ["1 IOAS, 1 DEVICE when /dev/iommu was closed"];
	expect(leaksBeyond(usual, usual)).toEqual([]);
	expect(leaksBeyond(usual, ["1 IOAS when /dev/iommu was closed"])).toEqual([]);
	expect(leaksBeyond(usual, ["3 IOAS, 1 DEVICE, 1 FAULT when /dev/iommu was closed"])).toEqual([
		"2 IOAS when /dev/iommu was closed",
		"1 FAULT when /dev/iommu was closed",
	]);
});

test("memory that stays pinned and files that stay open are leaks, too", () => {
	expect(leaksBeyond(["2 pages are pinned"], ["2 pages are pinned"])).toEqual([]);
	expect(leaksBeyond([], ["5 pages are pinned", "/dev/iommu is open (1 IOAS)"])).toEqual([
		"5 pages are pinned",
		"/dev/iommu is open (1 IOAS)",
	]);
});
