import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ADVICE_MARK } from "../trace/print.js";
import { hints } from "../uapi/hints.js";
import { parseGuide, rowOf } from "./errno-guide.js";
import { failuresIn } from "./printed-failures.js";

const page = `
## Any ioctl
| \`EINVAL\` | *name*: *cName* is *refused*: it is reserved and must be 0 | uapi/rules.ts | [not-cleared](#not-cleared) |
### IOMMU_IOAS_MAP
| \`EINVAL\` | length *length* is not a multiple of *alignment* | iommufd/x.ts | [alignment](#alignment) |
| \`EINVAL\` | *what* is not a multiple of *alignment* | iommufd/y.ts |  |
| \`ENOMEM\` | *a \\* b* pages (here or: there) don't fit | iommufd/z.ts |  |
## What to do
### alignment
`;

test("a reason is the row with the most of its words, whatever the values", () => {
	const guide = parseGuide(page);
	const of = (errno: string, reason: string) => rowOf(guide, "IOMMU_IOAS_MAP", errno, reason);
	expect(of("EINVAL", "length 0x10 is not a multiple of 0x1000")).toMatchObject({
		reason: "length <length> is not a multiple of <alignment>",
		hint: "alignment",
	});
	expect(of("EINVAL", "iova 0x10 is not a multiple of 0x1000")?.reason).toBe("<what> is not a multiple of <alignment>");
	expect(of("ENOMEM", "12 pages here don't fit. Two are mapped by now")?.reason).toBe(
		"<a * b> pages (here or: there) don't fit",
	);
	expect(of("EINVAL", "IOMMU_IOAS_MAP: __reserved is 1: it is reserved and must be 0")?.hint).toBe("not-cleared");
	expect(of("EINVAL", "something else")).toBeUndefined();
});

test("the page that ships has every call with what it answers", () => {
	const { calls, rules } = parseGuide(readFileSync(new URL("../../docs/errno.md", import.meta.url), "utf8"));
	const map = calls.get("IOMMU_IOAS_MAP") ?? [];
	expect(map.length).toBeGreaterThan(20);
	expect(map.filter(({ hint }) => hint !== undefined).length).toBeGreaterThan(20);
	expect(rules.some(({ errno }) => errno === "E2BIG")).toBe(true);
});

test("failures are found in a trace, with the advice that stands there", () => {
	const trace = [
		'4711 open("/dev/iommu", O_RDWR) = 7',
		"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_MAP, {flags=READABLE, length=3}) = -1 EINVAL",
		"     length 3 is not a multiple of 4096",
		`${ADVICE_MARK}${hints.alignment.advice}`,
		'12:00:01.000123 4711 open("/dev/vfio/9", O_RDWR) = -1 ENOENT <0.000020>',
		"     this machine has no /dev/vfio/9",
		"4711 ioctl(7</dev/iommu>, IOMMU_IOAS_MAP, {length=4096}) = 0 {iova=0x0}",
	].join("\n");
	expect(failuresIn(trace)).toEqual([
		{
			place: "line 2",
			call: "IOMMU_IOAS_MAP",
			errno: "EINVAL",
			reason: "length 3 is not a multiple of 4096",
			hint: "alignment",
		},
		{ place: "line 5", call: "open", errno: "ENOENT", reason: "this machine has no /dev/vfio/9", hint: undefined },
	]);
});

test("and in JSON Lines, where other lines and broken ones are left out, and those of a recording are numbered calls", () => {
	const lines = [
		{ kind: "start", version: 2 },
		{ kind: "ioctl", command: "IOMMU_DESTROY", answer: 0 },
		{ kind: "release", what: 1 },
		{ kind: "ioctl", command: "IOMMU_DESTROY", answer: { errno: "ENOENT", reason: "id is 9" } },
		{ event: "failure", thread: 1, path: "/dev/iommu", call: "open", errno: "EMFILE", reason: "too many" },
		{ call: "ioctl", command: "IOMMU_IOAS_MAP", errno: "EINVAL", reason: "odd", hint: "alignment" },
		{ call: "ioctl", command: "IOMMU_IOAS_MAP", errno: "EINVAL", reason: "odd", hint: "constructor" },
	];
	const text = `${lines.map((line) => JSON.stringify(line)).join("\n")}\n{"call`;
	expect(failuresIn(text).map(({ place, call, hint }) => [place, call, hint])).toEqual([
		["call 2", "IOMMU_DESTROY", undefined],
		["line 5", "open", undefined],
		["line 6", "IOMMU_IOAS_MAP", "alignment"],
		["line 7", "IOMMU_IOAS_MAP", undefined],
	]);
});
