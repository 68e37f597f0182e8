// The filter's verdicts, found by running its program here as the kernel would, for each architecture.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const ALLOW = 0x7fff0000;
const O_CLOEXEC = 0x80000;
const TRAP = 0x7fc00000;

type Filter = typeof import("./filter.js");
type Instruction = ReturnType<Filter["filterProgram"]>[number];

/** struct seccomp_data, as far as the filter looks at it. */
interface Call {
	arch: number;
	nr: number;
	args?: readonly number[];
}

/** Classic BPF, with the few instructions that there are here. */
function verdictOf(program: readonly Instruction[], { arch, nr, args = [] }: Call): number {
	const load = (offset: number) => {
		if (offset === 0) return nr;
		if (offset === 4) return arch;
		const argument = args[Math.floor((offset - 16) / 8)] ?? 0;
		return offset % 8 === 0 ? argument >>> 0 : Math.floor(argument / 2 ** 32) >>> 0;
	};
	const compare: { [code: number]: (a: number, k: number) => boolean } = {
		21: (a, k) => a === k,
		37: (a, k) => a > k,
		53: (a, k) => a >= k,
	};
	let accumulator = 0;
	for (let at = 0; ; at++) {
		const [code, k, jumpIfTrue, jumpIfFalse] = program[at];
		if (code === 0x06) return k;
		if (code === 0x20) accumulator = load(k);
		else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
		else at += compare[code](accumulator, k) ? jumpIfTrue : jumpIfFalse;
	}
}

const machines = [
	{
		name: "x64",
		arch: 0xc000003e,
		foreign: 0x40000003,
		ioctl: 16,
		eventfds: [284, 290],
		openat: 257,
		mmap: 9,
		read: 0,
		open: 2,
		pread: 17,
		preadv: 295,
		preadv2: 327,
		fcntl: 72,
		userfaultfd: 323,
		getpid: 39,
		exits: { exit: 60, exitGroup: 231 },
		clone: 56,
		forks: [57, 435],
		vfork: 58,
		aboutFiles: [4, 5, 6, 21, 89, 137, 138, 191, 192, 194, 195, 262, 267, 269, 332, 439],
	},
	{
		name: "arm64",
		arch: 0xc00000b7,
		foreign: 0x40000028,
		ioctl: 29,
		eventfds: [19],
		openat: 56,
		mmap: 222,
		read: 63,
		pread: 67,
		preadv: 69,
		preadv2: 286,
		fcntl: 25,
		userfaultfd: 282,
		getpid: 172,
		exits: { exit: 93, exitGroup: 94 },
		clone: 220,
		forks: [435],
		aboutFiles: [8, 9, 11, 12, 43, 44, 48, 78, 79, 80, 291, 439],
	},
];

for (const {
	name,
	arch,
	foreign,
	ioctl,
	openat,
	mmap,
	read,
	pread,
	preadv,
	preadv2,
	fcntl,
	open,
	getpid,
	userfaultfd,
	eventfds,
	exits,
	clone,
	forks,
	vfork,
	aboutFiles,
} of machines) {
	describe(name, () => {
		const { arch: actual } = process;
		let filter: Filter;
		let verdict: (nr: number, ...args: number[]) => number;

		beforeEach(async () => {
			vi.resetModules();
			Object.defineProperty(process, "arch", { value: name });
			filter = await import("./filter.js");
			const program = filter.filterProgram();
			verdict = (nr, ...args) => verdictOf(program, { arch, nr, args });
		});
		afterEach(() => {
			Object.defineProperty(process, "arch", { value: actual });
			vi.resetModules();
		});

		test("ioctls of type ';' are trapped, whatever their direction and size, and no others", () => {
			for (const command of [0x3b81, 0x3bff, 0xc0183b64]) expect(verdict(ioctl, 3, command)).toBe(TRAP);
			for (const command of [0x5401, 0xae80, 0x3a81, 0x3c81, 0x3b]) expect(verdict(ioctl, 3, command)).toBe(ALLOW);
		});

		test("eventfd is trapped where it has to be, and nowhere else", () => {
			const own = filter.filterProgram(true);
			for (const nr of eventfds) {
				expect(verdict(nr, 0, 0)).toBe(ALLOW);
				expect(verdictOf(own, { arch, nr, args: [0, 0] })).toBe(TRAP);
			}
			expect(verdictOf(own, { arch, nr: getpid })).toBe(ALLOW);
		});

		test("what opens a file is trapped", () => {
			expect(verdict(openat)).toBe(TRAP);
			expect(verdict(437)).toBe(TRAP);
			if (open !== undefined) expect(verdict(open)).toBe(TRAP);
		});

		test("what asks about a file by its path, or by an fd, is trapped", () => {
			for (const nr of aboutFiles) expect(verdict(nr)).toBe(TRAP);
		});

		test("fcntl is trapped at the fds of queues, and where it is about seals", () => {
			const [F_GETFL, F_ADD_SEALS, F_GET_SEALS] = [3, 1033, 1034];
			const at = (fd: number, command: number) => verdict(fcntl, fd, command, 0);
			expect([at(5, F_GETFL), at(5, F_ADD_SEALS), at(5, F_GET_SEALS), at(5, 1032), at(5, 1035)]).toEqual([
				ALLOW,
				TRAP,
				TRAP,
				ALLOW,
				ALLOW,
			]);
			const { first, last } = filter.QUEUE_FDS;
			expect([first - 1, first, last, last + 1].map((fd) => at(fd, F_GETFL))).toEqual([ALLOW, TRAP, TRAP, ALLOW]);
		});

		test("read is trapped at the fds of queues only", () => {
			const { first, last } = filter.QUEUE_FDS;
			expect([first - 1, first, last, last + 1, -1].map((fd) => verdict(read, fd))).toEqual([
				ALLOW,
				TRAP,
				TRAP,
				ALLOW,
				ALLOW,
			]);
		});

		test("pread is trapped where it is short, or where no file but a device's has anything", () => {
			const at = (count: number, position: number) => verdict(pread, 5, 0, count, position);
			expect([at(511, 0), at(512, 0), at(2 ** 32 + 4, 0), at(4096, 2 ** 40), at(4096, 2 ** 40 - 1)]).toEqual([
				TRAP,
				ALLOW,
				ALLOW,
				TRAP,
				ALLOW,
			]);
			expect([2 ** 40 - 1, 2 ** 40].map((position) => verdict(preadv, 5, 0, 1, position))).toEqual([ALLOW, TRAP]);
		});

		test("preadv2 is trapped as preadv is, and without a position at the fds of queues only", () => {
			const at = (fd: number, position: number) => verdict(preadv2, fd, 0, 1, position, 0, 0);
			const last = 2 ** 63 - 2 ** 32;
			const none = 2 ** 64 - 2 ** 32; // as near to -1 as a double comes
			expect([2 ** 40 - 1, 2 ** 40, last, none].map((position) => at(5, position))).toEqual([ALLOW, TRAP, TRAP, ALLOW]);
			const { first, last: lastQueue } = filter.QUEUE_FDS;
			const fds = [first - 1, first, lastQueue, lastQueue + 1];
			expect(fds.map((fd) => at(fd, none))).toEqual([ALLOW, TRAP, TRAP, ALLOW]);
		});

		test("mmap is trapped where it shares a file", () => {
			const [shared, isPrivate, anonymous, validate] = [1, 2, 0x21, 3];
			const verdicts = [shared, isPrivate, anonymous, validate].map((flags) => verdict(mmap, 0, 4096, 3, flags, 5, 0));
			expect(verdicts).toEqual([TRAP, ALLOW, ALLOW, TRAP]);
		});

		test("the end of a process is trapped, that of a thread isn't", () => {
			expect([verdict(exits.exitGroup), verdict(exits.exit)]).toEqual([TRAP, ALLOW]);
		});

		test("a userfaultfd(2) is trapped that calls of the kernel wait for, and no other", () => {
			const USER_MODE_ONLY = 1;
			expect([0, O_CLOEXEC].map((flags) => verdict(userfaultfd, flags))).toEqual([TRAP, TRAP]);
			expect(verdict(userfaultfd, O_CLOEXEC | USER_MODE_ONLY)).toBe(ALLOW);
		});

		test("what makes a process with memory of its own is trapped, a thread or vfork isn't, and clone3, of which one can't see it, is", () => {
			const [SIGCHLD, CLONE_VM, CLONE_THREAD] = [17, 0x100, 0x10000];
			const clones = [SIGCHLD, CLONE_VM | CLONE_THREAD, CLONE_VM | SIGCHLD].map((flags) => verdict(clone, flags));
			expect(clones).toEqual([TRAP, ALLOW, ALLOW]);
			for (const nr of forks) expect(verdict(nr)).toBe(TRAP);
			if (vfork !== undefined) expect(verdict(vfork)).toBe(ALLOW);
		});

		test("everything else goes on, and so does every call in another ABI", () => {
			expect(verdict(getpid)).toBe(ALLOW);
			const program = filter.filterProgram();
			for (const nr of [ioctl, openat, mmap, read])
				expect(verdictOf(program, { arch: foreign, nr, args: [900, 0x3b81, 0, 1] })).toBe(ALLOW);
			// x32 has the architecture of x86-64, and a bit in the number.
			expect(verdictOf(program, { arch, nr: (0x40000000 | ioctl) >>> 0, args: [3, 0x3b81] })).toBe(ALLOW);
		});

		test("no jump is longer than the 255 instructions that BPF can skip", () => {
			const jumps = filter.filterProgram().flatMap(([, , yes, no]) => [yes, no]);
			expect(Math.max(...jumps)).toBeLessThan(256);
			expect(Math.min(...jumps)).toBeGreaterThanOrEqual(0);
		});
	});
}
