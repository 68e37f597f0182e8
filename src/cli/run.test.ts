// How `ioasis run` ends when the program has ended and something goes on.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const command = fileURLToPath(new URL("../../bin/ioasis", import.meta.url));

test("a daemon is waited for, which is said, until a signal ends the wait", { timeout: 60_000 }, async () => {
	const ioasis = spawn(command, ["run", "--", "sh", "-c", "setsid sleep 30 > /dev/null 2>&1 & exit 5"], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const [said] = await once(ioasis.stderr, "data");
	expect(String(said)).toContain("waiting for the rest");
	ioasis.kill("SIGTERM");
	expect(await once(ioasis, "exit")).toEqual([5, null]);
});

test("a signal to ioasis is the program's, and so is the exit code", { timeout: 60_000 }, async () => {
	const script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
	const ioasis = spawn(command, ["run", "--quiet", "--", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
	let output = "";
	ioasis.stdout.on("data", (text) => {
		if (output === "") ioasis.kill("SIGTERM");
		output += text;
	});
	expect(await once(ioasis, "close")).toEqual([3, null]);
	expect(output).toBe("ready\ngot it\n");
});

test("a pipe that the program reads stays as it was: blocking", async () => {
	// A shell makes real pipes; Node would make a socket.
	const script = "sleep 0.3; grep flags /proc/self/fdinfo/0";
	const { stdout } = spawn("sh", ["-c", `sleep 1 | ${command} run --quiet -- sh -c '${script}'`]);
	const [flags] = await once(stdout, "data");
	expect(String(flags)).toMatch(/^flags:\s+00\n$/);
});
