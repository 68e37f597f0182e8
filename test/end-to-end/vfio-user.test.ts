// Functions that vfio-user servers are, as programs meet them: whatever becomes of the server, the program goes on.

import { execFileSync, spawn as start } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { buildClient, command, hasCompiler, ioasis, temporaryDirectory } from "./programs.js";

const directory = temporaryDirectory();
afterAll(directory.remove);

const DEVICE = "/dev/vfio/devices/vfio2";
/** A few of each; src/host/vfio-user has more. Set TIMES to try as many. */
const TIMES = Number(process.env.TIMES ?? 3);
const MANY = 60_000 + TIMES * 5000;

let program: string | undefined;
let sockets = 0;

/** @param words what it is to do: examples/vfio-user/copier.c says which */
async function startServer(...words: string[]) {
	const source = fileURLToPath(new URL("../../examples/vfio-user/copier.c", import.meta.url));
	if (program === undefined) {
		program = join(directory.path, "copier");
		execFileSync("cc", ["-O2", "-o", program, source], { stdio: "pipe" });
	}
	const socket = join(directory.path, `socket-${sockets++}`);
	const server = start(program, [socket, ...words], { stdio: ["ignore", "pipe", "inherit"] });
	onTestFinished(() => {
		server.kill("SIGKILL");
	});
	await once(server.stdout!, "data");
	// Where it is to be late it is found out soon; else nothing depends on how fast anything is.
	const timeout = words.some((word) => /^(stall|lie)=/.test(word)) ? 500 : 60_000;
	return { server, device: ["--device", `vfio-user,socket=${socket},timeout=${timeout}`] };
}

/** Runs a program that uses the function until it is gone, and has something done when that has begun. */
async function useUntilGone(device: readonly string[], begun: () => void = () => {}) {
	const client = buildClient("vfio_user", directory.path);
	const run = start(command, ["run", "--quiet", "--machine", "intel", ...device, "--", client, "use", DEVICE]);
	onTestFinished(() => {
		run.kill("SIGKILL");
	});
	const [stdout, stderr]: string[][] = [[], []];
	run.stdout.on("data", (data) => {
		stdout.push(String(data));
		if (stdout.length === 1) begun();
	});
	run.stderr.on("data", (data) => stderr.push(String(data)));
	const [status] = await once(run, "close");
	return { status, stdout: stdout.join(""), stderr: stderr.join("") };
}

const GONE = /^ioasis: 0000:02:00\.0 \(vfio-user\) answers nothing any more: the vfio-user server is lost.*\n$/;

describe.skipIf(!hasCompiler)("a function that a vfio-user server is", () => {
	const client = () => buildClient("vfio_user", directory.path);

	test.each([[[]], [["multi", "twin"]]])(
		"does its DMA as the IOMMU lets it, by itself or by us (%j)",
		async (words) => {
			const { server, device } = await startServer(...words);
			expect(
				ioasis("run", "--quiet", "--machine", "intel", ...device, "--", client(), "copies", DEVICE, String(server.pid)),
			).toEqual({
				status: 0,
				stderr: "",
				stdout: [
					"as mapped: 0 wrong",
					"read by message: 0 wrong",
					"written by message: 0 wrong",
					"by messages: 0 wrong",
					"maps: 2, files: 1, mapped by the server: 1",
					"unmapped; mapped by the server: 0",
					"maps: 1, a copy there: Bad address",
					"without bus mastering: Bad address",
					"detached, maps: 0",
					"",
				].join("\n"),
			});
		},
	);

	test("keeps a call waiting that takes memory away until its server has let go, and nobody else", async () => {
		const { server, device } = await startServer("slow");
		const words = ["--quiet", "--machine", "intel", ...device];
		const { stdout } = ioasis("run", ...words, "--", client(), "copies", DEVICE, String(server.pid), "slow");
		expect(stdout).toContain("others were answered: 1\nunmapped; mapped by the server: 0\n");
	});

	test("can't be recorded, as a replay couldn't have it", async () => {
		const { device } = await startServer();
		const record = `--record=${join(directory.path, "recording")}`;
		const { status, stderr } = ioasis("run", "--machine", "intel", record, ...device, "--", "true");
		expect(status).toBe(2);
		expect(stderr).toContain("0000:02:00.0 (vfio-user) is another process's, and can't be recorded\n");
	});

	test("has no memory for its own while somebody looks at each DMA", async () => {
		const { server, device } = await startServer();
		const trace = `--trace=${join(directory.path, "trace")}`;
		const words = ["--quiet", "--machine", "intel", trace, ...device];
		const { stdout, status } = ioasis("run", ...words, "--", client(), "copies", DEVICE, String(server.pid));
		expect(stdout).toContain("by messages: 0 wrong\nmaps: 2, files: 0, mapped by the server: 0\n");
		expect(status).toBe(0);
	});

	test("interrupts by each kind that is on, is reset, and has its memory", async () => {
		const { device } = await startServer();
		expect(ioasis("run", "--quiet", "--machine", "intel", ...device, "--", client(), "interrupts", DEVICE)).toEqual({
			status: 0,
			stderr: "",
			stdout: "vector 0: 1\nvector 3: 1\npin: 1\na vector that is off: 0\nreset: 0\nmemory: 12345678\n",
		});
	});

	test("can be driven by loads and stores", async () => {
		const { device } = await startServer();
		expect(ioasis("run", "--quiet", "--machine", "intel", ...device, "--", client(), "mapped", DEVICE)).toEqual({
			status: 0,
			stderr: "",
			stdout: "0 wrong\n",
		});
	});

	test("reads as all ones once the server is killed, and keeps nobody waiting", { timeout: MANY }, async () => {
		for (let i = 0; i < TIMES; i++) {
			const { server, device } = await startServer();
			const { stderr, ...outcome } = await useUntilGone(device, () => {
				setTimeout(() => server.kill("SIGKILL"), (i * 7) % 30);
			});
			expect(outcome).toEqual({ status: 0, stdout: "goes on\ngone\n" });
			expect(stderr).toMatch(GONE);
		}
	});

	test.each(["die", "stall"])(
		"does harm to nobody if its server is to %s at any message",
		{ timeout: MANY },
		async (what) => {
			// More than a hundred are exchanged before there is a program: most of them read the configuration space.
			for (let i = 0; i < TIMES; i++) {
				const { device } = await startServer(`${what}=${2 + ((i * 67) % 160)}`);
				const { status, stderr } = await useUntilGone(device);
				if (status === 0) expect(stderr).toMatch(GONE);
				else expect(stderr).toMatch(/^ioasis: machines\/intel\.json:\d+:\d+: .*vfio-user: .*\n/);
			}
		},
	);

	test("does harm to nobody if its server lies", { timeout: MANY }, async () => {
		for (let seed = 1; seed <= TIMES; seed++) {
			const { server, device } = await startServer(`lie=${seed}`);
			// Some lies change nothing, and others are registers that read as anything.
			const { stderr } = await useUntilGone(device, () => setTimeout(() => server.kill("SIGKILL"), 300));
			expect(stderr).not.toContain("bug");
			expect(stderr).not.toMatch(/\n\s+at /);
		}
	});
});

test("a server that isn't there is a machine that can't be had", () => {
	const { status, stderr } = ioasis(
		"run",
		"--machine",
		"intel",
		"--device",
		"vfio-user,socket=/nowhere/socket",
		"--",
		"true",
	);
	expect(status).toBe(2);
	expect(stderr).toContain("vfio-user: no server can be had at /nowhere/socket: connect(): ENOENT\n");
});
