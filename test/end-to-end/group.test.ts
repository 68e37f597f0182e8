// A program that has its device by the group's file, as programs did before devices had files of their own.

import { chmodSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildClient, command, hasCompiler, spawn, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const canBeNobody = spawn(NOBODY[0], ...NOBODY.slice(1), command, "machines").status === 0;
const users = [
	{ who: "whoever runs the tests", before: [] as string[] },
	...(canBeNobody ? [{ who: "an ordinary user", before: NOBODY }] : []),
];

describe.skipIf(!hasCompiler).each(users)("for $who", ({ before }) => {
	let client: string;
	beforeAll(() => {
		client = buildClient("group", directory.path);
		chmodSync(directory.path, 0o755);
	});

	test.each([
		["intel", "/dev/vfio/vfio"],
		["amd", "/dev/vfio/vfio"],
		["arm", "/dev/vfio/vfio"],
		["intel", "/dev/iommu"],
	])("on %s, by %s, a device copies a page of what the container has mapped", (machine, container) => {
		const words = [
			...before,
			command,
			"run",
			"--machine",
			machine,
			"--",
			client,
			"/dev/vfio/0",
			"0000:00:02.0",
			container,
		];
		const { stdout, stderr, status } = spawn(words[0], ...words.slice(1));
		// An iommufd doesn't mind: the device has its own hold of it.
		const isNative = container === "/dev/vfio/vfio";
		expect(stdout).toBe(
			[
				"a second open: Device or resource busy",
				"viable: yes",
				"a device before there is a container: Invalid argument",
				"mapped twice: File exists",
				"another device: No such device",
				"copied: yes",
				`the container is taken away: ${isNative ? "Device or resource busy" : "yes"}`,
				"unmapped: all",
				"written after that: no",
				`and without a device: ${isNative ? "yes" : "Invalid argument"}\n`,
			].join("\n"),
		);
		expect(stderr).toMatch(/^ioasis: \d+ calls, 5 errors: /);
		expect(status).toBe(0);
	});

	test.each(["intel", "amd", "arm"])(
		"on %s a device reaches the registers of another one that the program has mapped",
		(machine) => {
			const words = ["run", "--quiet", "--machine", machine, "--device", "edu", "--", client];
			const devices = ["/dev/vfio/0", "0000:00:02.0", "/dev/vfio/vfio", "/dev/vfio/2", "0000:02:00.0"];
			const [program, ...rest] = [...before, command, ...words, ...devices];
			expect(spawn(program, ...rest)).toEqual({ stdout: "written: 1234\nread: 5678\n", stderr: "", status: 0 });
		},
	);
});
