// Registers that a program maps: real programs, with a file of registers in front of them and the mechanism between.

import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { syscalls } from "../linux/syscalls.js";
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

const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

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

const goodOut = { ...good, stdout: "good\n" };

test.skipIf(!hasCompiler)(
	"children have the registers of their parents, and programs after an exec map their own",
	async () => {
		expect(await run([buildClient("registers/clients/forks.c")])).toMatchObject(goodOut);
	},
);

test.skipIf(!hasCompiler || !isRoot)("so do those of an ordinary user", async () => {
	expect(await run([buildClient("registers/clients/forks.c")], asNobody)).toMatchObject(goodOut);
});

test.skipIf(!hasCompiler)(
	"whichever way registers are mapped, moved and unmapped, an access is one, or the signal that it should be",
	async () => {
		const outcome = await run([buildClient("registers/clients/maps.c")]);
		const stderr = expect.stringMatching(/^unknown instruction: df a8 80 00 00 00 [0-9a-f ]*\n$/);
		expect(outcome).toMatchObject({ ...goodOut, stderr });
	},
);

test.skipIf(!hasCompiler)("of 200 processes that are killed at an access nothing is left", async () => {
	expect(await run([buildClient("registers/clients/killed.c"), "200"])).toMatchObject(goodOut);
});

test.skipIf(!hasCompiler)("how a program ends that is killed at an access is told", async () => {
	const outcome = await run([buildClient("registers/clients/killed.c"), "self"]);
	expect(outcome).toMatchObject({ status: { kind: "killed", signal: 9 }, stderr: "" });
});

describe("where accesses can't be heard of, registers are watched, and why is told:", () => {
	const watched = (client: string) => buildClient(`registers/clients/${client}.c`);
	const because = (reason: RegExp) => expect.stringMatching(new RegExp(`^watched: ${reason.source}\n`));

	test.skipIf(!hasCompiler)("while somebody traces the program, and they are exact again afterwards", async () => {
		const outcome = await run([watched("watched"), "traced"]);
		expect(outcome).toMatchObject({ ...goodOut, stderr: because(/process \d+ traces it/) });
	});

	test.skipIf(!hasCompiler || !has("strace"))("under strace", async () => {
		const outcome = await run(["strace", "-f", "-o", "/dev/null", watched("watched")]);
		expect(outcome).toMatchObject({ ...goodOut, stderr: because(/process \d+ traces it/) });
	});

	test.skipIf(!hasCompiler || !has("gdb"))("under gdb", async () => {
		const { stdout, ...outcome } = await run(["gdb", "-batch", "-ex", "run", watched("watched")]);
		expect(stdout).toContain("\ngood\n");
		expect(outcome.stderr).toEqual(because(/process \d+ traces it/));
	});

	test.skipIf(!hasCompiler)("in a program with a seccomp filter of its own, which may kill it", async () => {
		const outcome = await run([watched("watched"), "filtered"]);
		expect(outcome).toMatchObject({ ...goodOut, stderr: because(/it has a seccomp filter of its own/) });
	});

	test.skipIf(!hasCompiler)("without userfaultfd(2), which Docker forbids", async () => {
		const outcome = await run([watched("watched")], [watched("deny"), String(syscalls.userfaultfd)]);
		expect(outcome).toMatchObject({ ...goodOut, stderr: because(/it may not use userfaultfd\(2\): EPERM/) });
	});

	test.skipIf(!hasCompiler)("without ptrace(2)", async () => {
		const outcome = await run([watched("watched")], [watched("deny"), String(process.arch === "x64" ? 101 : 117)]);
		expect(outcome).toMatchObject({ ...goodOut, stderr: because(/ptrace\(2\) of it is forbidden/) });
	});
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
