// Runs a program under Ioasis (or under whatever --runner says) and waits for it, but not for ever.

import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { Trouble } from "./trouble.js";

const INTERRUPTS = ["SIGINT", "SIGTERM"] as const;

/** KSFT_PASS, KSFT_FAIL, KSFT_SKIP: tools/testing/selftests/kselftest.h. */
const HARNESS_EXIT_CODES = [0, 1, 4];

export interface Execution {
	readonly output: string;
	/** How it ended, where it didn't end as programs of the harness do. */
	readonly trouble?: string;
	readonly seconds: number;
	readonly exitCode: number | null;
}

/**
 * Runs `command`; what it prints goes to `outputFile` (stdout and stderr in their true order, which two pipes would
 * lose).
 */
export async function execute(
	command: string[],
	options: { directory: string; outputFile: string; timeoutSeconds: number; progress?: (output: string) => void },
): Promise<Execution> {
	const started = performance.now();
	const file = openSync(options.outputFile, "w");
	const child = spawn(command[0]!, command.slice(1), { cwd: options.directory, stdio: ["ignore", file, file] });
	closeSync(file);

	let stopped: string | undefined;
	const stop = (why: string) => {
		stopped ??= why;
		if (child.pid !== undefined) killTree(child.pid);
	};
	const interrupt = () => stop("was interrupted");
	for (const signal of INTERRUPTS) process.on(signal, interrupt);
	const tooLong = `took longer than ${options.timeoutSeconds} s and was ended (--timeout gives it more)`;
	const deadline = setTimeout(() => stop(tooLong), options.timeoutSeconds * 1000);
	const watch = setInterval(() => options.progress?.(readFileSync(options.outputFile, "utf8")), 500);

	const ending = await new Promise<{ code: number | null; signal: string | null; error?: Error }>((resolve) => {
		child.on("error", (error) => resolve({ code: null, signal: null, error }));
		child.on("exit", (code, signal) => resolve({ code, signal }));
	});
	clearTimeout(deadline);
	clearInterval(watch);
	for (const signal of INTERRUPTS) process.off(signal, interrupt);
	if (stopped === "was interrupted") throw new Trouble("interrupted", "no results; run it again");

	const trouble =
		stopped ??
		(ending.error && `could not be started: ${ending.error.message}`) ??
		(ending.signal && `was ended by ${ending.signal}`) ??
		(HARNESS_EXIT_CODES.includes(ending.code!) ? undefined : `exited with ${ending.code}`);
	return {
		output: readFileSync(options.outputFile, "utf8"),
		seconds: (performance.now() - started) / 1000,
		exitCode: ending.code,
		...(trouble ? { trouble } : {}),
	};
}

/** Ends a process and its descendants: the harness puts every test into a process group of its own. */
function killTree(root: number): void {
	const children = new Map<number, number[]>();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		const parent = parentOf(Number(entry));
		if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
	}
	const ids = [root];
	for (const id of ids) ids.push(...(children.get(id) ?? []));
	for (const id of ids) {
		try {
			process.kill(id, "SIGKILL");
		} catch {
			// It has ended by itself.
		}
	}
}

function parentOf(id: number): number | undefined {
	try {
		// "ID (NAME) STATE PARENT ...": a name may hold anything, so look behind its last bracket. proc_pid_stat(5)
		const stat = readFileSync(`/proc/${id}/stat`, "utf8");
		return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
	} catch {
		return undefined;
	}
}
