// A recording that the command line names, and a fresh machine to make its calls on.

import { readFileSync } from "node:fs";
import { policies } from "../iommufd/hwpt-policy.js";
import { checkMachineDescription } from "../machine/description.js";
import { Machine } from "../machine/machine.js";
import { Recording, RecordingError } from "../machine/record/recording.js";
import { adviceOf, refuse } from "./complain.js";
import { isModule, loadModels, modelsOf } from "./device-modules.js";
import { findMachine, makeMachine } from "./machine-files.js";
import { policyNamed } from "./policy-names.js";

/** What replaces what was recorded. */
export interface Instead {
	readonly machine?: string;
	readonly policy?: string;
	/** Whether the files of models that it names may be loaded. */
	readonly loadModels?: true;
}

/** Does something with a recording, or ends with what is wrong with it. */
export async function withRecording<T>(path: string, action: (recording: Recording) => T | Promise<T>): Promise<T> {
	try {
		return await action(Recording.parse(read(path)));
	} catch (error) {
		if (!(error instanceof RecordingError)) throw error;
		refuse(`${path}${error.place}: ${error.message}`, "`ioasis run --record FILE -- PROGRAM` makes a recording");
	}
}

function read(path: string): Uint8Array {
	try {
		return readFileSync(path);
	} catch (error) {
		refuse(
			`${path} can't be read: ${(error as NodeJS.ErrnoException).code}`,
			"`ioasis run --record FILE -- PROGRAM` makes a recording",
		);
	}
}

/**
 * Makes the recording's machine, or the one that was asked for instead, as often as it is asked for one: nothing has been done on it yet.
 * @throws RecordingError
 */
export async function machinesOf({ start }: Recording, options: Instead = {}): Promise<() => Machine> {
	const policy = options.policy === undefined ? policies.get(start.policy) : policyNamed(options.policy);
	if (policy === undefined) throw new RecordingError("", `policy: there is no allocation rule "${start.policy}"`);
	const { memory } = start;
	try {
		if (options.machine !== undefined) {
			const found = await findMachine({ machine: options.machine });
			return () => makeMachine(found, policy, { memory });
		}
		await loadRecordedModels(start.machine, options);
		const description = checkMachineDescription(start.machine, "the recording's machine");
		return () => new Machine(description, policy, { memory });
	} catch (error) {
		refuse((error as Error).message, adviceOf(error));
	}
}

/** A model's file is a program, and a recording may come from anybody. */
async function loadRecordedModels(machine: unknown, { loadModels: isAllowed }: Instead): Promise<void> {
	const models = modelsOf(machine);
	const ofFile = models.find(isModule);
	if (ofFile !== undefined && !isAllowed)
		refuse(
			`the recording's machine has a model that is a file, ${ofFile}, which a replay would run`,
			"if you know it, say --load-models",
		);
	await loadModels(models);
}
