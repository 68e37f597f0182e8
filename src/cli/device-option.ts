// --device MODEL,key=value,...: one more function for a machine, or another one in the place of one that is there. It becomes what a
// machine file would say, so that whatever comes after (the checks, a recording) knows nothing of the option.

import type { DeviceModel } from "../devices/model.js";
import { allModels, modelNamed } from "../devices/models.js";
import { MachineDescriptionError } from "../machine/description.js";
import { parseOptions } from "../machine/pci-description.js";
import { isModule } from "./device-modules.js";

const ADDRESS = /^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const LAST_BUS = 0xff;

/** What is wrong with one. */
class DeviceOptionError extends MachineDescriptionError {
	/** What to do about it. */
	readonly advice: string;

	constructor(option: string, problem: string, advice = "docs/devices.md has the models and their options") {
		super(`--device ${option}: ${problem}`);
		this.advice = advice;
	}
}

export interface DeviceOption {
	/** As it was given. */
	readonly text: string;
	/** A model's name, or the file of one. */
	readonly model: string;
	/** Where it is to be; undefined for a bus of its own. */
	readonly address: string | undefined;
	/** What was chosen: a list where a key was given more than once. */
	readonly options: Readonly<Record<string, string | string[]>>;
}

/** @throws MachineDescriptionError */
export function parseDevice(text: string): DeviceOption {
	const [model, ...words] = wordsOf(text);
	if (model === "") throw new DeviceOptionError(text, "a model's name comes first");
	const options = new Map<string, string | string[]>();
	let address: string | undefined;
	for (const word of words) {
		const [, key, , value = ""] = /^([^=]*)(=(.*))?$/s.exec(word)!;
		if (key === "address") address = addressOf(text, value);
		else {
			const before = options.get(key);
			options.set(key, before === undefined ? value : [before, value].flat());
		}
	}
	return { text, model, address, options: Object.fromEntries(options) };
}

/** A comma that is meant is two, as in QEMU. */
function wordsOf(text: string): string[] {
	return text
		.replaceAll(",,", "\0")
		.split(",")
		.map((word) => word.replaceAll("\0", ","));
}

function addressOf(text: string, value: string): string {
	const full = /^\w{4}:/.test(value) ? value : `0000:${value}`;
	if (ADDRESS.test(full)) return full;
	throw new DeviceOptionError(text, `${value} is no address of a function`, "an address is like 0000:01:00.0");
}

/** As much of a machine file as is looked at here. */
interface RawMachine {
	readonly iommus?: readonly { readonly devices?: readonly RawFunction[] }[];
}
interface RawFunction {
	readonly address?: unknown;
	readonly [field: string]: unknown;
}

/** What a place gives to the function that is in it, whichever that is. */
const OF_THE_PLACE = ["address", "group", "ats", "pri", "pasidBits", "express", "firmwareRegions"];

/**
 * Adds functions to what a machine file says.
 * @param name the machine's, for messages
 * @throws MachineDescriptionError
 */
export function withDevices(machine: unknown, devices: readonly DeviceOption[], name: string): unknown {
	return devices.reduce((before, device) => withDevice(before as RawMachine, device, name), machine);
}

function withDevice(machine: RawMachine, device: DeviceOption, name: string): unknown {
	checkOptions(device);
	const iommus = machine.iommus ?? [];
	const last = iommus.length - 1;
	if (last < 0)
		throw new DeviceOptionError(
			device.text,
			`${name} has no IOMMU, and so no PCI functions`,
			"take another machine, as in --machine intel",
		);
	const all = iommus.flatMap(({ devices = [] }) => devices);
	const { model, options } = device;
	const address = device.address ?? nextAddress(device.text, all);
	const isReplaced = all.some((other) => other.address === address);
	const added = (place: RawFunction) => ({ ...place, model, options });
	return {
		...machine,
		iommus: iommus.map((iommu, index) => {
			const devices = (iommu.devices ?? []).map((other) =>
				other.address === address
					? added(Object.fromEntries(Object.entries(other).filter(([field]) => OF_THE_PLACE.includes(field))))
					: other,
			);
			return { ...iommu, devices: index === last && !isReplaced ? [...devices, added({ address })] : devices };
		}),
	};
}

function checkOptions({ text, model: name, options }: DeviceOption): void {
	const model: DeviceModel | undefined = modelNamed(name);
	if (model === undefined) {
		const names = allModels().map((model) => model.name);
		const others = isModule(name) ? "" : `: one of ${names.join(", ")}, or a file, as ./${name}.mjs`;
		throw new DeviceOptionError(text, `there is no model "${name}"${others}`);
	}
	const parsed = parseOptions(model, options);
	if (typeof parsed === "string") throw new DeviceOptionError(text, parsed);
}

/** The first function of the bus after the last that there is. */
function nextAddress(text: string, functions: readonly RawFunction[]): string {
	const buses = functions.map(({ address }) => Number.parseInt(String(address).split(":")[1] ?? "", 16));
	const bus = Math.max(0, ...buses.filter((bus) => !Number.isNaN(bus))) + 1;
	if (bus > LAST_BUS)
		throw new DeviceOptionError(text, "there is no free bus", "give an address: address=0000:00:1f.0");
	return `0000:${bus.toString(16).padStart(2, "0")}:00.0`;
}

/** The options of `ioasis run` that say so. */
export function deviceOptions(devices: readonly string[] = []): string[] {
	return devices.flatMap((device) => ["--device", device]);
}
