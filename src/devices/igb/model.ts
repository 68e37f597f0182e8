// The 82576 as a device of a machine: how it shows itself, and what can be chosen. 82576 data sheet 9 "PCIe Programming Interface".

import * as v from "valibot";
import type { DeviceModel, FunctionIdentity } from "../model.js";
import { Igb, IO_BAR, IO_SIZE, REGISTERS_BAR, REGISTERS_SIZE } from "./igb.js";

const INTEL = 0x8086;
const PORT_82576 = 0x10c9;
const GIGABIT_ET = 0xa03c;
const MSIX_BAR = 3;
/** MSI-X: one for each queue that a driver usually takes, and one for the rest. */
const VECTORS = 10;

const options = v.strictObject({
	/** The name of a wire: a function of the same machine that names it, too, is at its other end. */
	wire: v.optional(v.pipe(v.string(), v.minLength(1, "a wire has a name"))),
	/** The address of the port. */
	mac: v.optional(
		v.pipe(
			v.string(),
			v.regex(
				/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i,
				`a MAC address is like "02:00:00:00:00:01", and of one station: its first byte is even`,
			),
		),
	),
});

type Options = v.InferOutput<typeof options>;

const IDENTITY: FunctionIdentity = {
	vendor: INTEL,
	device: PORT_82576,
	subsystemVendor: INTEL,
	subsystem: GIGABIT_ET,
	revision: 1,
	class: 0x020000,
	bars: [
		{ index: REGISTERS_BAR, size: REGISTERS_SIZE, space: "memory32" },
		{ index: IO_BAR, size: IO_SIZE, space: "io" },
		{ index: MSIX_BAR, size: 16 * 1024, space: "memory32" },
	],
	interruptPin: 1,
	msiVectors: 1,
	msix: { vectors: VECTORS, bar: MSIX_BAR, tableOffset: 0, pendingOffset: 0x2000 },
	express: true,
};

export const igb: DeviceModel<Options> = {
	name: "igb",
	summary: "Intel 82576 network card; wire=NAME connects two of them, mac=ADDRESS",
	options,
	identity: () => IDENTITY,
	wires: ({ wire }) => (wire === undefined ? [] : [wire]),
	create(port, { wire, mac }, host) {
		return new Igb(port, {
			address: mac === undefined ? addressFor(host.address) : bytesOf(mac),
			vendor: INTEL,
			device: PORT_82576,
			subsystemVendor: INTEL,
			subsystem: GIGABIT_ET,
			wire: wire === undefined ? undefined : host.wire(wire),
			now: () => host.now(),
		});
	},
};

/** One of those that anybody may give out, told apart by where the function is: the digits of "0000:01:00.0". */
function addressFor(place: string): Uint8Array {
	const number = Number.parseInt(place.replaceAll(/[^0-9a-f]/gi, ""), 16) || 0;
	const address = new Uint8Array(6);
	address[0] = 0x02;
	new DataView(address.buffer).setUint32(2, number);
	return address;
}

function bytesOf(mac: string): Uint8Array {
	return Uint8Array.from(mac.split(":"), (digits) => Number.parseInt(digits, 16));
}
