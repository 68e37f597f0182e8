// Finding machine descriptions: the ones that ship, by name, and anyone's own, by path.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { HwptPolicy } from "../iommufd/hwpt-policy.js";
import {
	checkMachineDescription,
	type MachineDescription,
	MachineDescriptionError,
	parseJson,
	parseMachineDescription,
} from "../machine/description.js";
import { Machine, type Surroundings } from "../machine/machine.js";
import { isModule, loadModels, modelsOf } from "./device-modules.js";
import { parseDevice, withDevices } from "./device-option.js";

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

/** What makes a machine. */
export interface MachineChoice {
	/** One that ships, or a JSON file where the name has a slash or ends in .json. */
	readonly machine: string;
	/** Functions that it has besides, as --device has them. */
	readonly devices?: readonly string[] | undefined;
}

/** What a machine is to be made of. */
export interface FoundMachine {
	/** As its file would say it. */
	readonly json: unknown;
	readonly description: MachineDescription;
	/** What messages call its file. */
	readonly source: string;
}

/**
 * Finds the machine that `--machine` names, with the functions that `--device` adds, and loads the models that these take.
 * @throws MachineDescriptionError whose message says what is wrong, and where
 */
export async function findMachine({ machine, devices = [] }: MachineChoice): Promise<FoundMachine> {
	const place = locate(machine);
	const text = parseJson(readText(place), place.source);
	const own = withPaths(text.value, dirname(place.path));
	const added = devices.map(parseDevice);
	await loadModels([...modelsOf(own), ...added.map(({ model }) => model)]);
	const json = withDevices(own, added, machine);
	return { json, description: checkMachineDescription(json, place.source, text), source: place.source };
}

/** What a machine's file says, unchecked. @throws MachineDescriptionError */
export function rawMachine(machine: string): unknown {
	const place = locate(machine);
	return parseJson(readText(place), place.source).value;
}

/** Makes it. @throws MachineDescriptionError */
export function makeMachine(
	{ description, source }: FoundMachine,
	policy?: HwptPolicy,
	around?: Surroundings,
): Machine {
	try {
		return new Machine(description, policy, around);
	} catch (error) {
		// The machine doesn't know which file it is from.
		if (!(error instanceof MachineDescriptionError)) throw error;
		throw new MachineDescriptionError(`${source}: ${error.message}`);
	}
}

/** Files of models that a machine file names are meant from its own directory. */
function withPaths(machine: unknown, directory: string): unknown {
	return JSON.parse(
		JSON.stringify(machine, (key, value) =>
			key === "model" && typeof value === "string" && isModule(value) ? resolve(directory, value) : value,
		),
	);
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
