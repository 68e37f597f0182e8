// Models that don't ship: a file that exports one, as its default. docs/devices.md says how to write it.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as v from "valibot";
import type { DeviceModel } from "../devices/model.js";
import { addModel, modelNamed } from "../devices/models.js";
import { MachineDescriptionError } from "../machine/description.js";

type Loader = (url: string) => Promise<{ default?: unknown }>;

/** The command is bundled as CommonJS, in which `import()` becomes `require()`: that doesn't load such modules in Node 20. */
const importUnbundled = new Function("url", "return import(url)") as Loader;

async function importModule(url: string): ReturnType<Loader> {
	try {
		return await importUnbundled(url);
	} catch (error) {
		// Where a test runs there is only the one of the sources.
		if ((error as NodeJS.ErrnoException).code === "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING")
			return import(/* @vite-ignore */ url);
		throw error;
	}
}

/** Whether a model's name is that of a file. */
export function isModule(name: string): boolean {
	return name.includes("/") || name.endsWith(".mjs");
}

/** Makes the models known that files export, by the files' names. @throws MachineDescriptionError */
export async function loadModels(names: Iterable<string>): Promise<void> {
	for (const name of names) if (isModule(name) && modelNamed(name) === undefined) addModel(await load(name));
}

/** The names of models that a machine file has. */
export function modelsOf(machine: unknown): string[] {
	const names: string[] = [];
	// It isn't checked yet, and may be anything.
	JSON.stringify(machine, (key, value) => {
		if (key === "model" && typeof value === "string") names.push(value);
		return value;
	});
	return names;
}

async function load(name: string): Promise<DeviceModel> {
	let exported: unknown;
	try {
		({ default: exported } = await importModule(pathToFileURL(resolve(name)).href));
	} catch (error) {
		throw new MachineDescriptionError(`${name} can't be loaded: ${(error as Error).message}`);
	}
	if (!isModel(exported))
		throw new MachineDescriptionError(
			`${name} has no model as its default export: an object with name, summary, options, identity() and create()`,
		);
	return { ...exported, name, options: schemaOf(exported.options) };
}

/** A schema of valibot's; or a function that makes of what was given what was chosen, and throws Error for what can't be. */
type Options = DeviceModel["options"] | ((given: Readonly<Record<string, unknown>>) => unknown) | undefined;

type ExportedModel = Omit<DeviceModel, "options"> & { readonly options?: Options };

function isModel(exported: unknown): exported is ExportedModel {
	const { identity, create } = (exported ?? {}) as Partial<DeviceModel>;
	return typeof identity === "function" && typeof create === "function";
}

function schemaOf(options: Options): DeviceModel["options"] {
	if (options === undefined) return v.strictObject({});
	if (typeof options === "object") return options;
	return v.pipe(
		v.record(v.string(), v.unknown()),
		v.rawTransform(({ dataset, addIssue, NEVER }) => {
			try {
				return options(dataset.value);
			} catch (error) {
				addIssue({ message: (error as Error).message });
				return NEVER;
			}
		}),
	);
}
