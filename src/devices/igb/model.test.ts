import * as v from "valibot";
import { expect, test } from "vitest";
import type { DeviceHost } from "../model.js";
import { TestPort } from "../port.testing.js";
import { Wire } from "../wire.js";
import { igb } from "./model.js";

function host(address: string, wires = new Map<string, Wire>()): DeviceHost {
	return {
		address,
		openBlocks: () => {
			throw new Error("it has no disk");
		},
		wire(name) {
			const wire = wires.get(name) ?? new Wire();
			wires.set(name, wire);
			return wire.takeEnd();
		},
		now: () => 0n,
		gone: () => {},
	};
}

test("its address is the one that is chosen, else one that tells where the function is", () => {
	const addressOf = (options: unknown, place: string) => {
		const model = igb.create(new TestPort(), v.parse(igb.options, options), host(place));
		return [0x5400, 0x5404].map((offset) => model.readRegister(0, offset, 4).toString(16));
	};
	expect(addressOf({ mac: "00:1B:21:00:00:07" }, "0000:01:00.0")).toEqual(["211b00", "80000700"]);
	expect(addressOf({}, "0000:01:00.1")).toEqual(["2", "80000110"]);
	expect(addressOf({}, "0000:02:1f.0")).not.toEqual(addressOf({}, "0000:02:1f.1"));
});

test("two that name the same wire have a link, and a third one can't have it", () => {
	const wires = new Map<string, Wire>();
	const create = () => igb.create(new TestPort(), { wire: "lan" }, host("0000:01:00.0", wires));
	const [one, other] = [create(), create()];
	for (const port of [one, other]) port.writeRegister(0, 0, 4, 0x40n);
	expect([one, other].map((port) => port.readRegister(0, 8, 4) & 2n)).toEqual([2n, 2n]);
	expect(create).toThrow("both ends of this wire are taken");
	one.close?.();
	expect(other.readRegister(0, 8, 4) & 2n).toBe(0n);
});

test.each(["00:1b:21:00:00", "01:1b:21:00:00:07", "00-1b-21-00-00-07", ""])("%j is no address of a port", (mac) => {
	expect(() => v.parse(igb.options, { mac })).toThrow("a MAC address is like");
});
