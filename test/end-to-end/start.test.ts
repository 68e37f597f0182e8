// A run that can't start, and commands that this system lacks something for: a line that says what, and one what to do. No stack, no
// process that waits for ever.

import { afterAll, describe, expect, test } from "vitest";
import { buildClient, command, hasCompiler, ioasis, type Outcome, spawn, temporaryDirectory } from "./programs.js";

/** Of those that a profile may forbid: their numbers. */
const syscalls = {
	process_vm_readv: { x64: 310, arm64: 270 },
	process_vm_writev: { x64: 311, arm64: 271 },
	kcmp: { x64: 312, arm64: 272 },
	seccomp: { x64: 317, arm64: 277 },
	pidfd_getfd: { x64: 438, arm64: 438 },
} as const;

/** Runs a script of the shell, in which "$@" is the rest. */
function shell(script: string, ...words: string[]): Outcome {
	return spawn("/bin/sh", "-c", script, "sh", ...words);
}

/** A namespace in which a user may have no inotify instances: they are counted for each. */
const withoutInotify = ["unshare", "--user", "--map-root-user", "/bin/sh", "-c"];
const noInotify = 'echo 0 > /proc/sys/user/max_inotify_instances && "$@"';
const canHaveNamespaces = spawn(withoutInotify[0], ...withoutInotify.slice(1), noInotify, "sh", "true").status === 0;
const canUnmount = spawn("unshare", "--mount", "umount", "-l", "/proc").status === 0;

function expectRefusal({ status, stdout, stderr }: Outcome, reason: RegExp, code = 126): void {
	expect(stderr).not.toMatch(/\n\s+at |Node\.js v/); // no stack
	expect(stderr).toMatch(reason);
	expect(stderr.trimEnd().split("\n").length).toBeLessThanOrEqual(2);
	expect(stdout).toBe("");
	expect(status).toBe(code);
}

const started = ["run", "--", "echo", "started"];

test.skipIf(!canHaveNamespaces)("without an inotify instance a run says so, and starts nothing", () => {
	const outcome = spawn(withoutInotify[0], ...withoutInotify.slice(1), noInotify, "sh", command, ...started);
	expectRefusal(outcome, /^ioasis: .*inotify.*EMFILE\n.*max_user_instances/);
});

test.skipIf(!canHaveNamespaces)("doctor finds that, and ends", () => {
	const outcome = spawn(withoutInotify[0], ...withoutInotify.slice(1), noInotify, "sh", command, "doctor");
	expect(outcome.stdout).toMatch(/FAIL .*inotify.*\n.*sysctl/);
	expect(outcome.status).toBe(1);
});

describe.skipIf(!hasCompiler)("where a container's profile forbids a system call", () => {
	const directory = temporaryDirectory();
	afterAll(directory.remove);
	const deny = hasCompiler ? buildClient("deny", directory.path) : "";
	const without = (names: (keyof typeof syscalls)[], ...words: string[]) =>
		spawn(deny, names.map((name) => syscalls[name][process.arch as "x64" | "arm64"]).join(","), command, ...words);
	const verdict = (outcome: Outcome) => [outcome.stdout.trimEnd().split("\n").at(-1), outcome.status];

	test.each(["process_vm_readv", "process_vm_writev"] as const)(
		"nothing starts without %s, and doctor says so",
		(name) => {
			expectRefusal(
				without([name], ...started),
				new RegExp(`^ioasis: ${name}\\(2\\) is forbidden here.*: EPERM\\n.*seccomp profile`),
			);
			const doctor = without([name], "doctor");
			expect(doctor.stdout).toMatch(
				new RegExp(`FAIL +a program starts.*${name}\\(2\\) is forbidden.*\\n +-> .*seccomp profile`),
			);
			expect(verdict(doctor)).toEqual(["`ioasis run` can't work here yet.", 1]);
		},
	);

	test("seccomp(2) is one that nothing starts without, either", () => {
		expect(without(["seccomp"], "doctor").stdout).toMatch(
			/FAIL +a program starts.*refuses the seccomp filter.*\n +-> in a container/,
		);
	});

	test("without pidfd_getfd and kcmp, as in Docker, all works, interrupts by eventfd too", () => {
		const doctor = without(["pidfd_getfd", "kcmp"], "doctor");
		expect(doctor.stdout).toMatch(/^ok +a device's interrupt signals an eventfd/m);
		expect(verdict(doctor)).toEqual(["`ioasis run` works here.", 0]);
	});
});

test.each(Array.from({ length: 12 }, (_, i) => 19 + i))("with %i fds a run works, or says what is too few", (fds) => {
	const outcome = shell(`ulimit -n ${fds}; exec "$@"`, command, ...started);
	if (outcome.status !== 0) expectRefusal(outcome, /^ioasis: .*EMFILE.*\n.*ulimit -n/);
	else expect(outcome.stdout).toBe("started\n");
});

test.skipIf(!canUnmount)("without /proc nothing is started", () => {
	const withoutProc = ["unshare", "--mount", "/bin/sh", "-c", 'umount -l /proc; exec "$@"', "sh", command];
	expectRefusal(spawn(withoutProc[0], ...withoutProc.slice(1), ...started), /^ioasis: there is no \/proc/);
	expectRefusal(spawn(withoutProc[0], ...withoutProc.slice(1), "matrix", "--", "true"), /^ioasis: there is no \/proc/);
});

test.skipIf(!canUnmount)("the /proc of another PID namespace won't do", () => {
	const elsewhere = ["--pid", "--fork", "--kill-child", command];
	expectRefusal(spawn("unshare", ...elsewhere, ...started), /^ioasis: \/proc belongs to another PID namespace/);
});

test.each([
	["run", "/nonexistent", /\/nonexistent, which TMPDIR names: there is no such directory/],
	["run", "/etc/passwd", /it is not a directory/],
	["matrix", "/nonexistent", /\/nonexistent, which TMPDIR names: there is no such directory/],
	["fail-each", "/nonexistent", /there is no such directory/],
])("%s with a TMPDIR of %s starts nothing", (name, directory, reason) => {
	const words = name === "fail-each" ? ["run", "--fail-each", "--", "true"] : [name, "--", "true"];
	expectRefusal(shell(`TMPDIR=${directory} exec "$@"`, command, ...words), reason);
});

test("a TMPDIR that is taken away while a program runs ends neither it nor us with a stack", () => {
	const script = 'd=$(mktemp -d); TMPDIR=$d "$@" -- sh -c "rm -r $d; ls /sys/class/iommu; exit 7"; exit $?';
	const { status, stderr } = shell(script, command, "run", "--quiet");
	expect(stderr).toMatch(/^ioasis: the machine's files can't be put into .*\n.*Input\/output error\n$/);
	expect(status).toBe(7);
});

const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const canBeNobody = spawn(nobody[0], ...nobody.slice(1), command, "machines").status === 0;

test.skipIf(!canBeNobody)("a TMPDIR that can't be written starts nothing", () => {
	const outcome = shell('d=$(mktemp -d); TMPDIR=$d "$@"; s=$?; rmdir $d; exit $s', ...nobody, command, ...started);
	expectRefusal(outcome, /it can't be written \(EACCES\)/);
});

test("replay, walk and machines need none of it", () => {
	expect(shell('TMPDIR=/nonexistent exec "$@"', command, "machines").status).toBe(0);
	expectRefusal(shell('TMPDIR=/nonexistent exec "$@"', command, "walk", "0x1000"), /no program of yours runs/, 1);
	expectRefusal(shell('TMPDIR=/nonexistent exec "$@"', command, "replay", "/nonexistent"), /can't be read: ENOENT/, 2);
});

test("a signal that comes before the program is there ends the run", () => {
	const script = `"$@" & p=$!; kill -TERM $p; wait $p; exit $?`;
	const { status, stderr } = shell(script, command, "run", "--", "sleep", "1000");
	expect(stderr).not.toContain("    at ");
	expect(status).toBe(128 + 15);
	expect(ioasis("machines").status).toBe(0);
});
