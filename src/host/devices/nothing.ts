// What stands for the model of a function that has none, whose registers nobody answers for. It has a thread only once a program maps them.

import * as v from "valibot";
import { allOnes } from "../../devices/endpoint.js";
import type { DeviceModel } from "../../devices/model.js";

export const nothing: DeviceModel = {
	name: "no model",
	summary: "registers that nobody answers for",
	options: v.strictObject({}),
	identity: () => ({ vendor: 0xffff, device: 0xffff, class: 0xffffff, bars: [] }),
	create: () => ({
		readRegister: (_bar, _offset, size) => allOnes(size),
		writeRegister() {},
		reset() {},
	}),
};
