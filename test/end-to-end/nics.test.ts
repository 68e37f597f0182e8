// Two network cards at the ends of one wire, in the hands of a program that drives both.

import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);
const recording = join(directory.path, "recording.rec");

const CARDS = ["--device", "igb,wire=lan", "--device", "igb,wire=lan"];
const DEVICES = ["/dev/vfio/devices/vfio2", "/dev/vfio/devices/vfio3"];

describe.skipIf(!hasCompiler)("two 82576", () => {
	const program = () => buildClient("nics", directory.path);

	test("lose no frame and change none on their way from one to the other", () => {
		expect(ioasis("run", "--quiet", "--machine", "intel", ...CARDS, "--", program(), ...DEVICES, "20000")).toEqual({
			status: 0,
			stdout: ["link up", "20000 frames sent, 20000 got, 0 wrong, 0 missed", "20000 counted, with interrupts", ""].join(
				"\n",
			),
			stderr: "",
		});
	});

	test("do the same in a replay, without the program", () => {
		const options = ["--quiet", "--machine", "intel", ...CARDS, "--record", recording];
		expect(ioasis("run", ...options, "--", program(), ...DEVICES, "300")).toMatchObject({ status: 0, stderr: "" });
		expect(ioasis("replay", recording)).toMatchObject({ status: 0, stderr: "" });
	});
});
