// How what the program leaves behind is waited for.

import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, buildHarness, run } from "../testing/harness.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

test("an orphan that ends is taken at once, though the program goes on", async () => {
	const { answer } = await asClient(async ({ readdirSync, readFileSync, spawnSync }) => {
		const children = () =>
			readdirSync(`/proc/${process.ppid}/task`)
				.flatMap((thread) => String(readFileSync(`/proc/${process.ppid}/task/${thread}/children`)).match(/\d+/g) ?? [])
				.map(Number);
		spawnSync("sh", ["-c", "for i in 1 2 3; do (exec sleep 1000 &); done"], { stdio: "ignore" });
		const before = children().length;
		for (const orphan of children()) if (orphan !== process.pid) process.kill(orphan);
		while (children().length > 1) await new Promise((resolve) => setTimeout(resolve, 10));
		return [before, children().length === 1 && children()[0] === process.pid];
	});
	expect(answer).toEqual([4, true]);
});

test("an orphan's orphan is waited for, and so is one whose parent was killed", async () => {
	const { stdout, status } = await run(
		"sh",
		"-c",
		"(sh -c '(sleep 0.3; echo last) & sleep 0.1; echo first' &) ; sh -c '(sleep 0.2; echo second) & kill -9 $$'; exit 4",
	);
	expect(stdout.split("\n").sort()).toEqual(["", "first", "last", "second"]);
	expect(status).toEqual({ kind: "exited", code: 4 });
});

test("how the program was killed is told", async () => {
	expect((await run("sh", "-c", "kill -TERM $$")).status).toEqual({ kind: "killed", signal: 15 });
});
