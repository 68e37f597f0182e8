// Runs programs under the supervisor in front of the fake machine, for tests.

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { vi } from "vitest";
import type { NotStarted, Status } from "../launch/launch.js";
import type { Report } from "../launch/supervisor-thread.js";
import type { Body } from "./client.testing.js";

type Client = typeof import("./client.testing.js");

/** A command in front of another, to run it as an ordinary user. */
export const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
export const isRoot = process.getuid?.() === 0;

export interface Outcome {
	/** How the program ended, and what happened until all was over. */
	readonly status: Status | undefined;
	readonly report: Report | undefined;
	/** Why it was not started. */
	readonly failure: NotStarted | undefined;
	readonly stdout: string;
	readonly stderr: string;
}

export interface Running {
	/** The supervisor's process. */
	readonly supervisor: ChildProcess;
	readonly outcome: Promise<Outcome>;
}

const here = dirname(fileURLToPath(import.meta.url));
/** Within the checkout, so that koffi is found from there. */
const directory = join(here, "..", "..", "..", ".cache", "host-tests", String(process.pid));
let runs = 0;

/** Call it before the tests of a file. @returns what to call after them */
export async function buildHarness(): Promise<() => void> {
	vi.setConfig({ testTimeout: 60_000 });
	mkdirSync(directory, { recursive: true });
	await build({
		entryPoints: {
			"launch.testing": join(here, "launch.testing.ts"),
			"copy-thread": join(here, "..", "launch", "copy-thread.ts"),
			"launcher-thread": join(here, "..", "launch", "launcher-thread.ts"),
			"fake-machine.testing": join(here, "fake-machine.testing.ts"),
			"register-machine.testing": join(here, "register-machine.testing.ts"),
			"device-worker.testing": join(here, "device-worker.testing.ts"),
			"client.testing": join(here, "client.testing.ts"),
		},
		outdir: directory,
		bundle: true,
		platform: "node",
		target: "node20",
		format: "esm",
		external: ["koffi"],
		outExtension: { ".js": ".mjs" },
		logLevel: "warning",
	});
	return () => rmSync(directory, { recursive: true, force: true });
}

/**
 * Starts a program under the supervisor.
 * @param before a command in front of all, such as setpriv(1)
 * @param trouble what the fake machine does to the supervisor
 */
export function start(program: readonly string[], before: readonly string[] = [], trouble = ""): Running {
	const { command, result } = underSupervisor(program);
	const [first, ...others] = [...before, ...command];
	const supervisor = spawn(first, others, {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, FAKE_TROUBLE: trouble },
	});
	let stdout = "";
	let stderr = "";
	supervisor.stdout.on("data", (text) => (stdout += text));
	supervisor.stderr.on("data", (text) => (stderr += text));
	const outcome = new Promise<Outcome>((resolve) => {
		supervisor.on("close", () => {
			const all = result();
			const [status, report] = Array.isArray(all) ? all : [];
			resolve({ status, report, failure: Array.isArray(all) ? undefined : all, stdout, stderr });
		});
	});
	return { supervisor, outcome };
}

/** The command that runs a program under the supervisor, and how that went. */
export function underSupervisor(program: readonly string[]): { command: string[]; result: () => Result } {
	const file = join(directory, `result-${runs++}`);
	writeFileSync(file, "");
	chmodSync(file, 0o666); // Whoever it runs as.
	const command = [process.execPath, join(directory, "launch.testing.mjs"), file, ...program];
	return { command, result: () => readResult(file) };
}

/** Runs a program to its end. */
export function run(...program: string[]): Promise<Outcome> {
	return start(program).outcome;
}

/**
 * Runs a function as a program of its own, on Node, under the supervisor; it sees nothing but its parameters.
 * @returns what it returned
 */
export async function asClient<R, I = null>(
	body: Body<I, R>,
	input: I = null as I,
	before: readonly string[] = [],
): Promise<{ answer: R; outcome: Outcome }> {
	const client = pathToFileURL(join(directory, "client.testing.mjs")).href;
	const { commandFor } = (await import(client)) as Client;
	const outcome = await start([process.execPath, ...commandFor(body, input)], before).outcome;
	if (outcome.status?.kind !== "exited" || outcome.status.code !== 0)
		throw new Error(`the client failed: ${JSON.stringify(outcome, null, 1)}`);
	return { answer: JSON.parse(outcome.stdout) as R, outcome };
}

/** What launch() returned; undefined when it came to no end. */
type Result = [Status, Report] | NotStarted | undefined;

function readResult(file: string): Result {
	const lines = readFileSync(file, "utf8")
		.split("\n")
		.filter((line) => line !== "");
	return lines.map((line) => JSON.parse(line).result).find((result) => result !== undefined);
}
