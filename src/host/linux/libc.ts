// The C library's functions that the host room calls, through koffi: https://koffi.dev
// Each is one system call (man 2) unless it says otherwise. Nothing outside of this room calls native code.
//
// Calls are on the path of every ioctl, so pointers are plain numbers into memory that was set aside beforehand
// (NativeMemory), and nothing is converted or allocated: a call costs about 50 ns over what the kernel takes.

import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import koffi from "koffi";
import { syscalls } from "./syscalls.js";

/** What this process is linked to: glibc or musl, whatever its file is called. */
const libc = koffi.load(null);

// A variadic function is declared with the arguments that we give it: for integers the calling conventions are the same.
type Call0 = () => number;
type Call1 = (a: number) => number;
type Call2 = (a: number, b: number) => number;
type Call3 = (a: number, b: number, c: number) => number;
type Call4 = (a: number, b: number, c: number, d: number) => number;
type Call5 = (a: number, b: number, c: number, d: number, e: number) => number;
type Call6 = (a: number, b: number, c: number, d: number, e: number, f: number) => number;
type Call7 = (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => number;

/** ioctl(fd, request, argument) */
export const ioctl: Call3 = libc.func("int ioctl(int, int64, int64)");
/** process_vm_readv(pid, localIov, localCount, remoteIov, remoteCount, flags) */
export const processVmReadv: Call6 = libc.func("int64 process_vm_readv(int, int64, int64, int64, int64, int64)");
export const processVmWritev: Call6 = libc.func("int64 process_vm_writev(int, int64, int64, int64, int64, int64)");
/** syscall(number, five arguments) */
const syscall: Call6 = libc.func("int64 syscall(int64, int64, int64, int64, int64, int64)");
const syscallOfSix: Call7 = libc.func("int64 syscall(int64, int64, int64, int64, int64, int64, int64)");
/** open(path, flags), never with O_CREAT */
export const open: Call2 = libc.func("int open(int64, int)");
export const openat: Call3 = libc.func("int openat(int, int64, int)");
export const close: Call1 = libc.func("int close(int)");
export const read: Call3 = libc.func("int64 read(int, int64, int64)");
export const write: Call3 = libc.func("int64 write(int, int64, int64)");
export const pread: Call4 = libc.func("int64 pread(int, int64, int64, int64)");
export const pwrite: Call4 = libc.func("int64 pwrite(int, int64, int64, int64)");
export const fdatasync: Call1 = libc.func("int fdatasync(int)");
/** readlinkat(directory, path, buffer, size) */
export const readlinkat: Call4 = libc.func("int64 readlinkat(int, int64, int64, int64)");
/** fcntl(fd, command, argument) */
export const fcntl: Call3 = libc.func("int fcntl(int, int, int64)");
/** flock(fd, operation) */
export const flock: Call2 = libc.func("int flock(int, int)");
/** ftruncate(fd, size) */
export const ftruncate: Call2 = libc.func("int ftruncate(int, int64)");
/** mmap(address, length, protection, flags, fd, offset); the address, or -1 */
export const mmap: Call6 = libc.func("int64 mmap(int64, int64, int, int, int, int64)");
/** madvise(address, length, advice) */
export const madvise: Call3 = libc.func("int madvise(int64, int64, int)");
export const munmap: Call2 = libc.func("int munmap(int64, int64)");
/** poll(pollfds, count, milliseconds) */
export const poll: Call3 = libc.func("int poll(int64, int64, int)");
/** pipe2(fds, flags): the reading end, then the writing end */
export const pipe: Call2 = libc.func("int pipe2(int64, int)");
/** epoll_create1(flags) */
export const epollCreate: Call1 = libc.func("int epoll_create1(int)");
/** epoll_ctl(epoll, operation, fd, event) */
export const epollCtl: Call4 = libc.func("int epoll_ctl(int, int, int, int64)");
/** epoll_wait(epoll, events, count, milliseconds) */
export const epollWait: Call4 = libc.func("int epoll_wait(int, int64, int, int)");
/** inotify_init1(flags) */
export const inotifyInit: Call1 = libc.func("int inotify_init1(int)");
/** inotify_add_watch(inotify, path, mask) */
export const inotifyAddWatch: Call3 = libc.func("int inotify_add_watch(int, int64, uint32)");
/** socket(domain, type, protocol) */
export const socket: Call3 = libc.func("int socket(int, int, int)");
/** connect(fd, address, length) */
export const connect: Call3 = libc.func("int connect(int, int64, uint32)");
/** sendmsg(fd, message, flags) */
export const sendmsg: Call3 = libc.func("int64 sendmsg(int, int64, int)");
/** recvmsg(fd, message, flags) */
export const recvmsg: Call3 = libc.func("int64 recvmsg(int, int64, int)");
/** socketpair(domain, type, protocol, fds) */
export const socketpair: Call4 = libc.func("int socketpair(int, int, int, int64)");
/** eventfd(count, flags) */
export const eventfd: Call2 = libc.func("int eventfd(uint32, int)");
export const prctl: Call5 = libc.func("int prctl(int, int64, int64, int64, int64)");
/** prlimit(pid, resource, newLimit, oldLimit) */
export const prlimit: Call4 = libc.func("int prlimit(int, int, int64, int64)");
/** waitid(idType, id, info, options) */
export const waitid: Call4 = libc.func("int waitid(int, int, int64, int)");
/** ptrace(request, thread, address, data). What reads words is declared otherwise in C, and isn't used here. */
export const ptrace: Call4 = libc.func("int64 ptrace(int64, int64, int64, int64)");
/** Sleeps some microseconds. */
export const usleep: Call1 = libc.func("int usleep(uint32)");
/** fallocate(fd, mode, offset, length) */
export const fallocate: Call4 = libc.func("int fallocate(int, int, int64, int64)");
/** fstatfs(fd, buffer) */
export const fstatfs: Call2 = libc.func("int fstatfs(int, int64)");
/** pthread_sigmask(how, set, oldSet): returns the errno instead of setting it */
export const pthreadSigmask: Call3 = libc.func("int pthread_sigmask(int, int64, int64)");
/** sigaction(signal, action, oldAction) */
export const sigaction: Call3 = libc.func("int sigaction(int, int64, int64)");
export const gettid = (): number => libc.func("int gettid()")();
/** mallopt(parameter, value). Other libraries than glibc don't have it. */
export const mallopt: Call2 = optional("int mallopt(int, int)");
/** Ends this process without waiting for its other threads. */
export const exitNow: Call1 = libc.func("void _exit(int)");

// Functions of <spawn.h>: posix_spawn(3). They return the errno instead of setting it.
export const posixSpawnp: Call6 = libc.func("int posix_spawnp(int64, int64, int64, int64, int64, int64)");
export const posixSpawnFileActionsInit: Call1 = libc.func("int posix_spawn_file_actions_init(int64)");
export const posixSpawnFileActionsAddclose: Call2 = libc.func("int posix_spawn_file_actions_addclose(int64, int)");
export const posixSpawnattrInit: Call1 = libc.func("int posix_spawnattr_init(int64)");
export const posixSpawnattrSetflags: Call2 = libc.func("int posix_spawnattr_setflags(int64, int16)");
export const posixSpawnattrSetsigdefault: Call2 = libc.func("int posix_spawnattr_setsigdefault(int64, int64)");
export const posixSpawnattrSetsigmask: Call2 = libc.func("int posix_spawnattr_setsigmask(int64, int64)");

/** kcmp(pid1, pid2, type, index1, index2): 0 when both share it */
export const kcmp: Call5 = (pid1, pid2, type, index1, index2) =>
	syscall(syscalls.kcmp, pid1, pid2, type, index1, index2);
/** seccomp(operation, flags, argument) */
export const seccomp: Call3 = (operation, flags, argument) =>
	syscall(syscalls.seccomp, operation, flags, argument, 0, 0);
export const memfdCreate: Call2 = (name, flags) => syscall(syscalls.memfdCreate, name, flags, 0, 0, 0);
/** statx(directory, path, flags, mask, buffer): unlike stat(2), its struct looks the same on every machine */
export const statx: Call5 = (directory, path, flags, mask, buffer) =>
	syscall(syscalls.statx, directory, path, flags, mask, buffer);
/** preadv2(fd, vector, count, position, flags) */
export const preadv2: Call5 = (fd, vector, count, position, flags) =>
	syscallOfSix(syscalls.preadv2, fd, vector, count, position, position, flags);
/** mknodat(directory, path, mode, device) */
export const mknodat: Call4 = (directory, path, mode, device) =>
	syscall(syscalls.mknodat, directory, path, mode, device, 0);
/** pidfd_open(pid, flags) */
export const pidfdOpen: Call2 = (pid, flags) => syscall(syscalls.pidfdOpen, pid, flags, 0, 0, 0);
/** pidfd_getfd(pidfd, fd, flags) */
export const pidfdGetfd: Call3 = (pidfd, fd, flags) => syscall(syscalls.pidfdGetfd, pidfd, fd, flags, 0, 0);

/** capget(header, data), capset(header, data): of the calling thread, as are those that follow */
export const capget: Call2 = (header, data) => syscall(syscalls.capget, header, data, 0, 0, 0);
export const capset: Call2 = (header, data) => syscall(syscalls.capset, header, data, 0, 0, 0);
/** setgroups(count, list) */
export const setgroups: Call2 = (count, list) => syscall(syscalls.setgroups, count, list, 0, 0, 0);
/** setfsuid(user): who it was before, whether it worked or not */
export const setfsuid: Call1 = (user) => syscall(syscalls.setfsuid, user, 0, 0, 0, 0);
export const setfsgid: Call1 = (group) => syscall(syscalls.setfsgid, group, 0, 0, 0, 0);
/** openat2(directory, path, how, size) */
export const openat2: Call4 = (directory, path, how, size) => syscall(syscalls.openat2, directory, path, how, size, 0);

/** tgkill(process, thread, signal) */
export const tgkill: Call3 = (process, thread, signal) => syscall(syscalls.tgkill, process, thread, signal, 0, 0);

/** What the last call that returned -1 (or NULL) failed with. Ask before anything else is called. */
export const errno: Call0 = koffi.errno;

/** `char **environ`, as this process got it. environ(7) */
export function environ(): number {
	return Number(koffi.decode(libc.symbol("environ"), "int64"));
}

/** Memory that mmap() gave, to be used until munmap(). */
export function viewOf(address: number, length: number): ArrayBuffer {
	return koffi.view(BigInt(address), length);
}

/** Where the C library has a function. dlsym(3) */
export function addressOfFunction(name: string): number {
	return libc.func("int64 dlsym(int64, str)")(0, name);
}

/** The numbers of signals and errors on this machine, by name. */
export const { signals, errno: errors } = constants;

/** A system call that should not have failed. */
export class SystemError extends Error {
	readonly errno: number;

	constructor(what: string, number: number) {
		super(`${what}: ${errorName(number)}`);
		this.name = "SystemError";
		this.errno = number;
	}
}

/** "EINVAL" for 22. */
export function errorName(number: number): string {
	try {
		return getSystemErrorName(-number);
	} catch {
		return `errno ${number}`;
	}
}

/** Passes a call's result on. @throws SystemError when it is -1 */
export function succeed(result: number, what: string): number {
	if (result === -1) throw new SystemError(what, errno());
	return result;
}

/**
 * A piece of memory that stays where it is, so that the kernel can be told its address. It is there as long as this object is referred to,
 * which to know its address doesn't do.
 */
export class NativeMemory {
	readonly bytes: Uint8Array;
	readonly words: Uint32Array;
	readonly address: number;

	/** @param size in bytes, a multiple of 4 */
	constructor(size: number) {
		this.bytes = new Uint8Array(new ArrayBuffer(size));
		this.words = new Uint32Array(this.bytes.buffer);
		this.address = addressOf(this.bytes);
	}

	/** Writes a u64 at word `at`: an address, a length, an offset. */
	setU64(at: number, value: number): void {
		this.words[at] = value;
		this.words[at + 1] = value / 2 ** 32;
	}

	/** The u64 at word `at`: exact below 2^53, where every address, length and offset that exists is. */
	u64(at: number): number {
		return this.words[at] + this.words[at + 1] * 2 ** 32;
	}

	/** Puts a string there with a NUL after it. @returns its address */
	setString(text: string, at = 0): number {
		const { written } = encoder.encodeInto(text, this.bytes.subarray(at, this.bytes.length - 1));
		this.bytes[at + written] = 0;
		return this.address + at;
	}
}

/** A function that does nothing where the library doesn't have it. */
function optional(declaration: string): Call2 {
	try {
		return libc.func(declaration);
	} catch {
		return () => 0;
	}
}

const encoder = new TextEncoder();

/** Where the bytes of an array are. They don't move as long as the array is referred to. */
export function addressOf(bytes: Uint8Array): number {
	return Number(koffi.address(bytes));
}
