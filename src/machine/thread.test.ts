// The thread of 2023 about the allocation rule, as a table: which machine works under which rule, and which breaks.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { BUFFER } from "../iommufd/client.testing.js";
import { type HwptPolicy, policies } from "../iommufd/hwpt-policy.js";
import type { IommufdFile } from "../iommufd/ioctls.js";
import { codeOf } from "../uapi/errno.js";
import { HwptAlloc, HwptDataType, IoasAlloc, IoasMap } from "../uapi/iommufd.js";
import { TestProgram } from "../vfio/program.testing.js";
import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

const MACHINES = ["intel", "s390-2023", "arm-smmu-2023", "pamu-2023"] as const;
const DATA = 0x1000_8000;
const S390_WINDOW = 0x1_0000_0000n;

/** What a program tries, in this order. */
interface Answers {
	bind: string;
	/** HWPT_ALLOC on an IOAS: empty, with something mapped, and with data: 24 zeroes, 24 ones. */
	alloc: string;
	allocMapped: string;
	allocZeroes: string;
	allocData: string;
	/** The automatic flow, with something mapped. */
	attach: string;
}

function answers(machine: string, policy: HwptPolicy): Answers {
	const source = `machines/${machine}.json`;
	const on = new Machine(parseMachineDescription(readFileSync(source, "utf8"), source), policy);
	const program = new TestProgram(on.open("/dev/iommu") as IommufdFile);
	const { client } = program;
	const file = program.open(on.vfioDevices[0]);
	let devId = 0;
	const bind = codeOf(() => {
		devId = program.bind(file);
	});
	const empty = client.call(IoasAlloc, {}).outIoasId;
	const mapped = client.call(IoasAlloc, {}).outIoasId;
	client.call(IoasMap, { ioasId: mapped, flags: 7, userVa: BigInt(BUFFER), length: 4096n, iova: S390_WINDOW });
	const alloc = (ptId: number, fill?: number) => {
		if (fill !== undefined) client.memory.write(DATA, new Uint8Array(24).fill(fill));
		const data = fill === undefined ? {} : { dataType: HwptDataType.VTD_S1, dataLen: 24, dataUptr: DATA };
		return codeOf(() => client.call(HwptAlloc, { devId, ptId, ...data }));
	};
	return {
		bind,
		alloc: alloc(empty),
		allocMapped: alloc(mapped),
		allocZeroes: alloc(empty, 0),
		allocData: alloc(empty, 1),
		attach: codeOf(() => program.attach(file, mapped)),
	};
}

function table(policy: string): string[] {
	return MACHINES.map((machine) => Object.values(answers(machine, policies.get(policy)!)).join(" "));
}

const UNBOUND = "ENOENT ENOENT ENOENT ENOENT EINVAL";

test("posted: a driver without the op can't be used at all, though it binds", () => {
	const NOTHING = "ok EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP EOPNOTSUPP";
	expect(table("posted")).toEqual(["ok ok ok EOPNOTSUPP EOPNOTSUPP ok", NOTHING, NOTHING, NOTHING]);
});

test("agreed: it works without data, zeroes count as none, and a driver without domains can't be bound", () => {
	expect(table("agreed")).toEqual([
		"ok ok ok ok EOPNOTSUPP ok",
		"ok ok ok ok EOPNOTSUPP ok",
		// A domain that is finished at attach can't be mapped before, "and that is fine": the automatic flow attaches first.
		"ok ok ENODEV ok EOPNOTSUPP ok",
		`EOPNOTSUPP ${UNBOUND}`,
	]);
});

test("reordered: mapping before the attach breaks Arm's driver, and no other", () => {
	const before = table("agreed");
	const after = table("reordered");
	expect(MACHINES.filter((_, index) => before[index] !== after[index])).toEqual(["arm-smmu-2023"]);
	expect(after[2]).toBe("ok ok ENODEV ok EOPNOTSUPP ENODEV");
});

test("mainline: as agreed, but zeroes are data like any other", () => {
	expect(table("mainline")).toEqual([
		"ok ok ok EOPNOTSUPP EOPNOTSUPP ok",
		"ok ok ok EOPNOTSUPP EOPNOTSUPP ok",
		"ok ok ENODEV EOPNOTSUPP EOPNOTSUPP ok",
		`EOPNOTSUPP ${UNBOUND}`,
	]);
});
