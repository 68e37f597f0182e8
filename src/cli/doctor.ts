// ioasis doctor: whether this system can run `ioasis run`, and what to do if not. It looks at what a run takes, and then does what a run
// does: it starts a program, which makes calls, has a device interrupt and so on.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { say, sayJson } from "../host/say.js";
import { type Trial, trials } from "./doctor-steps.js";
import { failuresIn } from "./printed-failures.js";

interface Finding {
	readonly what: string;
	/** except: it works without. */
	readonly state: "ok" | "except" | "FAIL";
	/** What was found. */
	readonly found: string;
	/** What to do, where it isn't ok. */
	readonly advice?: string | undefined;
}

/** WAIT_KILLABLE_RECV, without which a signal would have a call made twice. */
const OLDEST_KERNEL = [5, 19] as const;
const OLDEST_NODE = [20, 11] as const;
/** Milliseconds; it takes a fifth of a second. */
const TRIAL_TIMEOUT = 60_000;
/** Beside us in dist/. */
const PROGRAM = fileURLToPath(new URL("./doctor-program.js", import.meta.url));
const IN_A_CONTAINER =
	"in a container, its seccomp profile must allow seccomp(2), process_vm_readv(2), process_vm_writev(2) and pidfd_getfd(2): docs/ci.md";

/** @returns the exit code: 0 when it works, maybe with exceptions */
export async function doctor(json: boolean): Promise<number> {
	const findings = [node(), await nativeCalls(), kernel(), seccomp(), yama()];
	if (findings.every(({ state }) => state === "ok")) findings.push(...tried());
	const ok = findings.every(({ state }) => state !== "FAIL");
	const works = verdictOn(findings);
	if (json)
		sayJson({ ok, verdict: works, findings: findings.map((finding) => ({ ok: finding.state === "ok", ...finding })) });
	else print(findings, works);
	return ok ? 0 : 1;
}

function verdictOn(findings: readonly Finding[]): string {
	if (findings.some(({ state }) => state === "FAIL")) return "`ioasis run` can't work here yet.";
	const exceptions = findings.filter(({ state }) => state === "except").map(({ what }) => `"${what}"`);
	return exceptions.length === 0
		? "`ioasis run` works here."
		: `\`ioasis run\` works here, except for ${exceptions.join(" and ")}.`;
}

function print(findings: readonly Finding[], works: string): void {
	const width = Math.max(...findings.map(({ what }) => what.length));
	for (const { what, state, found, advice } of findings) {
		say(`${state.padEnd(6)}  ${what.padEnd(width)}  ${found}`.trimEnd());
		if (state !== "ok" && advice !== undefined) say(`${" ".repeat(8 + width)}  -> ${advice}`);
	}
	say("", works);
}

function finding(what: string, ok: boolean, found: string, advice?: string): Finding {
	return { what, state: ok ? "ok" : "FAIL", found, advice };
}

function node(): Finding {
	const ok = atLeast(process.versions.node, OLDEST_NODE);
	const what = `Node ${OLDEST_NODE.join(".")} or later`;
	return finding(what, ok, process.version, "install a newer Node: https://nodejs.org");
}

async function nativeCalls(): Promise<Finding> {
	const what = "system calls from Node (koffi)";
	const advice = "install the packages again: npm ci. There are builds of koffi for x86-64 and arm64";
	try {
		await import("../host/linux/libc.js");
		return finding(what, true, `${process.platform} ${process.arch}`);
	} catch (error) {
		return finding(what, false, (error as Error).message, advice);
	}
}

function kernel(): Finding {
	const what = `Linux ${OLDEST_KERNEL.join(".")} or later`;
	const ok = process.platform === "linux" && atLeast(release(), OLDEST_KERNEL);
	const advice = "use a newer kernel: any distribution of 2023 or later has one";
	return finding(what, ok, `${process.platform} ${release()}`, advice);
}

function seccomp(): Finding {
	const actions = read("/proc/sys/kernel/seccomp/actions_avail");
	const advice =
		"the kernel needs CONFIG_SECCOMP_FILTER; in a container, the runtime's seccomp profile must allow seccomp(2)";
	const found = actions?.trim() ?? "the kernel has no seccomp, or /proc/sys isn't there";
	return finding("seccomp notifications", actions?.includes("user_notif") ?? false, found, advice);
}

function yama(): Finding {
	const scope = read("/proc/sys/kernel/yama/ptrace_scope")?.trim() ?? "0";
	// 1 is fine: a process may look into its descendants, and what we start is one.
	const ok = Number(scope) <= 1 || process.getuid?.() === 0;
	const advice = "as root: sysctl kernel.yama.ptrace_scope=1";
	return finding("looking into one's own children (yama)", ok, `kernel.yama.ptrace_scope = ${scope}`, advice);
}

/** The whole thing, once. */
function tried(): Finding[] {
	const options = [
		"run",
		"--quiet",
		"--machine",
		"intel",
		"--trace",
		"--trace-format",
		"json",
		"--trace-filter",
		"errors",
	];
	const { status, signal, stdout, stderr } = spawnSync(
		process.execPath,
		[process.argv[1], ...options, "--", process.execPath, PROGRAM],
		{ encoding: "utf8", timeout: TRIAL_TIMEOUT, killSignal: "SIGKILL" },
	);
	const what = "a program starts under `ioasis run`";
	const done = (stdout ?? "").split("\n").flatMap(stepIn);
	if (done.length === 0) {
		// A run that can't start says what to do in its second line.
		const [reason, advice] = (stderr ?? "").trim().split(/\n\s+/);
		const found = reason.replace(/^ioasis: /, "") || `it ended with ${signal ?? status}`;
		// To ask us is no advice here.
		const hasAdvice = advice !== undefined && !advice.includes("ioasis doctor");
		return [finding(what, false, found, hasAdvice ? advice : IN_A_CONTAINER)];
	}
	const failures = failuresIn(stderr);
	const after = signal ?? (status === 0 ? undefined : status);
	return [finding(what, true, ""), ...trials.flatMap((trial) => findingOf(trial, done, failures, after))];
}

interface Done {
	readonly step: string;
	readonly problem?: string;
	readonly found?: string;
}

function stepIn(line: string): Done[] {
	try {
		return [JSON.parse(line) as Done];
	} catch {
		return [];
	}
}

/** @param after how the program ended, if not well */
function findingOf(
	{ step, what, isNeeded }: Trial,
	done: readonly Done[],
	failures: ReturnType<typeof failuresIn>,
	after: string | number | null | undefined,
): Finding[] {
	const state = isNeeded ? "FAIL" : "except";
	const one = done.find((each) => each.step === step);
	if (one === undefined) {
		// What comes after a step that failed isn't tried.
		return after === undefined
			? []
			: [{ what, state, found: `the program ended with ${after}`, advice: IN_A_CONTAINER }];
	}
	if (one.problem === undefined) return [{ what, state: "ok", found: one.found ?? "" }];
	const reason = failures.find(({ call }) => one.problem!.startsWith(call))?.reason;
	const found = reason === undefined ? one.problem : `${one.problem}: ${reason}`;
	return [{ what, state, found, advice: IN_A_CONTAINER }];
}

function read(path: string): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return undefined;
	}
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
	const [haveMajor, haveMinor] = version.split(".").map(Number);
	return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}
