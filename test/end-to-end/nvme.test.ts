// An NVMe controller in the hands of a driver that knows it by its VFIO file only: the one of examples/nvme.

import { execFileSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const ADDRESS = "0000:01:00.0";
const MEBI = 1024 * 1024;
const path = (name: string) => join(directory.path, name);

/** A file of random bytes. @returns what it holds, as a checksum */
function randomFile(name: string, bytes: number): string {
	const content = randomFillSync(new Uint8Array(bytes));
	writeFileSync(path(name), content);
	return createHash("sha256").update(content).digest("hex");
}

/** An empty disk image. */
function image(name: string, bytes: number): string {
	const file = openSync(path(name), "w");
	ftruncateSync(file, bytes);
	closeSync(file);
	return path(name);
}

const checksum = (name: string) =>
	createHash("sha256")
		.update(readFileSync(path(name)))
		.digest("hex");

/** Runs a shell command with a controller of some options at the address. */
function run(options: string, command: string, ...more: string[]) {
	const device = `nvme,address=${ADDRESS}${options === "" ? "" : `,${options}`}`;
	const words = ["--quiet", "--machine", "intel", "--device", device, ...more];
	return ioasis("run", ...words, "--", "sh", "-c", command);
}

describe.skipIf(!hasCompiler)("the example of an NVMe driver", () => {
	let client: string;

	beforeAll(() => {
		const sources = fileURLToPath(new URL("../../examples/nvme/", import.meta.url));
		client = path("nvme");
		const files = readdirSync(sources)
			.filter((name) => name.endsWith(".c"))
			.map((name) => join(sources, name));
		execFileSync("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-o", client, ...files], { stdio: "pipe" });
	});

	test("finds the controller of a machine, and says who it is", () => {
		const { status, stdout, stderr } = ioasis("run", "--quiet", "--machine", "intel", "--", client, "info");
		expect([status, stderr]).toEqual([0, ""]);
		expect(stdout).toMatch(
			/^Ioasis NVMe, serial number IOASIS-0000:01:00\.0\nnamespace 1: 131072 blocks of 512 bytes\nregisters: .*\n$/,
		);
	});

	test("says so where there is none", () => {
		const { status, stderr } = ioasis("run", "--quiet", "--machine", "selftest", "--", client, "info");
		expect(status).toBe(1);
		expect(stderr).toContain("VFIO has no NVMe controller here");
	});

	test.each([
		["looking all the time", ""],
		["by interrupts, with four queues", "-i -q 4"],
	])("writes a file and reads it again, %s", (_, options) => {
		const before = randomFile("from", 9 * MEBI + 1234);
		const commands = `${client} ${options} write ${path("from")} && ${client} ${options} read ${path("to")} ${9 * MEBI + 1234}`;
		expect(run("size=16M", commands)).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(checksum("to")).toBe(before);
	});

	test("writes to a disk image, whose blocks have 4096 bytes", () => {
		const before = randomFile("from", 3 * MEBI);
		const disk = image("disk.img", 4 * MEBI);
		expect(run(`file=${disk},lba=4096`, `${client} -q 2 write ${path("from")}`)).toMatchObject({
			status: 0,
			stderr: "",
		});
		const written = readFileSync(disk);
		expect(
			createHash("sha256")
				.update(written.subarray(0, 3 * MEBI))
				.digest("hex"),
		).toBe(before);
		expect(written.length).toBe(4 * MEBI);
	});

	test("is told when an image is read only, and when its read leads beyond the end", () => {
		const disk = image("disk.img", MEBI);
		randomFile("from", 4096);
		const trace = path("trace");
		const written = run(`file=${disk},readonly`, `${client} write ${path("from")}`, `--trace=${trace}`);
		expect(written).toMatchObject({ status: 1 });
		expect(written.stderr).toContain("command 0 failed: status type 0, code 0x20");
		expect(readFileSync(trace, "utf8")).toContain(
			"SQ 1 command 0 (Write): Namespace is Write Protected: namespace 1 is read-only",
		);
		expect(run(`file=${disk},readonly`, `${client} read ${path("to")} 2000000`).stderr).toContain(
			"the disk has only 1048576 bytes",
		);
	});

	test("reads at random, with as many commands under way as it likes", () => {
		const { status, stdout, stderr } = run("size=16M", `${client} -q 3 -n 64 -i random 5000`);
		expect([status, stderr]).toEqual([0, ""]);
		expect(stdout).toMatch(/^5000 reads of 4 KiB, 3 queues with 64 under way in each: \d+ a second\n/);
	});

	test.each(["amd", "arm"])("works on the machine %s as well", (machine) => {
		randomFile("from", 100_000);
		const command = `${client} write ${path("from")} && ${client} -i read ${path("to")} 100000 && cmp ${path("from")} ${path("to")}`;
		const outcome = ioasis("run", "--quiet", "--machine", machine, "--", "sh", "-c", command);
		expect(outcome).toEqual({ status: 0, stdout: "", stderr: "" });
	});
});
