// A small machine, for tests: a VT-d unit with some functions behind it.

import { parseMachineDescription } from "./description.js";
import { Machine } from "./machine.js";

/** @param functions what they have besides an address, 0000:00:01.0 the first, and the IDs of a network card */
export function machineWith(...functions: Record<string, unknown>[]): Machine {
	const devices = functions.map((changes, i) => ({
		address: `0000:00:0${i + 1}.0`,
		vendor: "0x8086",
		device: "0x10c9",
		class: "0x020000",
		...changes,
	}));
	const registers = { CAP_REG: "0x19ed008c40780c66", ECAP_REG: "0x3ef9ea6f050df" };
	const text = { name: "x", description: "x", iommus: [{ driver: "intel-vtd", registers, devices }] };
	return new Machine(parseMachineDescription(JSON.stringify(text), "x"));
}
