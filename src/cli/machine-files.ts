// Finding machine descriptions: the ones that ship, by name, and anyone's own, by path.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { HwptPolicy } from "../iommufd/hwpt-policy.js";
import { type MachineDescription, MachineDescriptionError, parseMachineDescription } from "../machine/description.js";
import { Machine } from "../machine/machine.js";

/** machines/ beside dist/, in a checkout as in an installed package. */
const SHIPPED = fileURLToPath(new URL("../machines/", import.meta.url));

/**
 * Makes the machine that `--machine` names: one that ships, or a JSON file where the argument has a slash or ends in .json.
 * @throws MachineDescriptionError whose message says what is wrong, and where
 */
export function loadMachine(nameOrFile: string, policy?: HwptPolicy): Machine {
	return new Machine(describeMachine(nameOrFile), policy);
}

/** The description of that machine. @throws MachineDescriptionError */
export function describeMachine(nameOrFile: string): MachineDescription {
	const isFile = nameOrFile.includes("/") || nameOrFile.endsWith(".json");
	return isFile ? readDescription(nameOrFile, nameOrFile) : shipped(nameOrFile);
}

/** The machines that ship. */
export function machineNames(): { name: string; description: string }[] {
	return names().map((name) => ({ name, description: shipped(name).description }));
}

function shipped(name: string): MachineDescription {
	if (!names().includes(name))
		throw new MachineDescriptionError(
			`there is no machine "${name}": "ioasis machines" lists them, and a file is given by its path`,
		);
	return readDescription(`${SHIPPED}${name}.json`, `machines/${name}.json`);
}

function names(): string[] {
	return readdirSync(SHIPPED)
		.filter((file) => file.endsWith(".json"))
		.map((file) => file.slice(0, -".json".length))
		.sort();
}

function readDescription(path: string, source: string): MachineDescription {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		throw new MachineDescriptionError(`${source} can't be read: ${(error as NodeJS.ErrnoException).code}`);
	}
	return parseMachineDescription(text, source);
}
