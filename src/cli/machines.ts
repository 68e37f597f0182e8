// ioasis machines: what --machine can name, what one of them is, whether a file is right, and a file made of this computer.

import { hostname } from "node:os";
import { addModel } from "../devices/models.js";
import { say, sayJson, sayOnStderr } from "../host/say.js";
import { MachineDescriptionError, parseMachineDescription } from "../machine/description.js";
import type { Machine } from "../machine/machine.js";
import { adviceOf, complain, refuse } from "./complain.js";
import { HostMachine } from "./host-machine.js";
import { findMachine, machineNames, makeMachine, rawMachine } from "./machine-files.js";

export function machines(json: boolean): void {
	const list = machineNames();
	if (json) {
		sayJson(list);
		return;
	}
	const width = Math.max(...list.map(({ name }) => name.length));
	say(...list.map(({ name, description }) => `${name.padEnd(width)}  ${description}`));
	say(
		"",
		"A file describes others: ioasis run --machine ./mine.json -- PROGRAM",
		"To begin with one of these: ioasis machines show NAME >mine.json",
	);
}

/** Prints a machine's file. */
export function showMachine(name: string): void {
	sayJson(orRefuse(() => rawMachine(name)));
}

/** Says what a file describes, or what is wrong with it. */
export async function checkMachine(name: string): Promise<void> {
	// Whoever only lists machines needs nothing that is the system's.
	const { vfioUser } = await import("../host/vfio-user/model.js");
	addModel(vfioUser);
	try {
		say(`${name} is right: ${inWords(makeMachine(await findMachine({ machine: name })))}`);
	} catch (error) {
		refuseDescription(error);
	}
}

function inWords({ name, vfioDevices, vfioGroups }: Machine): string {
	const devices = vfioDevices.map((device) => `${device.cdevName} (${device.name})`).join(", ");
	if (devices === "") return `the machine "${name}", which has no devices of VFIO's`;
	const groups = `${vfioGroups.length} ${vfioGroups.length === 1 ? "group" : "groups"}`;
	return `the machine "${name}" with ${devices}, in ${groups}`;
}

/** Prints a machine file of this computer, or of a copy of its /sys. */
export function captureMachine(root: string | undefined, name: string | undefined): void {
	const host = new HostMachine(root ?? "/", (machine) => {
		const { devices, ...iommu } = (rawMachine(machine) as { iommus: { devices: unknown }[] }).iommus[0];
		return iommu;
	});
	let captured: ReturnType<HostMachine["capture"]>;
	try {
		captured = host.capture(name ?? (root === undefined ? hostname() : "captured"));
	} catch (error) {
		refuse((error as Error).message, "give the directory that has a copy of sys/: --root TREE");
	}
	for (const note of captured.notes) sayOnStderr(`ioasis: ${note}`);
	sayJson(captured.machine);
	// Hardware may be stranger than what a machine file can say.
	try {
		const text = JSON.stringify(captured.machine);
		makeMachine({ json: captured.machine, description: parseMachineDescription(text, "this"), source: "this" });
	} catch (error) {
		if (!(error instanceof MachineDescriptionError)) throw error;
		complain(error.message, "change that in the file before you use it");
		process.exitCode = 1;
	}
}

function orRefuse<T>(action: () => T): T {
	try {
		return action();
	} catch (error) {
		refuseDescription(error);
	}
}

function refuseDescription(error: unknown): never {
	if (!(error instanceof MachineDescriptionError)) throw error;
	refuse(error.message, adviceOf(error));
}
