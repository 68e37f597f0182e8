// A recording that the command line names, and a fresh machine to make its calls on.

import { policies } from "../iommufd/hwpt-policy.js";
import { checkMachineDescription } from "../machine/description.js";
import { Machine } from "../machine/machine.js";
import type { Start } from "../trace/record.js";
import { adviceOf, refuse } from "./complain.js";
import { loadModels, modelsOf } from "./device-modules.js";
import { findMachine, makeMachine } from "./machine-files.js";
import { policyNamed } from "./policy-names.js";
import { RecordingError, type RecordingText, readRecording } from "./recording-file.js";

/** What replaces what was recorded. */
interface Instead {
	readonly machine?: string;
	readonly policy?: string;
}

/** Reads it, or ends with what is wrong with it. */
export function readOrRefuse(path: string): RecordingText {
	try {
		return readRecording(path);
	} catch (error) {
		if (error instanceof RecordingError)
			refuse(error.message, "`ioasis run --record FILE -- PROGRAM` makes a recording");
		throw error;
	}
}

/** The machine of the recording, or the one that was asked for instead. */
export async function machineOf(start: Start, path: string, options: Instead = {}): Promise<Machine> {
	const policy = options.policy === undefined ? policies.get(start.policy) : policyNamed(options.policy);
	try {
		if (options.machine !== undefined) return makeMachine(await findMachine({ machine: options.machine }), policy);
		await loadModels(modelsOf(start.machine));
		return new Machine(checkMachineDescription(start.machine, path), policy);
	} catch (error) {
		refuse((error as Error).message, adviceOf(error));
	}
}
