// The numbers of the system calls that the filter traps or that libc has no function for everywhere.
// arch/x86/entry/syscalls/syscall_64.tbl; include/uapi/asm-generic/unistd.h for arm64.

export interface SyscallTable {
	/** AUDIT_ARCH_*: what seccomp_data.arch says for a native call. <linux/audit.h> */
	readonly auditArch: number;
	readonly ioctl: number;
	readonly read: number;
	readonly write: number;
	readonly readv: number;
	readonly writev: number;
	readonly pread64: number;
	readonly pwrite64: number;
	readonly preadv: number;
	readonly pwritev: number;
	readonly preadv2: number;
	readonly pwritev2: number;
	readonly dup: number;
	readonly fcntl: number;
	readonly mmap: number;
	/** open(2) itself; arm64 has only its successors. */
	readonly open: number | undefined;
	readonly openat: number;
	readonly openat2: number;
	/** These as well. */
	readonly stat: number | undefined;
	readonly lstat: number | undefined;
	readonly access: number | undefined;
	readonly readlink: number | undefined;
	readonly fstat: number;
	readonly newfstatat: number;
	readonly faccessat: number;
	readonly faccessat2: number;
	readonly readlinkat: number;
	readonly getxattr: number;
	readonly lgetxattr: number;
	readonly listxattr: number;
	readonly llistxattr: number;
	readonly statfs: number;
	readonly fstatfs: number;
	readonly mknodat: number;
	readonly execve: number;
	readonly execveat: number;
	readonly exitGroup: number;
	/** fork(2) itself; arm64 has only clone. */
	readonly fork: number | undefined;
	readonly clone: number;
	readonly clone3: number;
	readonly setuid: number;
	readonly setreuid: number;
	readonly setresuid: number;
	readonly capget: number;
	readonly capset: number;
	readonly setgroups: number;
	readonly setfsuid: number;
	readonly setfsgid: number;
	readonly unshare: number;
	readonly setns: number;
	readonly kcmp: number;
	readonly seccomp: number;
	readonly memfdCreate: number;
	readonly statx: number;
	readonly pidfdOpen: number;
	readonly pidfdGetfd: number;
	readonly tgkill: number;
	readonly userfaultfd: number;
	readonly close: number;
	/** eventfd(2) before it had flags. */
	readonly eventfd: number | undefined;
	readonly eventfd2: number;
}

const x64: SyscallTable = {
	auditArch: 0xc000003e,
	ioctl: 16,
	read: 0,
	write: 1,
	readv: 19,
	writev: 20,
	pread64: 17,
	pwrite64: 18,
	preadv: 295,
	pwritev: 296,
	preadv2: 327,
	pwritev2: 328,
	dup: 32,
	fcntl: 72,
	mmap: 9,
	open: 2,
	openat: 257,
	openat2: 437,
	stat: 4,
	lstat: 6,
	access: 21,
	readlink: 89,
	fstat: 5,
	newfstatat: 262,
	faccessat: 269,
	faccessat2: 439,
	readlinkat: 267,
	getxattr: 191,
	lgetxattr: 192,
	listxattr: 194,
	llistxattr: 195,
	statfs: 137,
	fstatfs: 138,
	mknodat: 259,
	execve: 59,
	execveat: 322,
	exitGroup: 231,
	fork: 57,
	clone: 56,
	clone3: 435,
	setuid: 105,
	setreuid: 113,
	setresuid: 117,
	capget: 125,
	capset: 126,
	setgroups: 116,
	setfsuid: 122,
	setfsgid: 123,
	unshare: 272,
	setns: 308,
	kcmp: 312,
	seccomp: 317,
	memfdCreate: 319,
	statx: 332,
	pidfdOpen: 434,
	pidfdGetfd: 438,
	tgkill: 234,
	userfaultfd: 323,
	close: 3,
	eventfd: 284,
	eventfd2: 290,
};

const arm64: SyscallTable = {
	auditArch: 0xc00000b7,
	ioctl: 29,
	read: 63,
	write: 64,
	readv: 65,
	writev: 66,
	pread64: 67,
	pwrite64: 68,
	preadv: 69,
	pwritev: 70,
	preadv2: 286,
	pwritev2: 287,
	dup: 23,
	fcntl: 25,
	mmap: 222,
	open: undefined,
	openat: 56,
	openat2: 437,
	stat: undefined,
	lstat: undefined,
	access: undefined,
	readlink: undefined,
	fstat: 80,
	newfstatat: 79,
	faccessat: 48,
	faccessat2: 439,
	readlinkat: 78,
	getxattr: 8,
	lgetxattr: 9,
	listxattr: 11,
	llistxattr: 12,
	statfs: 43,
	fstatfs: 44,
	mknodat: 33,
	execve: 221,
	execveat: 281,
	exitGroup: 94,
	fork: undefined,
	clone: 220,
	clone3: 435,
	setuid: 146,
	setreuid: 145,
	setresuid: 147,
	capget: 90,
	capset: 91,
	setgroups: 159,
	setfsuid: 151,
	setfsgid: 152,
	unshare: 97,
	setns: 268,
	kcmp: 272,
	seccomp: 277,
	memfdCreate: 279,
	statx: 291,
	pidfdOpen: 434,
	pidfdGetfd: 438,
	tgkill: 131,
	userfaultfd: 282,
	close: 57,
	eventfd: undefined,
	eventfd2: 19,
};

const tables: { readonly [arch: string]: SyscallTable | undefined } = { x64, arm64 };

/** Undefined on a machine that we don't know the numbers of; `ioasis doctor` says so. */
export const knownSyscalls = tables[process.arch];

export const syscalls: SyscallTable = knownSyscalls ?? x64;
