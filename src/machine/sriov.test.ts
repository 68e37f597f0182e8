import { expect, test } from "vitest";
import type { PciDescription } from "./pci-description.js";
import { barsOfVirtual, requesterIdOf, sriovOf } from "./sriov.js";

const BAR = { index: 0, size: 0x4000, space: "memory32", prefetchable: false } as const;

function functionAt(address: string, changes: Partial<PciDescription> = {}): PciDescription {
	return { address, device: 0x10ca, bars: [BAR], ...changes } as PciDescription;
}

function sriov(physical: string, ...virtual: PciDescription[]) {
	return sriovOf(functionAt(physical), virtual, () => 0xc000_0000n);
}

function problemOf(...virtual: PciDescription[]): string {
	try {
		sriov("0000:01:00.0", ...virtual);
	} catch (error) {
		return (error as Error).message;
	}
	return "none";
}

test("virtual functions are told of by the place of the first, and how far each is from the one before", () => {
	expect(requesterIdOf("0000:02:1f.7")).toBe(0x2ff);
	const three = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4"].map((address) => functionAt(address));
	expect(sriov("0000:01:00.0", ...three)).toMatchObject({ count: 3, offset: 128, stride: 2, deviceId: 0x10ca });
	expect(sriov("0000:01:00.0", functionAt("0000:02:00.0"))).toMatchObject({ count: 1, offset: 256, stride: 1 });
	expect(sriov("0000:01:00.0", functionAt("0000:00:1f.7"))).toMatchObject({ offset: 0xffff });
});

test("their BARs lie behind one another", () => {
	const capability = sriov("0000:01:00.0", functionAt("0000:01:10.0"), functionAt("0000:01:10.1"));
	expect(barsOfVirtual(capability, 0)).toEqual([{ ...BAR, address: 0xc000_0000n }]);
	expect(barsOfVirtual(capability, 1)).toEqual([{ ...BAR, address: 0xc000_4000n }]);
});

test("what no physical function could tell of isn't one machine's", () => {
	const [first, second] = [functionAt("0000:01:10.0"), functionAt("0000:01:10.2")];
	expect(problemOf(first, second, functionAt("0000:01:10.3"))).toMatch(/^0000:01:10.3: .* 2 requester IDs apart/);
	expect(problemOf(first, functionAt("0000:01:10.2", { device: 0x1520 }))).toMatch(/the same "device"$/);
	expect(problemOf(first, functionAt("0000:01:10.2", { bars: [] }))).toMatch(/the same "bars"$/);
	expect(problemOf(first, second)).toBe("none");
});
