// The Data Streaming Accelerator as a device of a machine: how it shows itself, and what can be chosen.

import * as v from "valibot";
import type { DeviceModel, FunctionIdentity } from "../model.js";
import { integer } from "../options.js";
import { Dsa, PORTALS_BAR, PORTALS_SIZE, REGISTERS_BAR } from "./dsa.js";
import { VECTORS } from "./registers.js";

const options = v.strictObject({
	/** How much one descriptor moves at most, as a power of two of bytes. */
	transfer: v.optional(integer(12, 31), 21),
});

type Options = v.InferOutput<typeof options>;

const IDENTITY: FunctionIdentity = {
	vendor: 0x8086,
	device: 0x0b25,
	subsystemVendor: 0x8086,
	subsystem: 0x0000,
	class: 0x088000,
	bars: [
		{ index: REGISTERS_BAR, size: 64 * 1024, space: "memory64", prefetchable: true },
		{ index: PORTALS_BAR, size: PORTALS_SIZE, space: "memory64", prefetchable: true },
	],
	msix: { vectors: VECTORS, bar: REGISTERS_BAR, tableOffset: 0x2000, pendingOffset: 0x3000 },
	express: true,
};

export const dsa: DeviceModel<Options> = {
	name: "dsa",
	summary: "Intel Data Streaming Accelerator 1.0, for processors with MOVDIR64B; transfer=12 to 31",
	options,
	identity: () => IDENTITY,
	create: (port, { transfer }) => new Dsa(port, transfer),
};
