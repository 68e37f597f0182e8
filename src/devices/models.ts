// The kinds of PCI function that there are models of. One more is a line here: docs/devices.md.

import * as v from "valibot";
import { dsa } from "./dsa/model.js";
import { edu } from "./edu.js";
import { igb } from "./igb/model.js";
import { ioat } from "./ioat.js";
import type { DeviceModel } from "./model.js";
import { nvme } from "./nvme/model.js";

const models: DeviceModel[] = [edu, nvme, igb, ioat, dsa];

/** All of them, in the order of the help. */
export function allModels(): readonly DeviceModel[] {
	return models;
}

/** Adds one that doesn't ship: known by its name from now on, in this thread. */
export function addModel(model: DeviceModel): void {
	if (modelNamed(model.name) === undefined) models.push(model);
}

export function modelNamed(name: string): DeviceModel | undefined {
	return models.find((model) => model.name === name);
}

/** The model that shows itself with these IDs when nothing is chosen: what a machine file means that gives no model's name. */
export function modelWithIds(vendor: number, device: number): DeviceModel | undefined {
	return models.find((model) => {
		const options = v.safeParse(model.options, {});
		if (!options.success) return false;
		const identity = model.identity(options.output);
		return identity.vendor === vendor && identity.device === device;
	});
}
