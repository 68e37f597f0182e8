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
	expect(problem({ description: "a machine" })).toMatch(/^mine\.json: name: /);
	expect(problem(machine([{ ...amd, registers: {} }]))).toMatch(/^mine\.json: iommus\.0\.registers\.EFR: /);
	expect(problem(machine([{ ...amd, registers: { EFR: 0x29d3 } }]))).toMatch(/EFR: write it as a string/);
	expect(problem(machine([{ ...amd, registers: { EFR: "29d3" } }]))).toMatch(/EFR: "0x" and hexadecimal digits/);
	expect(problem(machine([{ ...amd, registers: { EFR: "0x10000000000000000" } }]))).toMatch(/EFR: it has 64 bits/);
	expect(problem(machine([{ ...amd, driver: "vt-d" }]))).toMatch(/^mine\.json: iommus\.0\.driver: /);
	expect(problem(machine([{ ...amd, colour: "red" }]))).toMatch(/^mine\.json: iommus\.0\.colour: /);
	const wrong = (more: object) => problem(machine([{ ...amd, devices: [{ ...device, ...more }] }]));
	expect(wrong({ address: "3.0" })).toMatch(/devices\.0\.address: an address is like/);
	expect(wrong({ pasidBits: 21 })).toMatch(/devices\.0\.pasidBits: a number from 0 to 20/);
	expect(wrong({ bars: [{ index: 0, size: 5000 }] })).toMatch(/bars\.0\.size: a power of two/);
	expect(wrong({ firmwareRegions: [{ kind: "direct", first: "0x2", last: "0x1" }] })).toMatch(/first is after last/);
});

test("what isn't JSON, or doesn't fit together, is an error too", () => {
	expect(() => parseMachineDescription("{", "mine.json")).toThrow(MachineDescriptionError);
	expect(problem(machine([amd, amd]))).toMatch(/two PCI functions have the address 0000:00:02.0/);
});
