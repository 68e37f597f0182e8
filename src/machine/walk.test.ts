import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { walkAsJson, walkHead, walkInWords } from "../iommufd/hwpt-walk.js";
import { IoasUnmap } from "../uapi/iommufd.js";
import { dmaRead, guestPage, IOVA, type Nested, nestOn, type SetUp, setUp } from "./nested-program.testing.js";
import { type WalkQuestion, walkMachine } from "./walk.js";

const machine = (name: string) => readFileSync(`machines/${name}.json`, "utf8");

/** A program whose device is attached to a first stage where IOVA leads to page 8 of the guest. */
function nested(name: string): SetUp & Nested {
	const set = setUp(machine(name));
	const all = { ...set, ...nestOn[name](set) };
	all.setPage(8);
	all.program.attach(all.file, all.hwptId);
	return all;
}

function textOf({ machine }: SetUp, question: WalkQuestion): string[] {
	return walkMachine(machine, question).flatMap((walk) => [walkHead(walk), ...walkInWords(walk)]);
}

const forDevice = { device: "vfio0", iovas: [IOVA] };

test("each entry of both stages, where it was read, and where the second stage has that", () => {
	expect(textOf(nested("intel"), forDevice)).toEqual([
		"IOVA 0x5000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0",
		"first stage: x86-64, 4 levels from guest-physical 0x40000000 on",
		"  PML4E 0 at guest-physical 0x40000000 is 0x40001007: next table at guest-physical 0x40001000 (P R/W U/S)",
		"    0x40000000 is physical 0x1000000000 by the second stage",
		"  PDPTE 0 at guest-physical 0x40001000 is 0x40002007: next table at guest-physical 0x40002000 (P R/W U/S)",
		"    0x40001000 is physical 0x1000001000 by the second stage",
		"  PDE 0 at guest-physical 0x40002000 is 0x40003007: next table at guest-physical 0x40003000 (P R/W U/S)",
		"    0x40002000 is physical 0x1000002000 by the second stage",
		"  PTE 5 at guest-physical 0x40003028 is 0x40008007: 4K page at guest-physical 0x40008000, read and write (P R/W U/S)",
		"    0x40003028 is physical 0x1000003028 by the second stage",
		"second stage: guest-physical 0x40008000 in HWPT 3",
		"  SS-PML5E 0 of the table at 0x100000000 is 0x100001003: next table at 0x100001000 (R W)",
		"  SS-PML4E 0 of the table at 0x100001000 is 0x100002003: next table at 0x100002000 (R W)",
		"  SS-PDPTE 1 of the table at 0x100002000 is 0x100003003: next table at 0x100003000 (R W)",
		"  SS-PDE 0 of the table at 0x100003000 is 0x100004003: next table at 0x100004000 (R W)",
		"  SS-PTE 8 of the table at 0x100004000 is 0x1000008803: 4K page at 0x1000008000, read and write (R W SNP)",
		"physical 0x1000008000, read and write",
	]);
});

test.each([
	["amd", "  Guest CR3 table entry 0 at guest-physical 0x40004000 is 0x40000001"],
	["arm", "  context descriptor 0 at guest-physical 0x40004000 is 0x90205c0000010, 0x40000000"],
])("%s: what leads to the first stage's tables is a part of the walk", (name, line) => {
	const [, first, ...rest] = textOf(nested(name), forDevice);
	expect(first).toMatch(/^first stage: .*, 4 levels from guest-physical 0x40000000 on$/);
	expect(rest[0]).toBe(line);
	expect(rest[1]).toBe("    0x40004000 is physical 0x1000004000 by the second stage");
	expect(rest.at(-1)).toBe("physical 0x1000008000, read and write");
});

test.each([
	["intel", "fault: first stage: PTE 6 at guest-physical 0x40003030, which is 0x0, is not present: P is 0"],
	[
		"arm",
		"fault: first stage: level 3 page descriptor 6 at guest-physical 0x40003030, which is 0x0, is not present: bit 0 is 0, so it is not valid",
	],
])("%s: a fault is that entry's, and that bit's", (name, line) => {
	expect(textOf(nested(name), { ...forDevice, iovas: [0x6000n] }).at(-1)).toBe(line);
});

test("both stages have a say in what is permitted", () => {
	const set = nested("intel");
	set.memory.setBigUint64(0x1000, set.memory.getBigUint64(0x1000, true) & ~2n, true);
	expect(textOf(set, forDevice).at(-1)).toBe("physical 0x1000008000, read");
});

test("an entry that permits nothing is named with its bit", () => {
	const set = nested("intel");
	set.memory.setBigUint64(0x2000, set.memory.getBigUint64(0x2000, true) & ~4n, true);
	expect(textOf(set, forDevice).at(-1)).toBe(
		"fault: first stage: PDE 0 at guest-physical 0x40002000, which is 0x40003003, permits nothing: U/S is 0",
	);
});

test("a table that the second stage doesn't map is the second stage's fault", () => {
	const set = nested("intel");
	set.setPage(15);
	const { client, ioasId } = set;
	client.call(IoasUnmap, { ioasId, iova: guestPage(0), length: 16n << 12n });
	expect(textOf(set, forDevice).slice(1)).toEqual([
		"first stage: x86-64, 4 levels from guest-physical 0x40000000 on",
		expect.stringMatching(/^fault: second stage: 0x40000000 \(PML4E 0\) is not mapped: SS-PTE 0 of the table at /),
	]);
});

test.each(["intel", "amd", "arm"])("%s: what the IOTLB still has is told, until it is invalidated", (name) => {
	const set = nested(name);
	dmaRead(set, IOVA);
	const stale = () => textOf(set, forDevice).filter((line) => line.startsWith("but "));
	expect(stale()).toEqual([]);
	set.setPage(11);
	expect(stale()).toEqual([
		"but the IOTLB still has guest-physical 0x40008000, reading and writing: a DMA goes by that until it is invalidated",
	]);
	set.invalidate();
	expect(stale()).toEqual([]);
	expect(textOf(set, forDevice).at(-1)).toBe("physical 0x100000b000, read and write");
});

test("arm: tables that a cached context descriptor leads to are told, too", () => {
	const set = nested("arm");
	dmaRead(set, IOVA);
	set.memory.setBigUint64(4 * 4096 + 8, guestPage(5), true);
	const lines = textOf(set, { ...forDevice, iovas: [IOVA + 0x1000n, IOVA] });
	expect(lines).toContain("first stage: ARMv8 stage 1, 4 KiB granule, 4 levels from guest-physical 0x40005000 on");
	expect(lines.at(-1)).toMatch(/^but the IOTLB still has guest-physical 0x40008000/);
});

test("a walk marks nothing, and leaves nothing in the IOTLB", () => {
	const set = nested("arm");
	textOf(set, forDevice);
	set.setPage(11);
	expect([dmaRead(set, IOVA), set.events]).toEqual([11, []]);
	const other = nested("intel");
	textOf(other, forDevice);
	expect(other.memory.getBigUint64(0, true)).toBe(0x4000_1007n);
});

test("without a question for a device it is all HWPTs, a nested one for each device that is attached to it", () => {
	const set = nested("intel");
	const heads = () => walkMachine(set.machine, { iovas: [IOVA, guestPage(8)] }).map(walkHead);
	expect(heads()).toEqual([
		"IOVA 0x5000 in HWPT 3 (intel-vtd)",
		"IOVA 0x5000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0",
		"IOVA 0x40008000 in HWPT 3 (intel-vtd)",
		"IOVA 0x40008000 in HWPT 4 (intel-vtd, nested on HWPT 3), for 0000:00:02.0",
	]);
	set.program.detach(set.file);
	expect(textOf(set, { hwpt: 4, iovas: [IOVA] })).toEqual([
		"IOVA 0x5000 in HWPT 4 (intel-vtd, nested on HWPT 3)",
		"HWPT 4 is attached to no device, and the IOMMU finds a first stage by its device",
	]);
});

test("a PASID that the guest's own table brings goes through its entry", () => {
	const lines = textOf(nested("amd"), { ...forDevice, pasid: 3 });
	expect(lines[0]).toBe("IOVA 0x5000 in HWPT 5 (amd, nested on HWPT 3), for 0000:00:02.0 with PASID 3");
	expect(lines.at(-1)).toMatch(/^fault: first stage: Guest CR3 table entry 3 at .* has no V/);
});

test("addresses that the IOMMU takes for interrupts are not translated", () => {
	expect(textOf(nested("intel"), { ...forDevice, iovas: [0xfee0_0000n] })[1]).toMatch(/for interrupts/);
});

test("what isn't there is said, with what there is", () => {
	const set = setUp(machine("intel"));
	const problem = (question: Omit<WalkQuestion, "iovas">) => {
		try {
			walkMachine(set.machine, { ...question, iovas: [IOVA] });
			return undefined;
		} catch (error) {
			return error;
		}
	};
	expect(problem({})).toMatchObject({ message: "there is no page table (HWPT) at the moment", advice: [] });
	expect(problem({ device: "vfio0" })).toMatchObject({
		message: "vfio0 is attached to no page table (HWPT) at the moment",
	});
	expect(problem({ device: "vfio1" })).toMatchObject({
		message: "vfio1 is no device that is bound at the moment",
		advice: ["those that are: vfio0 (0000:00:02.0)"],
	});
	set.program.attach(set.file, set.ioasId);
	expect(problem({ hwpt: 7 })).toMatchObject({
		message: "there is no HWPT 7 at the moment",
		advice: ["the HWPTs are: 3 (intel-vtd)"],
	});
	expect(problem({ device: "0000:00:02.0", hwpt: 7 })).toMatchObject({
		message: "0000:00:02.0 is attached to HWPT 3, not to HWPT 7",
	});
});

test("for programs it is an object, with addresses as strings", () => {
	const [walk] = walkMachine(nested("intel").machine, forDevice);
	expect(JSON.parse(JSON.stringify(walkAsJson(walk)))).toMatchObject({
		iova: "0x5000",
		hwpt: 4,
		kind: "HWPT_NESTED",
		driver: "intel-vtd",
		parent: 3,
		device: "0000:00:02.0",
		pasid: 0,
		firstStage: {
			bypassed: false,
			steps: [{ name: "PML4E 0", address: "0x40000000", physical: "0x1000000000", words: ["0x40001007"] }, {}, {}, {}],
			output: "0x40008000",
		},
		table: { address: "0x40008000", physical: "0x1000008000", access: "read and write" },
	});
});
