// Two 82576 in the hands of DPDK's own driver for them.
// FRAMES=500000 npx vitest run test/end-to-end/dpdk.test.ts sends a million.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { command, hasCompiler, temporaryDirectory } from "./programs.js";

/** Each way. */
const FRAMES = Number(process.env.FRAMES ?? 3000);
const PATIENCE = 60_000 + FRAMES * 2;
const CARDS = ["--machine", "intel", "--device", "igb,wire=lan", "--device", "igb,wire=lan"];
const EAL = ["--no-huge", "--no-shconf", "-m", "256", "--no-telemetry", "--log-level=1"];
const PORTS = ["-a", "0000:02:00.0", "-a", "0000:03:00.0"];

const directory = temporaryDirectory();
afterAll(directory.remove);

const flags = (what: string) => spawnSync("pkg-config", [what, "libdpdk"], { encoding: "utf8" });
const hasDpdk = hasCompiler && flags("--exists").status === 0;
const hasTestpmd = spawnSync("dpdk-testpmd", ["--version"]).error === undefined;

function build(): string {
	const program = join(directory.path, "dpdk");
	const source = fileURLToPath(new URL("clients/dpdk.c", import.meta.url));
	const words = (what: string) => flags(what).stdout.trim().split(/\s+/);
	const compile = ["-O2", "-Wall", "-Werror", ...words("--cflags"), source, "-o", program, ...words("--libs")];
	execFileSync("cc", compile, { stdio: "pipe" });
	return program;
}

/**
 * Runs a program under ioasis that answers what it is asked.
 * @param next is given all that it has said by now; returns what it is told next, if anything
 */
function converse(program: readonly string[], next: (output: string) => string | undefined) {
	const child = spawn(command, ["run", "--quiet", ...CARDS, "--", ...program], { stdio: ["pipe", "pipe", "inherit"] });
	let output = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		output += text;
		const told = next(output);
		if (told !== undefined) child.stdin.write(told);
	});
	return new Promise<{ status: number | null; output: string }>((resolve) =>
		child.on("close", (status) => resolve({ status, output })),
	);
}

test.skipIf(!hasDpdk)(
	"lose no frame on their way between the two, change none, and do for them what they can",
	{ timeout: PATIENCE },
	async () => {
		const program = [build(), ...EAL, "-l", "0", ...PORTS, "--", String(FRAMES)];
		const counted = (port: number) => `port ${port}: ${FRAMES} sent, ${FRAMES} got in 4 queues, 0 missed, 0 in error\n`;
		expect(await converse(program, () => undefined)).toEqual({
			status: 0,
			output: `link up\n${counted(0)}${counted(1)}0 wrong\nan interrupt, and 1 queue with a frame\nlink down\n`,
		});
	},
);

test.skipIf(!hasTestpmd)(
	"lose nothing of what dpdk-testpmd sends to and fro, and no checksum of it is wrong",
	{ timeout: PATIENCE },
	async () => {
		const checksums = [0, 1].flatMap((port) => [`csum set ip hw ${port}`, `csum set udp hw ${port}`]);
		const start = ["port stop all", ...checksums, "port start all", "set fwd csum", "start tx_first 4"];
		const look = "show port stats 0\n";
		const prompts = /testpmd> $/;
		let hasStarted = false;
		// Its statistics are to come before the prompt that follows them.
		const program = ["stdbuf", "-oL", "dpdk-testpmd", ...EAL, "-l", "0,1", ...PORTS];
		const own = ["-i", "--no-mlockall", "--total-num-mbufs=8192", "--enable-rx-cksum"];
		const { status, output } = await converse([...program, "--", ...own], (said) => {
			if (!prompts.test(said)) return undefined;
			if (!hasStarted) {
				hasStarted = true;
				return `${start.join("\n")}\n${look}`;
			}
			return countedIn(said) < FRAMES ? look : "stop\nquit\n";
		});
		expect(status).toBe(0);
		const figures = (name: string) =>
			Array.from(output.matchAll(new RegExp(`${name}: +(\\d+)`, "g")), ([, count]) => Number(count));
		expect(figures("[RT]X-total").every((count) => count >= FRAMES)).toBe(true);
		expect(["[RT]X-total", "[RT]X-dropped", "Bad-[\\w-]+"].map((name) => figures(name).length)).toEqual([6, 6, 8]);
		expect(new Set([...figures("[RT]X-dropped"), ...figures("Bad-[\\w-]+"), ...figures("RX-missed")])).toEqual(
			new Set([0]),
		);
	},
);

/** How many packets testpmd counts in the last statistics that it has shown. */
function countedIn(output: string): number {
	const last = output.slice(output.lastIndexOf("NIC statistics"));
	return Number(/RX-packets: +(\d+)/.exec(last)?.[1] ?? 0);
}
