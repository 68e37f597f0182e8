// Devices whose models run in threads of their own: what they do keeps nobody else, and what becomes of them harms nobody.

import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildClient, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const file = join(directory.path, "file");
const EDU = "/dev/vfio/devices/vfio0";
const TROUBLE = "/dev/vfio/devices/vfio2";
const isRoot = process.getuid?.() === 0;

describe.skipIf(!hasCompiler)("a device in a thread of its own", () => {
	const client = () => buildClient("device_threads", directory.path);
	const run = (device: string, ...words: string[]) =>
		ioasis("run", "--quiet", "--machine", "intel", "--", client(), device, ...words);
	const withTrouble = (...words: string[]) => {
		const device = ["--device", `./test/end-to-end/devices/trouble.mjs,file=${file}`];
		return ioasis("run", "--quiet", "--machine", "intel", ...device, "--", client(), TROUBLE, ...words);
	};
	const good = { status: 0, stderr: "" };

	test("that works for long delays no other call", () => {
		expect(withTrouble("busy", file)).toEqual({ ...good, stdout: "done: 1\n" });
	});

	test("with a bug in its model answers nothing any more, and the program goes on", () => {
		const { stderr, ...outcome } = withTrouble("throws");
		expect(outcome).toEqual({ status: 0, stdout: "Input/output error\nthen ffffffff\nreset: done\n" });
		expect(stderr).toMatch(/^ioasis: 0000:02:00\.0 \(.*trouble\.mjs\) answers nothing any more: TypeError: a bug made/);
		expect(stderr.match(/answers nothing/g)).toHaveLength(1);
	});

	test("whose model says more of a bug than there is room for answers nothing any more either", () => {
		const { stderr, ...outcome } = withTrouble("says much");
		expect(outcome).toEqual({ status: 0, stdout: "Input/output error\nthen ffffffff\nreset: done\n" });
		expect(stderr).toMatch(
			/^ioasis: 0000:02:00\.0 \(.*trouble\.mjs\) answers nothing any more: TypeError: a long story/,
		);
		expect(stderr.trimEnd().split("\n")).toHaveLength(1);
	});

	test("whose thread ends is the same to the program", () => {
		const { stderr, ...outcome } = withTrouble("ends");
		expect(outcome).toEqual({ status: 0, stdout: "Input/output error\nthen ffffffff\nreset: done\n" });
		expect(stderr).toMatch(
			/^ioasis: 0000:02:00\.0 \(.*trouble\.mjs\) answers nothing any more: its thread has ended\n$/,
		);
	});

	test("that is stuck keeps no run from its end", () => {
		expect(withTrouble("stuck")).toEqual({ ...good, stdout: "" });
	});

	test("reaches memory of each kind, and none that is unmapped", () => {
		const line = (kind: string) => `${kind}: 0 wrong, refused when it is unmapped\n`;
		expect(run(EDU, "kinds")).toEqual({
			...good,
			stdout: ["private", "a memfd", "shared without a name"].map(line).join(""),
		});
	});

	test("goes by what is mapped at the moment, however often that changes", () => {
		expect(run(EDU, "changes")).toEqual({ ...good, stdout: "0 wrong\n" });
	});

	test("is written to by eventfds", () => {
		expect(run(EDU, "ioeventfd")).toEqual({ ...good, stdout: "seen 100, then fffffff8\n" });
	});

	test.each([
		["alone", []],
		["with --trace", [`--trace=${join(directory.path, "peers")}`]],
		["with --record", [`--record=${join(directory.path, "recording")}`]],
	])("reaches the registers of another one, peer to peer, %s", (_, options) => {
		const words = [
			"--quiet",
			"--machine",
			"intel",
			"--device",
			"edu",
			...options,
			"--",
			client(),
			EDU,
			"peers",
			TROUBLE,
		];
		expect(ioasis("run", ...words)).toEqual({ ...good, stdout: "101 good, then gone, and back: 1\n" });
	});

	test.skipIf(!isRoot)("that waits for memory which somebody has to fill keeps nobody else waiting", () => {
		expect(run(EDU, "blocks")).toEqual({
			...good,
			stdout: "others are answered, and it is unmapped\nread: 1\n",
		});
	});

	test("outlives programs that are killed while they use it", () => {
		expect(run(EDU, "killed", "50")).toEqual({ ...good, stdout: "after all: fffffffe\n" });
	});

	test("does for a program that is traced what it does for others", () => {
		const options = ["--quiet", "--machine", "intel", `--trace=${join(directory.path, "trace")}`];
		expect(ioasis("run", ...options, "--", client(), EDU, "changes")).toEqual({ ...good, stdout: "0 wrong\n" });
	});
});
