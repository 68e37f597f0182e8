// What a program can do to the supervisor: ask for the wrong things, at the wrong time, and go away in the middle.

import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { asClient, asNobody, buildHarness, isRoot, run, start, underSupervisor } from "./testing/harness.testing.js";
import type { Who } from "./testing/questions.testing.js";

let cleanUp: () => void;
beforeAll(async () => {
	cleanUp = await buildHarness();
});
afterAll(() => cleanUp());

const [EBADF, EFAULT, EIO, ENOTTY] = [-9, -14, -5, -25];

test("a bad pointer is EFAULT and harms nobody", async () => {
	const { answer } = await asClient((client) => {
		const { open, count, mmap, mprotect, munmap, PROT_READ, PROT_WRITE, PROT_NONE } = client;
		const fd = open("/dev/iommu", client.O_RDWR);
		const pages = mmap(3 * 4096, PROT_READ | PROT_WRITE, 0x22);
		const results = [0, 1, 4095, -1, 2 ** 47, 2 ** 52, -(2 ** 40), 2 ** 63 - 2 ** 20].map((at) => count(fd, at));
		mprotect(pages + 4096, 4096, PROT_NONE);
		results.push(count(fd, pages + 4096), count(fd, pages + 4096 - 8));
		mprotect(pages + 4096, 4096, PROT_READ);
		results.push(count(fd, pages + 4096), count(fd, pages + 4096 - 8));
		munmap(pages + 4096, 4096);
		results.push(count(fd, pages + 4096), count(fd, pages + 4096 - 11));
		return { results, good: count(fd, pages + 4096 - 12) };
	});
	expect(answer).toEqual({ results: Array(14).fill(EFAULT), good: 0 });
});

test("an unknown command is the engine's to refuse, an fd that isn't ours the kernel's", async () => {
	const { answer } = await asClient(({ open, ioctl, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const file = open("/etc/passwd", 0);
		return [
			ioctl(fd, 0x3b00, 0),
			ioctl(fd, 0x5401, 0),
			ioctl(file, 0x3b81, 0),
			ioctl(-1, 0x3b81, 0),
			ioctl(-1, 0x3bff, 0),
		];
	});
	expect(answer).toEqual([ENOTTY, ENOTTY, ENOTTY, EBADF, EBADF]);
});

test("a bug of ours is EIO, told once, and the next call is answered", async () => {
	const { answer, outcome } = await asClient(({ open, ask, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		return [ask(fd, { what: "bug" }), ask(fd, { what: "bug" }), ask<Who>(fd, { what: "who" }).file];
	});
	expect(answer).toEqual([EIO, EIO, 1]);
	expect(outcome.stderr.match(/internal error/g)).toHaveLength(1);
	expect(outcome.stderr).toContain("a bug made on purpose");
	expect(outcome.report?.errors).toEqual([["EIO", 2]]);
});

test("a signal that arrives while a call is answered doesn't make it happen twice", async () => {
	const { answer } = await asClient(async ({ open, ask, mmap, memoryAt, setTimer, count, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const at = mmap(4096, 3, 0x22);
		process.on("SIGALRM", () => {});
		setTimer(1000); // every millisecond
		for (let i = 0; i < 100; i++) ask(fd, { what: "sleep", milliseconds: 3 });
		const calls = 5000;
		for (let i = 0; i < calls; i++) count(fd, at);
		setTimer(0);
		return memoryAt(at, 12).readUInt32LE(8) - calls;
	});
	expect(answer).toBe(0);
});

test("programs that are killed in the middle of a call leave nothing behind", async () => {
	const { answer, outcome } = await asClient(async ({ open, ask, killedAfter, commandFor, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const command = commandFor(({ open, ask, O_RDWR }) => {
			const fd = open("/dev/iommu", O_RDWR);
			for (;;) ask(fd, { what: "sleep", milliseconds: 5 });
		}, null);
		const signals = await Promise.all([400, 405, 411, 424].map((milliseconds) => killedAfter(milliseconds, command)));
		return { signals, file: ask<Who>(fd, { what: "who" }).file };
	});
	expect(answer).toEqual({ signals: Array(4).fill("SIGKILL"), file: 1 });
	expect(outcome.report).toMatchObject({ leftovers: [], stillOpen: [] });
});

test("threads ask at the same time, and each gets its own answer", async () => {
	const { answer } = await asClient(async ({ open, inThread, O_RDWR }) => {
		const fd = open("/dev/iommu", O_RDWR);
		const ask = () =>
			inThread(({ ask, gettid }, fd) => {
				const tid = gettid();
				for (let i = 0; i < 200; i++) if (ask<Who>(fd, { what: "who" }).thread !== tid) return false;
				return true;
			}, fd);
		return Promise.all([ask(), ask(), ask(), ask()]);
	});
	expect(answer).toEqual([true, true, true, true]);
});

test("a supervisor that can have few fds gives up those of threads that have ended", async () => {
	const fewFds = ["/bin/bash", "-c", 'ulimit -n 128; exec "$@"', "bash"];
	const { answer, outcome } = await asClient(
		async ({ open, inThread, O_RDWR }) => {
			const fds = Array.from({ length: 16 }, () => open("/dev/iommu", O_RDWR));
			const answers: number[][] = [];
			for (let i = 0; i < 12; i++)
				answers.push(
					await inThread(({ ask }, fds) => fds.map((fd) => ask<Who | number>(fd, { what: "who" })), fds).then((all) =>
						all.map((who) => (typeof who === "number" ? who : who.file)),
					),
				);
			return answers;
		},
		null,
		fewFds,
	);
	expect(answer).toEqual(Array(12).fill(Array.from({ length: 16 }, (_, i) => i + 1)));
	expect(outcome.report).toMatchObject({ errors: [], stillOpen: [] });
});

test("a program's exit code and the signal that killed it are known", async () => {
	expect((await run("/bin/sh", "-c", "exit 7")).status).toEqual({ kind: "exited", code: 7 });
	expect((await run("/bin/sh", "-c", "kill -TERM $$")).status).toEqual({ kind: "killed", signal: 15 });
});

test("a program that can't be started is a failure with its errno", async () => {
	expect((await run("/nonexistent/program")).failure).toEqual({ kind: "failed", call: "posix_spawn", errno: 2 });
	expect((await run("/etc/passwd")).failure).toEqual({ kind: "failed", call: "posix_spawn", errno: 13 });
});

test("what the program leaves running is waited for, and served", async () => {
	const { outcome } = start(["/bin/sh", "-c", "(sleep 0.5; exec 3<>/dev/iommu; echo opened) & exit 3"]);
	expect(await outcome).toMatchObject({
		status: { kind: "exited", code: 3 },
		stdout: "opened\n",
		report: { calls: 1, stillOpen: [] },
	});
});

test("what the caller's children were before is no concern of ours", async () => {
	const before = ["/bin/sh", "-c", 'sleep 30 & exec "$@"', "sh"];
	const started = performance.now();
	const { supervisor, outcome } = start(["/bin/true"], before);
	supervisor.stdout?.destroy(); // sleep has it too
	supervisor.stderr?.destroy();
	expect((await outcome).status).toEqual({ kind: "exited", code: 0 });
	expect(performance.now() - started).toBeLessThan(20_000);
});

test("supervisors don't nest, and the inner one says why", async () => {
	const inner = underSupervisor(["/bin/true"]);
	const outer = await run(...inner.command);
	expect(outer.status).toEqual({ kind: "exited", code: 0 });
	expect(inner.result()).toEqual({ kind: "failed", call: "seccomp", errno: 16 }); // EBUSY
});

test("a program gets the fds, the limits and the signals that it would get without us", async () => {
	const script = "ulimit -Sn; cat <&7; cat <&12; cd /proc/$$/fd; echo *; grep -E 'Sig(Ign|Blk|Cgt)' /proc/$$/status";
	const setting = 'ulimit -Sn 512; "$@" 7</etc/hostname 12</proc/version; exit $?';
	const before = ["/bin/bash", "-c", setting, "bash"];
	const program = ["/bin/bash", "-c", script];
	const direct = spawnSync(before[0], [...before.slice(1), ...program], { encoding: "utf8" });
	const { outcome } = start(program, before);
	expect((await outcome).stdout).toBe(direct.stdout);
	expect(direct.stdout).toMatch(/^512\n/);
});

test("an argument that isn't UTF-8 arrives as it is", async () => {
	// What Node gives a child is UTF-8, so a shell makes the bytes: we get them as they are.
	const before = ["/bin/sh", "-c", `exec "$@" "$(printf 'caf\\351')"`, "sh"];
	const { outcome } = start(["/bin/sh", "-c", 'printf %s "$1" | od -An -tx1', "sh"], before);
	expect((await outcome).stdout.trim()).toBe("63 61 66 e9");
});

test.runIf(isRoot)(
	"a program that is installed for root to set the user works for root, and not for others",
	async () => {
		const [asRoot, asOther] = [start(["/bin/grep", "NoNewPrivs", "/proc/self/status"]), null];
		expect((await asRoot.outcome).stdout).toBe("NoNewPrivs:\t0\n");
		const other = start(["/bin/grep", "NoNewPrivs", "/proc/self/status"], asNobody);
		expect((await other.outcome).stdout).toBe("NoNewPrivs:\t1\n");
		expect(asOther).toBeNull();
	},
);

test("when the supervisor is killed the program's opens fail, rather than hang", async () => {
	const { supervisor, outcome } = start(["/bin/sh", "-c", "echo $$; sleep 1; cat /etc/hostname"]);
	supervisor.stdout?.once("data", () => supervisor.kill("SIGKILL"));
	const { stdout, stderr } = await outcome;
	expect(stdout).toMatch(/^\d+\n$/);
	expect(stderr).toMatch(/not implemented/); // ENOSYS, in whatever words libc has for it
});
