import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { MachineDescriptionError, parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

const device = { address: "0000:00:02.0", vendor: "0x1234", device: "0x11e8", class: "0x00ff00" };
const amd = { driver: "amd", registers: { EFR: "0x29d3" }, devices: [device] };
const machine = (iommus: unknown) => ({ name: "mine", description: "a machine", iommus });

/** What is wrong with a description. */
function problem(description: unknown): string {
	try {
		new Machine(parseMachineDescription(JSON.stringify(description), "mine.json"));
	} catch (error) {
		if (error instanceof MachineDescriptionError) return error.message;
		throw error;
	}
	return "nothing";
}

test("the machines that ship are right, and have the name of their file", () => {
	for (const file of readdirSync("machines")) {
		const description = parseMachineDescription(readFileSync(`machines/${file}`, "utf8"), file);
		expect(`${description.name}.json`).toBe(file);
		new Machine(description);
	}
});

test("registers are numbers in hexadecimal", () => {
	const { iommus } = parseMachineDescription(JSON.stringify(machine([amd])), "mine.json");
	expect(iommus[0]).toMatchObject({
		registers: { EFR: 0x29d3n, EFR2: 0n },
		devices: [{ vendor: 0x1234, class: 0xff00 }],
	});
});

test("an error names the file and the field", () => {
	expect(problem(machine([amd]))).toBe("nothing");
	expect(problem(machine([{ ...amd, registers: { EFR: 0x29d3 } }]))).toMatch(/EFR: write it as a string/);
	expect(problem(machine([{ ...amd, registers: { EFR: "29d3" } }]))).toMatch(/EFR: "0x" and hexadecimal digits/);
	expect(problem(machine([{ ...amd, registers: { EFR: "0x10000000000000000" } }]))).toMatch(/EFR: it has 64 bits/);
	const wrong = (more: object) => problem(machine([{ ...amd, devices: [{ ...device, ...more }] }]));
	expect(wrong({ address: "3.0" })).toMatch(/devices\.0\.address: an address is like/);
	expect(wrong({ pasidBits: 21 })).toMatch(/devices\.0\.pasidBits: a number from 0 to 20/);
	expect(wrong({ bars: [{ index: 0, size: 5000 }] })).toMatch(/bars\.0\.size: a power of two/);
	expect(wrong({ firmwareRegions: [{ kind: "direct", first: "0x2", last: "0x1" }] })).toMatch(/first is after last/);
});

test("BARs and what is in them have to fit together", () => {
	const wrong = (more: object) => problem(machine([{ ...amd, devices: [{ ...device, ...more }] }]));
	const bars = [{ index: 0, size: 4096, space: "memory64" }];
	const msix = { vectors: 64, bar: 0 };
	expect(wrong({ bars, msix })).toBe("nothing");
	expect(wrong({ bars: [...bars, { index: 1, size: 4096 }] })).toMatch(/devices\.0: two BARs take BAR1: a memory64/);
	expect(wrong({ bars: [{ ...bars[0], index: 5 }] })).toMatch(/BAR5 has no register after it/);
	expect(wrong({ bars, msix: { ...msix, bar: 2 } })).toMatch(/msix is in BAR2, and there is no such BAR of memory/);
	expect(wrong({ bars, msix: { ...msix, vectors: 2048 } })).toMatch(
		/table for 2048 vectors ends at byte 32768 of BAR0/,
	);
	expect(wrong({ bars, msix: { ...msix, vectors: 200 } })).toMatch(
		/the bytes 0 to 3199, and the pending bits are at 2048/,
	);
	expect(wrong({ bars, msix: { ...msix, pendingOffset: 2052 } })).toMatch(
		/pending bits at byte 2052 of BAR0 must be at/,
	);
	const large = { size: 2 ** 31 };
	expect(wrong({ bars: [{ index: 0, ...large }] })).toMatch(/BARs of memory32 are too large: .* 2147483648 more bytes/);
});

test("a model fills in what is not said of its function, and says which of its options is wrong", () => {
	const described = (more: object) =>
		parseMachineDescription(
			JSON.stringify(machine([{ ...amd, devices: [{ address: "0000:00:02.0", ...more }] }])),
			"mine.json",
		).iommus[0].devices[0];
	const edu = described({ model: "edu", revision: 3 });
	expect(edu).toMatchObject({
		vendor: 0x1234,
		device: 0x11e8,
		class: 0xff00,
		revision: 3,
		interruptPin: 1,
		subsystem: 0x1100,
	});
	expect(edu.bars).toEqual([{ index: 0, size: 1 << 20, space: "memory32", prefetchable: false }]);
	expect(edu.model?.name).toBe("edu");
	const ids = { vendor: "0x1234", class: "0x0" };
	expect(described({ ...ids, device: "0x11e8" }).model?.name).toBe("edu");
	expect(described({ ...ids, device: "0x11e9" }).model).toBeUndefined();
	const wrong = (more: object) =>
		problem(machine([{ ...amd, devices: [{ address: "0000:00:02.0", ...more }] }])).replace(
			/^mine\.json:1:\d+: iommus\.0\.devices\.0: /,
			"",
		);
	expect(wrong({ model: "edo" })).toMatch(/^there is no model "edo": one of edu/);
	expect(wrong({ model: "edu", options: { size: 1 } })).toBe('options of edu: unknown field "size"');
	expect(wrong({ ...ids, device: "0x11e9", options: { size: 1 } })).toMatch(/^it has options, and no model/);
	expect(wrong(ids)).toBe('the field "device" is missing');
});

test("an error says what is missing, and what could be meant", () => {
	const said = (description: unknown) => problem(description).replace(/^mine\.json:1:\d+: /, "");
	expect(said({})).toBe('the field "name" is missing');
	expect(said({ description: "a machine" })).toBe('the field "name" is missing');
	expect(said({ ...machine([]), iommu: [] })).toBe('unknown field "iommu": did you mean "iommus"?');
	expect(said({ nam: "mine", description: "x" })).toBe('unknown field "nam": did you mean "name"?');
	expect(said({ ...machine([]), colour: "red" })).toBe('unknown field "colour"');
	expect(said({ ...machine([]), description: 5 })).toBe("description: a string is expected here, and this is 5");
	expect(said({ ...machine([]), memory: null })).toBe("memory: an object is expected here, and this is null");
	expect(said({ ...machine([]), memory: { contiguity: "8K" } })).toBe(
		'memory.contiguity: "8K" is none of "4K", "2M", "1G", "as-addresses"',
	);
	expect(said(machine({}))).toBe("iommus: a list is expected here, and this is an object");
	expect(said(machine([5]))).toBe("iommus.0: an object is expected here, and this is 5");
	expect(said(machine([{}]))).toMatch(/^iommus\.0: the field "driver" is missing: one of "intel-vtd", "amd", /);
	expect(said(machine([{ ...amd, driver: "vt-d" }]))).toMatch(
		/^iommus\.0\.driver: "vt-d" is none of "intel-vtd", "amd"/,
	);
	expect(said(machine([{ ...amd, registers: {} }]))).toBe('iommus.0.registers: the field "EFR" is missing');
	expect(said(machine([{ ...amd, registers: { EFR: "0x0", efr2: "0x0" } }]))).toBe(
		'iommus.0.registers: unknown field "efr2": did you mean "EFR2"?',
	);
	// What another IOMMU has is no suggestion.
	expect(said(machine([{ ...amd, svaa: true }]))).toBe('iommus.0: unknown field "svaa"');
	expect(said(machine([{ ...amd, devices: [{ ...device, prii: true }] }]))).toBe(
		'iommus.0.devices.0: unknown field "prii": did you mean "pri"?',
	);
	expect(said(5)).toBe("an object is expected here, and this is 5");
});

test("an error says in which line and column", () => {
	const text = [
		"{",
		'\t"name": "mine",',
		'\t"description": "x",',
		'\t"iommus": [{ "driver": "amd", "registers": {}, "devices": [] }]',
	];
	const said = (...lines: string[]) => {
		try {
			parseMachineDescription(lines.join("\n"), "mine.json");
			return "nothing";
		} catch (error) {
			return (error as Error).message;
		}
	};
	expect(said(...text, "}")).toBe('mine.json:4:45: iommus.0.registers: the field "EFR" is missing');
	expect(said(...text)).toBe('mine.json:4:65: "," or "}" is expected here, and the text ends');
	expect(said('{ "name": "a",', '  "name": "b" }')).toBe(
		'mine.json:2:3: the field "name" is here for the second time: the first is in line 1',
	);
});

test("$schema is for editors, and names have no characters that a terminal obeys", () => {
	expect(problem({ $schema: "../schema/machine.json", ...machine([]) })).toBe("nothing");
	expect(problem({ ...machine([]), name: "a\x1b[2J" })).toMatch(/name: it has characters that a terminal obeys/);
	expect(problem({ ...machine([]), description: "two\nlines" })).toMatch(/description: it has characters/);
});

test("what takes PCI Express, and regions of the firmware, have to make sense", () => {
	const wrong = (more: object) => problem(machine([{ ...amd, devices: [{ ...device, ...more }] }]));
	expect(wrong({ ats: true })).toMatch(/devices\.0: "ats" takes a PCI Express function/);
	expect(wrong({ pasidBits: 4 })).toMatch(/"pasidBits" takes a PCI Express function/);
	expect(wrong({ express: true, ats: true, pri: true, pasidBits: 4 })).toBe("nothing");
	const region = (first: string, last: string) => ({ kind: "direct", first, last });
	expect(wrong({ firmwareRegions: [region("0x1000", "0x1800")] })).toMatch(
		/firmwareRegions\.0: it must be whole pages/,
	);
	expect(wrong({ firmwareRegions: [region("0x3000", "0x4fff"), region("0x1000", "0x3fff")] })).toMatch(
		/two firmwareRegions overlap: one from 0x1000 to 0x3fff, and one from 0x3000 on/,
	);
	expect(wrong({ firmwareRegions: [region("0x2000", "0x2fff"), region("0x1000", "0x1fff")] })).toBe("nothing");
});

test("what isn't JSON, or doesn't fit together, is an error too", () => {
	expect(() => parseMachineDescription("{", "mine.json")).toThrow(MachineDescriptionError);
	// What the text is may be quoted, but a terminal must not obey it.
	expect(() => parseMachineDescription("\x1b[2J\x7fELF", "mine.json")).toThrow(
		/^mine\.json:1:1: a value is expected here, and this is "[\x20-\x7e]+"$/,
	);
	expect(problem(machine([amd, amd]))).toMatch(/two PCI functions have the address 0000:00:02.0/);
	const virtual = { ...device, address: "0000:00:02.1", virtualFunctionOf: "0000:00:03.0" };
	expect(problem(machine([{ ...amd, devices: [device, virtual] }]))).toMatch(
		/0000:00:02.1 is a virtual function of 0000:00:03.0, and no function with "sriov" before it has that address/,
	);
});
