// Which system calls are trapped: the program of the seccomp filter. All others run at full speed; those whose number alone
// decides don't even run the program, because the kernel remembers its verdict (Linux 5.11).
// seccomp(2); the language is classic BPF: Documentation/networking/filter.rst.

import { MAP_ANONYMOUS, MAP_SHARED } from "../linux/flags.js";
import { NativeMemory } from "../linux/libc.js";
import { F_ADD_SEALS, F_GET_SEALS } from "../linux/seals.js";
import { syscalls } from "../linux/syscalls.js";
import { UFFD_USER_MODE_ONLY } from "../linux/userfaultfd.js";

/**
 * Where the fds of event queues are put, both included: a filter knows fds by their numbers only, and to stop at every read(2)
 * would be dear. Below 1024, the usual RLIMIT_NOFILE and FD_SETSIZE, and above what programs use as a rule. What
 * else a program has there is read and written all the same, through us.
 */
export const QUEUE_FDS = { first: 768, last: 1023 } as const;

/**
 * An ioctl that no driver has (but of the trapped type), on no fd: the launcher's way to say that everybody is gone. It comes
 * through the same door as all calls, so it can't be missed and comes last.
 */
export const FAREWELL = 0x3bff;

/** _IOC_TYPE of every command of iommufd and VFIO: IOMMUFD_TYPE and VFIO_TYPE are both ';'. */
const IOC_TYPE_MASK = 0xff00;
const IOC_TYPE_OURS = 0x3b00;

/**
 * Which accesses at a position are trapped, whatever the fd: those from where the regions of a device begin that come after
 * BAR 0 (in the high half of an offset), where no file has anything, and those of few bytes, which is how registers are read
 * and written. Programs read files in larger pieces.
 */
const FIRST_DISTANT = 2 ** 40 / 2 ** 32;
/** Of the high halves, too: a position is signed. */
const FIRST_NEGATIVE = 2 ** 63 / 2 ** 32;
const FEW_BYTES = 512;

/** Of clone(2): no memory of its own. */
const CLONE_VM = 0x100;

/** The fd comes first in all of them. */
const queueCalls = [syscalls.read, syscalls.write, syscalls.readv, syscalls.writev, syscalls.dup] as const;

/**
 * What is trapped whatever its arguments are: what opens a file by its path or asks about one (BPF can't look at the path),
 * what changes the memory or the credentials that we remember of a process, and what makes a process of which we don't know (clone3's
 * flags are in memory). The last never need an answer; to trap them is how nothing has to be asked again on each ioctl, and how a child
 * that inherits mapped registers doesn't run before its accesses are heard of.
 */
const trappedAlways = [
	syscalls.open,
	syscalls.openat,
	syscalls.openat2,
	syscalls.fstat,
	syscalls.newfstatat,
	syscalls.statx,
	syscalls.stat,
	syscalls.lstat,
	syscalls.readlink,
	syscalls.readlinkat,
	syscalls.access,
	syscalls.faccessat,
	syscalls.faccessat2,
	syscalls.getxattr,
	syscalls.lgetxattr,
	syscalls.listxattr,
	syscalls.llistxattr,
	syscalls.statfs,
	syscalls.fstatfs,
	syscalls.execve,
	syscalls.execveat,
	syscalls.exitGroup,
	syscalls.fork,
	syscalls.clone3,
	syscalls.setuid,
	syscalls.setreuid,
	syscalls.setresuid,
	syscalls.capset,
	syscalls.unshare,
	syscalls.setns,
].filter((number) => number !== undefined);

/** What is trapped besides where we can't have copies of programs' fds: made-eventfds.ts. */
const eventFdCalls = [syscalls.eventfd, syscalls.eventfd2].filter((number) => number !== undefined);

// <linux/bpf_common.h>
const BPF_LD_W_ABS = 0x20; // A = the u32 at offset k of seccomp_data
const BPF_ALU_AND_K = 0x54; // A &= k
const BPF_JEQ_K = 0x15; // if (A == k) skip jt instructions, else skip jf
const BPF_JGT_K = 0x25;
const BPF_JGE_K = 0x35;
const BPF_RET_K = 0x06; // the filter's verdict is k

const SECCOMP_RET_USER_NOTIF = 0x7fc00000;
const SECCOMP_RET_ALLOW = 0x7fff0000;

// Offsets in struct seccomp_data. Of most arguments only the low half counts: they are ints.
const NR = 0;
const ARCH = 4;
const argument = (index: number): number => 16 + index * 8;
const highHalf = (index: number): number => argument(index) + 4;

/** Where a comparison leads to: to the instruction after it, over the rest of its rule, or to a verdict. */
type Target = "on" | "past" | "trap" | "allow";
type Step = readonly [code: number, k: number, yes?: Target, no?: Target];

/** A call in another ABI (i386, x32, 32-bit Arm) is none of ours: its numbers mean other calls, so it goes on untouched. */
const preamble: readonly Step[] = [
	[BPF_LD_W_ABS, ARCH],
	[BPF_JEQ_K, syscalls.auditArch, "on", "allow"],
	[BPF_LD_W_ABS, NR],
];

/** The calls that are most frequent come first. Each rule finds the call's number in A, and leaves it there unless it decides. */
const rules: readonly (readonly Step[])[] = [
	...queueCalls.map((number): Step[] => [
		[BPF_JEQ_K, number, "on", "past"],
		[BPF_LD_W_ABS, argument(0)],
		[BPF_JGE_K, QUEUE_FDS.first, "on", "allow"],
		[BPF_JGT_K, QUEUE_FDS.last, "allow", "trap"],
	]),
	[
		[BPF_JEQ_K, syscalls.fcntl, "on", "past"],
		[BPF_LD_W_ABS, argument(1)],
		[BPF_JEQ_K, F_ADD_SEALS, "trap", "on"],
		[BPF_JEQ_K, F_GET_SEALS, "trap", "on"],
		[BPF_LD_W_ABS, argument(0)],
		[BPF_JGE_K, QUEUE_FDS.first, "on", "allow"],
		[BPF_JGT_K, QUEUE_FDS.last, "allow", "trap"],
	],
	[
		[BPF_JEQ_K, syscalls.ioctl, "on", "past"],
		[BPF_LD_W_ABS, argument(1)],
		[BPF_ALU_AND_K, IOC_TYPE_MASK],
		[BPF_JEQ_K, IOC_TYPE_OURS, "trap", "allow"],
	],
	[
		[BPF_JEQ_K, syscalls.mmap, "on", "past"],
		[BPF_LD_W_ABS, argument(3)],
		[BPF_ALU_AND_K, MAP_SHARED | MAP_ANONYMOUS],
		[BPF_JEQ_K, MAP_SHARED, "trap", "allow"],
	],
	...[syscalls.pread64, syscalls.pwrite64].map((number): Step[] => [
		[BPF_JEQ_K, number, "on", "past"],
		[BPF_LD_W_ABS, highHalf(3)],
		[BPF_JGE_K, FIRST_DISTANT, "trap", "on"],
		[BPF_LD_W_ABS, highHalf(2)],
		[BPF_JEQ_K, 0, "on", "allow"],
		[BPF_LD_W_ABS, argument(2)],
		[BPF_JGE_K, FEW_BYTES, "allow", "trap"],
	]),
	...[syscalls.preadv, syscalls.pwritev].map((number): Step[] => [
		[BPF_JEQ_K, number, "on", "past"],
		[BPF_LD_W_ABS, highHalf(3)],
		[BPF_JGE_K, FIRST_DISTANT, "trap", "allow"],
	]),
	// Their position -1 is none: so programs ask for flags where they would read(2) otherwise.
	...[syscalls.preadv2, syscalls.pwritev2].map((number): Step[] => [
		[BPF_JEQ_K, number, "on", "past"],
		[BPF_LD_W_ABS, highHalf(3)],
		[BPF_JGE_K, FIRST_DISTANT, "on", "allow"],
		[BPF_JGE_K, FIRST_NEGATIVE, "on", "trap"],
		[BPF_LD_W_ABS, argument(0)],
		[BPF_JGE_K, QUEUE_FDS.first, "on", "allow"],
		[BPF_JGT_K, QUEUE_FDS.last, "allow", "trap"],
	]),
	[
		[BPF_JEQ_K, syscalls.clone, "on", "past"],
		[BPF_LD_W_ABS, argument(0)],
		[BPF_ALU_AND_K, CLONE_VM],
		[BPF_JEQ_K, 0, "trap", "allow"],
	],
	// Pages that are missing for the program alone are errors for us, not to be waited for. Those that we have threads make to hear of
	// accesses to registers are of that kind: they must not wait for us, who wait for them.
	[
		[BPF_JEQ_K, syscalls.userfaultfd, "on", "past"],
		[BPF_LD_W_ABS, argument(0)],
		[BPF_ALU_AND_K, UFFD_USER_MODE_ONLY],
		[BPF_JEQ_K, 0, "trap", "allow"],
	],
	...trapped(trappedAlways),
];

function trapped(numbers: readonly number[]): Step[][] {
	return numbers.map((number) => [[BPF_JEQ_K, number, "trap", "past"]]);
}

const verdicts: readonly Step[] = [
	[BPF_RET_K, SECCOMP_RET_ALLOW],
	[BPF_RET_K, SECCOMP_RET_USER_NOTIF],
];

export type Instruction = readonly [code: number, k: number, jumpIfTrue: number, jumpIfFalse: number];

/**
 * The program, with its jumps as numbers of instructions to skip.
 * @param hasEventFds whether eventfd(2) is trapped, too
 */
export function filterProgram(hasEventFds = false): Instruction[] {
	const all = [preamble, ...rules, ...(hasEventFds ? trapped(eventFdCalls) : []), verdicts];
	const length = all.reduce((sum, steps) => sum + steps.length, 0);
	const program: Instruction[] = [];
	for (const steps of all) {
		const end = program.length + steps.length;
		for (const [code, k, yes = "on", no = "on"] of steps) {
			const next = program.length + 1;
			const skips = { on: 0, past: end - next, allow: length - 2 - next, trap: length - 1 - next };
			program.push([code, k, skips[yes], skips[no]]);
		}
	}
	return program;
}

/** struct sock_fprog and, behind it, the struct sock_filter array that it points to. */
export function assembledFilter(hasEventFds: boolean): NativeMemory {
	const program = filterProgram(hasEventFds);
	const memory = new NativeMemory(16 + program.length * 8);
	const view = new DataView(memory.bytes.buffer);
	view.setUint16(0, program.length, true);
	memory.setU64(2, memory.address + 16);
	program.forEach(([code, k, jumpIfTrue, jumpIfFalse], i) => {
		view.setUint16(16 + i * 8, code, true);
		view.setUint8(16 + i * 8 + 2, jumpIfTrue);
		view.setUint8(16 + i * 8 + 3, jumpIfFalse);
		view.setUint32(16 + i * 8 + 4, k, true);
	});
	return memory;
}
