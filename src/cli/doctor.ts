// ioasis doctor: whether this system can run `ioasis run`, and what to do if not.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { say, sayJson } from "../host/say.js";
import { NOT_EXECUTABLE } from "./exit-codes.js";

interface Finding {
	readonly what: string;
	readonly ok: boolean;
	/** What was found. */
	readonly found: string;
	/** What to do, where it isn't ok. */
	readonly advice?: string;
}

/** WAIT_KILLABLE_RECV, without which a signal would have a call made twice. */
const OLDEST_KERNEL = [5, 19] as const;
const OLDEST_NODE = [20, 11] as const;
/** Milliseconds; it takes a fifth of a second. */
const TRIAL_TIMEOUT = 20_000;

/** @returns the exit code: 0 when all is well */
export async function doctor(json: boolean): Promise<number> {
	const findings = [node(), await nativeCalls(), kernel(), seccomp(), yama()];
	if (findings.every(({ ok }) => ok)) findings.push(trial());
	const ok = findings.every((finding) => finding.ok);
	if (json) sayJson({ ok, findings });
	else print(findings, ok);
	return ok ? 0 : 1;
}

function print(findings: readonly Finding[], allOk: boolean): void {
	const width = Math.max(...findings.map(({ what }) => what.length));
	for (const { what, ok, found, advice } of findings) {
		say(`${ok ? "ok  " : "FAIL"}  ${what.padEnd(width)}  ${found}`);
		if (!ok && advice !== undefined) say(`      ${" ".repeat(width)}  -> ${advice}`);
	}
	say("", allOk ? "`ioasis run` works here." : "`ioasis run` can't work here yet.");
}

function node(): Finding {
	const ok = atLeast(process.versions.node, OLDEST_NODE);
	const what = `Node ${OLDEST_NODE.join(".")} or later`;
	return { what, ok, found: process.version, advice: "install a newer Node: https://nodejs.org" };
}

async function nativeCalls(): Promise<Finding> {
	const what = "system calls from Node (koffi)";
	const advice = "install the packages again: npm ci. There are builds of koffi for x86-64 and arm64";
	try {
		await import("../host/linux/libc.js");
		return { what, ok: true, found: `${process.platform} ${process.arch}`, advice };
	} catch (error) {
		return { what, ok: false, found: (error as Error).message, advice };
	}
}

function kernel(): Finding {
	const what = `Linux ${OLDEST_KERNEL.join(".")} or later`;
	const ok = process.platform === "linux" && atLeast(release(), OLDEST_KERNEL);
	return {
		what,
		ok,
		found: `${process.platform} ${release()}`,
		advice: "use a newer kernel: any distribution of 2023 or later has one",
	};
}

function seccomp(): Finding {
	const actions = read("/proc/sys/kernel/seccomp/actions_avail");
	return {
		what: "seccomp notifications",
		ok: actions?.includes("user_notif") ?? false,
		found: actions?.trim() ?? "the kernel has no seccomp",
		advice:
			"the kernel needs CONFIG_SECCOMP_FILTER; in a container, the runtime's seccomp profile must allow seccomp(2)",
	};
}

function yama(): Finding {
	const scope = read("/proc/sys/kernel/yama/ptrace_scope")?.trim() ?? "0";
	// 1 is fine: a process may look into its descendants, and what we start is one.
	const ok = Number(scope) <= 1 || process.getuid?.() === 0;
	return {
		what: "looking into one's own children (yama)",
		ok,
		found: `kernel.yama.ptrace_scope = ${scope}`,
		advice: "as root: sysctl kernel.yama.ptrace_scope=1",
	};
}

/** The whole thing, once. */
function trial(): Finding {
	const open = 'require("node:fs").openSync("/dev/iommu", "r+")';
	const command = [process.argv[1], "run", "--quiet", "--", process.execPath, "-e", open];
	const options = { encoding: "utf8", timeout: TRIAL_TIMEOUT, killSignal: "SIGKILL" } as const;
	const { status, signal, stderr } = spawnSync(process.execPath, command, options);
	const what = "opening /dev/iommu under `ioasis run`";
	if (status === 0) return { what, ok: true, found: "it opens" };
	// A run that can't start says what to do in its second line.
	const [reason, advice] = (stderr ?? "").trim().split(/\n\s+/);
	return {
		what,
		ok: false,
		found: reason.replace(/^ioasis: /, "") || `it ended with ${signal ?? status}`,
		advice:
			status === NOT_EXECUTABLE && advice !== undefined
				? advice
				: "in a container, its seccomp profile must allow seccomp(2), process_vm_readv(2) and pidfd_getfd(2)",
	};
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
