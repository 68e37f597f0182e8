// `npm run stress`: programs that are as hostile as can be (client.c), on each kind of machine, under `ioasis run`. They are killed again and
// again. Now and then all of them are, and then what ioasis has, memory and fds, must be what it had the first time.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Command } from "commander";
import { parseMachineDescription } from "../../src/machine/description.js";
import { Machine } from "../../src/machine/machine.js";
import { tableFor } from "./table.js";

const MACHINES = ["selftest", "intel", "amd", "arm", "riscv", "s390", "noiommu"];
/** How often everybody is ended and ioasis is looked at. */
const RESTS = 5;
/** Runs are made side by side, each with its programs: the supervisor answers while one of them prepares its next call. */
const SIDE_BY_SIDE = Math.min(2, cpus().length);
/** More than at the first rest there may be: what garbage there is changes, and threads of devices are started when one is used. */
const MORE_MEMORY = 64 * 2 ** 20;
const MORE_FDS = 48;
/** So little that running out of it is among what happens, in MiB. */
const BUDGET = 512;
/** Time for all but the calls, in seconds. */
const PATIENCE = 60;

interface Sample {
	/** In bytes. */
	readonly memory: number;
	readonly fds: number;
}

interface Result {
	readonly machine: string;
	/** What ioasis has answered, and how many programs were killed. */
	readonly calls: number;
	readonly kills: number;
	readonly samples: readonly Sample[];
	/** What went wrong. */
	readonly troubles: readonly string[];
}

export async function main(checkout: string, parameters: string[]): Promise<number> {
	const command = new Command("npm run stress --")
		.description(
			"Makes random calls from hostile programs on each kind of machine, and looks whether anything is left of them.",
		)
		.argument("[machines...]", "only these", MACHINES)
		.option("--minutes <number>", "for how long, in all", "5")
		.option("--seed <number>", "what the random numbers begin with", "1")
		.addHelpText("after", "\nExample: npm run stress -- --minutes 1 intel amd");
	command.parse(parameters, { from: "user" });
	const machines = command.processedArgs[0] as string[];
	const { minutes, seed } = command.opts<{ minutes: string; seed: string }>();
	const seconds = (Number(minutes) * 60 * Math.min(SIDE_BY_SIDE, machines.length)) / machines.length;
	const directory = mkdtempSync(join(tmpdir(), "ioasis-stress-"));
	try {
		const program = build(directory);
		const left = [...machines];
		const results: Result[] = [];
		const runSome = async (): Promise<void> => {
			for (let machine = left.shift(); machine !== undefined; machine = left.shift()) {
				const table = writeTable(checkout, directory, machine);
				const result = await run(checkout, machine, [program, table, seed, String(seconds), String(RESTS)], seconds);
				results.push(result);
				console.log(lineOf(result));
				for (const trouble of result.troubles) console.log(`   ${trouble}`);
			}
		};
		await Promise.all(Array.from({ length: SIDE_BY_SIDE }, runSome));
		const sum = (what: "calls" | "kills") => results.reduce((all, result) => all + result[what], 0);
		const failed = results.filter(({ troubles }) => troubles.length > 0).length;
		console.log(`${sum("calls")} calls, ${sum("kills")} programs killed`);
		console.log(`${results.length - failed} passed, ${failed} failed`);
		return failed === 0 ? 0 : 1;
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

function build(directory: string): string {
	const program = join(directory, "client");
	const source = new URL("../../test/stress/client.c", import.meta.url).pathname;
	execFileSync("cc", ["-O2", "-Wall", "-pthread", "-o", program, source], { stdio: "inherit" });
	return program;
}

function writeTable(checkout: string, directory: string, name: string): string {
	const file = join(checkout, "machines", `${name}.json`);
	const table = join(directory, `${name}.txt`);
	writeFileSync(table, tableFor(new Machine(parseMachineDescription(readFileSync(file, "utf8"), name))));
	return table;
}

/** Runs the programs on a machine. @param seconds for so long they call */
function run(checkout: string, machine: string, program: readonly string[], seconds: number): Promise<Result> {
	const options = ["run", "--machine", machine, "--memory", `${BUDGET}M`, "--", ...program];
	const child = spawn(join(checkout, "bin", "ioasis"), options, { stdio: ["pipe", "pipe", "pipe"], cwd: checkout });
	const samples: Sample[] = [];
	const troubles: string[] = [];
	let stderr = "";
	let kills = 0;
	child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
	createInterface({ input: child.stdout }).on("line", (line) => {
		const [, killed, supervisor] = line.match(/^rest \d+ (\d+) (\d+)$/) ?? [];
		if (supervisor === undefined) return void troubles.push(`the program says: ${line}`);
		kills = Number(killed);
		samples.push(sampleOf(supervisor));
		child.stdin.write("\n");
	});
	const limit = setTimeout(
		() => {
			troubles.push(
				`it hasn't come to its end after ${seconds + PATIENCE} s, after ${samples.length} of ${RESTS} rests`,
			);
			child.kill("SIGKILL");
		},
		(seconds + PATIENCE) * 1000,
	);
	return new Promise((resolve) => {
		child.on("close", (code, signal) => {
			clearTimeout(limit);
			if (code !== 0) troubles.push(`it ended with ${signal ?? `exit code ${code}`}`);
			const calls = Number(stderr.match(/^ioasis: (\d+) calls/m)?.[1] ?? 0);
			resolve({ machine, calls, kills, samples, troubles: [...troubles, ...saidOf(stderr), ...growthOf(samples)] });
		});
	});
}

/** What a process has. */
function sampleOf(pid: string): Sample {
	const status = readFileSync(`/proc/${pid}/status`, "latin1");
	const kib = Number(status.match(/^VmRSS:\s+(\d+) kB$/m)?.[1]);
	return { memory: kib * 1024, fds: readdirSync(`/proc/${pid}/fd`).length };
}

/** What ioasis says that it shouldn't. That something was allocated yet when a file was closed is what hostile programs leave. */
function saidOf(stderr: string): string[] {
	return stderr
		.split("\n")
		.filter((line) => line !== "" && !/^ioasis: \d+ calls, |^ioasis: left allocated: .* was closed$/.test(line));
}

function growthOf(samples: readonly Sample[]): string[] {
	const [first, last] = [samples[0], samples.at(-1)];
	if (samples.length < RESTS || first === undefined || last === undefined)
		return [`there were ${samples.length} of ${RESTS} rests`];
	const grown: string[] = [];
	if (last.memory > first.memory + MORE_MEMORY)
		grown.push(`memory has grown from ${mib(first.memory)} to ${mib(last.memory)} MiB`);
	if (last.fds > first.fds + MORE_FDS) grown.push(`fds have become more: ${first.fds}, then ${last.fds}`);
	return grown;
}

function lineOf({ machine, calls, kills, samples }: Result): string {
	const memory = samples.map((sample) => mib(sample.memory)).join(", ");
	const fds = samples.map((sample) => sample.fds).join(", ");
	return `${machine}: ${calls} calls, ${kills} killed; memory at rest ${memory} MiB; fds ${fds}`;
}

function mib(bytes: number): string {
	return (bytes / 2 ** 20).toFixed(0);
}
