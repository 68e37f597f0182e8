// Finding machine descriptions: the ones that ship, by name, and anyone's own, by path.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { HwptPolicy } from "../iommufd/hwpt-policy.js";
import { type MachineDescription, MachineDescriptionError, parseMachineDescription } from "../machine/description.js";
import { Machine } from "../machine/machine.js";

/** machines/ beside dist/, in a checkout as in an installed package. */
const SHIPPED = fileURLToPath(new URL("../machines/", import.meta.url));

/** A name that no machine has. */
class UnknownMachineError extends MachineDescriptionError {
	/** What to do about it. */
	readonly advice = "`ioasis machines` lists the machines that there are";

	constructor(name: string) {
		super(`there is no machine "${name}"; a file is given by its path, as in ./${name}.json`);
	}
}

/**
 * Makes the machine that `--machine` names: one that ships, or a JSON file where the argument has a slash or ends in .json.
 * @throws MachineDescriptionError whose message says what is wrong, and where
 */
export function loadMachine(nameOrFile: string, policy?: HwptPolicy): Machine {
	const place = locate(nameOrFile);
	const description = describe(place);
	try {
		return new Machine(description, policy);
	} catch (error) {
		// The machine doesn't know which file it is from.
		if (!(error instanceof MachineDescriptionError)) throw error;
		throw new MachineDescriptionError(`${place.source}: ${error.message}`);
	}
}

/** The text of that machine's description. @throws MachineDescriptionError where it can't be read */
export function machineText(nameOrFile: string): string {
	return readText(locate(nameOrFile));
}

/** The machines that ship. */
export function machineNames(): { name: string; description: string }[] {
	return names().map((name) => ({ name, description: describe(locate(name)).description }));
}

/** Those on which programs find ordinary devices: where there is no IOMMU, a program has to be written for that. */
export function machinesWithIommus(): string[] {
	return names().filter((name) => !describe(locate(name)).iommus.some(({ driver }) => driver === "none"));
}

/** A description's file, and what messages call it. */
interface Place {
	readonly path: string;
	readonly source: string;
}

function locate(nameOrFile: string): Place {
	if (nameOrFile.includes("/") || nameOrFile.endsWith(".json")) return { path: nameOrFile, source: nameOrFile };
	if (!names().includes(nameOrFile)) throw new UnknownMachineError(nameOrFile);
	return { path: `${SHIPPED}${nameOrFile}.json`, source: `machines/${nameOrFile}.json` };
}

function names(): string[] {
	return readdirSync(SHIPPED)
		.filter((file) => file.endsWith(".json"))
		.map((file) => file.slice(0, -".json".length))
		.sort();
}

function describe(place: Place): MachineDescription {
	return parseMachineDescription(readText(place), place.source);
}

function readText({ path, source }: Place): string {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "EMFILE" || code === "ENFILE") throw error; // The file is not to blame.
		throw new MachineDescriptionError(`${source} can't be read: ${code}`);
	}
}
