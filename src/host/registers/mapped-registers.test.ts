// Registers that a program maps: real programs, with a file of registers in front of them and the mechanism between.

import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildClient, hasCompiler, removeClients } from "../testing/c-clients.testing.js";
import { asNobody, buildHarness, isRoot, type Outcome, start } from "../testing/harness.testing.js";
import { formsFile } from "./clients/forms.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => {
	cleanUp();
	removeClients();
});

/** Runs a program in front of /dev/registers. */
function run(program: readonly string[], before: readonly string[] = []): Promise<Outcome> {
	return start(program, ["env", "FAKE_MACHINE=register-machine", ...before]).outcome;
}

const good = { status: { kind: "exited", code: 0 }, stderr: "" };
const rightAll = { ...good, stdout: "0 wrong\n" };

test.skipIf(!hasCompiler)("each of 20,000 accesses of a thread is made, in its order", async () => {
	expect(await run([buildClient("registers/clients/accesses.c"), "1", "20000"])).toMatchObject(rightAll);
});

test.skipIf(!hasCompiler)("eight threads access registers at the same time, and each gets its own", async () => {
	expect(await run([buildClient("registers/clients/accesses.c"), "8", "2000"])).toMatchObject(rightAll);
});

test.skipIf(!hasCompiler || !isRoot)("the same for an ordinary user", async () => {
	const client = buildClient("registers/clients/accesses.c");
	expect(await run([client, "4", "2000"], asNobody)).toMatchObject(rightAll);
});

test.skipIf(!hasCompiler || process.arch !== "x64")(
	"an instruction on registers leaves what the processor leaves when it makes it on memory: each form that is known",
	async () => {
		const client = buildClient("registers/clients/instructions.c", { "forms.inc": formsFile() });
		const seed = String(Date.now() % 2 ** 31);
		// Twice on ordinary memory: what differs there isn't ours.
		expect(spawnSync(client, [seed, "5", "ordinary"], { encoding: "utf8" }).stdout).toMatch(/ made, 0 wrong\n$/);
		const { stdout, ...outcome } = await run([client, seed, "1"]);
		expect(stdout, `seed ${seed}`).toMatch(/^\d+ made, 0 wrong\n$/);
		expect(outcome).toMatchObject(good);
	},
);
