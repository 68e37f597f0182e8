// How a run begins and ends when it is we who fail: nobody is left waiting for an answer.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { syscalls } from "../linux/syscalls.js";
import { asClient, buildHarness, type Running, start } from "../testing/harness.testing.js";
import { childrenOf, isAlive } from "./descendants.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("a supervisor that can't have what it takes says why, and nothing is started", async () => {
	const { failure, stderr, stdout } = await start(["/bin/echo", "started"], [], "can't start").outcome;
	expect(failure).toEqual({
		kind: "broken",
		hadStarted: false,
		failure: { reason: "the fake machine can't be had", advice: "try another" },
	});
	expect([stdout, stderr]).toEqual(["", ""]);
});

test("a supervisor that dies takes those with it that wait for its answers", async () => {
	const running = start(["/bin/sleep", "1000"], [], "throws");
	const { failure } = await running.outcome; // which ends when nobody has stdout open any more
	expect(failure).toMatchObject({
		kind: "broken",
		failure: { reason: "a bug made on purpose", stack: expect.stringContaining("TypeError"), advice: /report/ },
	});
});

test("whoever makes a call when the thread ends that answers is killed, and what is started besides", async () => {
	const failed = await asClient(({ open, ask, inBackground, O_RDWR }) => {
		inBackground("/bin/sleep", "1000");
		return ask(open("/dev/iommu", O_RDWR), { what: "end the thread" });
	}).catch((error: Error) => error.message);
	expect(failed).toContain('"the thread that answers has ended"');
	expect(failed).toContain('"hadStarted": true');
});

/** The process that is to become the program, stopped at its execve(2). */
async function childOf({ supervisor }: Running): Promise<number> {
	for (;;) {
		const [child] = childrenOf(supervisor.pid!) ?? [];
		if (child !== undefined && readFileSync(`/proc/${child}/syscall`, "latin1").startsWith(`${syscalls.execve} `))
			return child;
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
}

test.each(["SIGKILL", "SIGTERM"] as const)("%s before the program is there leaves nobody behind", async (signal) => {
	const running = start(["/bin/echo", "started"], [], "never lets a program begin");
	const child = await childOf(running);
	running.supervisor.kill(signal);
	const { stdout } = await running.outcome; // The child has it open, too.
	expect(stdout).toBe("");
	await vi.waitFor(() => expect(isAlive(child)).toBe(false));
});
