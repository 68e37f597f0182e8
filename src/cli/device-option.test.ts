import { expect, test } from "vitest";
import { parseDevice, withDevices } from "./device-option.js";

const machine = {
	name: "mine",
	iommus: [
		{ driver: "amd", devices: [{ address: "0000:00:02.0", vendor: "0x1", pasidBits: 8, bars: [] }] },
		{ driver: "intel-vtd", devices: [{ address: "0000:05:00.0", vendor: "0x1" }] },
	],
};

function added(...devices: string[]) {
	return withDevices(machine, devices.map(parseDevice), "mine") as typeof machine;
}

function problem(action: () => unknown): string {
	try {
		action();
		return "nothing";
	} catch (error) {
		return (error as Error).message;
	}
}

test("a device is a model and what is chosen of it; a comma that is meant is two", () => {
	expect(parseDevice("edu")).toMatchObject({ model: "edu", address: undefined, options: {} });
	expect(parseDevice("nvme,file=a,,b.img,file=c=d,readonly,address=02:00.0")).toMatchObject({
		model: "nvme",
		address: "0000:02:00.0",
		options: { file: ["a,b.img", "c=d"], readonly: "" },
	});
	expect(parseDevice("x,__proto__=1").options).toEqual(JSON.parse('{"__proto__": "1"}'));
});

test("it comes behind the last IOMMU, on the bus after the last one", () => {
	const [, { devices }] = added("edu", "edu").iommus;
	expect(devices.slice(1)).toEqual([
		{ address: "0000:06:00.0", model: "edu", options: {} },
		{ address: "0000:07:00.0", model: "edu", options: {} },
	]);
});

test("or it takes a place, and what belongs to the place stays", () => {
	const { iommus } = added("edu,address=0000:00:02.0", "edu,address=0000:00:03.0");
	expect(iommus[0].devices).toEqual([{ address: "0000:00:02.0", pasidBits: 8, model: "edu", options: {} }]);
	expect(iommus[1].devices[1]).toEqual({ address: "0000:00:03.0", model: "edu", options: {} });
});

test("what is wrong with it is said with the option", () => {
	expect(problem(() => parseDevice(",x=1"))).toBe("--device ,x=1: a model's name comes first");
	expect(problem(() => parseDevice("edu,address=3"))).toBe("--device edu,address=3: 3 is no address of a function");
	expect(problem(() => added("nothing"))).toMatch(/^--device nothing: there is no model "nothing": one of edu/);
	expect(problem(() => added("edu,x=1"))).toBe('--device edu,x=1: options of edu: unknown field "x"');
	const device = { address: "0000:ff:00.0" };
	const full = { iommus: [{ devices: [device] }] };
	expect(problem(() => withDevices(full, [parseDevice("edu")], "full"))).toBe("--device edu: there is no free bus");
	expect(problem(() => withDevices({}, [parseDevice("edu")], "none"))).toMatch(/^--device edu: none has no IOMMU/);
});
