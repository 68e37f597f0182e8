// The system calls that the clients in the tests of this room make: programs on Node, which know nothing of Ioasis. A call
// that fails returns the negative errno.

import { type ChildProcess, type StdioOptions, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	constants,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	writeFileSync as writeFile,
} from "node:fs";
import { Worker } from "node:worker_threads";
import koffi from "koffi";
import { ANSWERED, ASK, ASK_BYTES, COUNT, type Question } from "./questions.testing.js";

const libc = koffi.load(null);

/** Makes a function of libc return the negative errno instead of -1. */
function call<A extends unknown[]>(declaration: string): (...parameters: A) => number {
	const native = libc.func(declaration);
	return (...parameters) => {
		const result = Number(native(...parameters));
		return result === -1 ? -koffi.errno() : result;
	};
}

export const open = call<[path: string, flags: number]>("int open(str, int)");
export const openat = call<[directory: number, path: string, flags: number]>("int openat(int, str, int)");
/** open(2) of the path that is at an address, for reading. */
export const openAt = (path: number): number => openBytes(path, O_RDWR);
const openBytes = call<[path: number, flags: number]>("int open(int64, int)");
export function openat2(directory: number, path: string, flags: number, resolve: number): number {
	const how = new Uint8Array(new BigUint64Array([BigInt(flags), 0n, BigInt(resolve)]).buffer);
	const bytes = Buffer.from(`${path}\0`);
	return syscall(437, directory, addressOf(bytes), addressOf(how), how.length);
}
export const access = call<[path: string, mode: number]>("int access(str, int)");
const readlinkOf = call<[path: string, into: Uint8Array, size: number]>("int64 readlink(str, void*, int64)");
/** readlink(2): what it leads to, or the negative errno. */
export function readlink(path: string): string | number {
	const bytes = new Uint8Array(new ArrayBuffer(4096));
	const length = readlinkOf(path, bytes, bytes.length);
	return length < 0 ? length : Buffer.from(bytes).toString("latin1", 0, length);
}
export const mkdir = call<[path: string, mode: number]>("int mkdir(str, uint)");
export const symlink = call<[target: string, path: string]>("int symlink(str, str)");
export const close = call<[fd: number]>("int close(int)");
export const dup = call<[fd: number]>("int dup(int)");
export const dup2 = call<[fd: number, to: number]>("int dup2(int, int)");
export const fcntl = call<[fd: number, command: number, argument: number]>("int fcntl(int, int, int64)");
export const ioctl = call<[fd: number, command: number, argument: number]>("int ioctl(int, ulong, int64)");
export const read = call<[fd: number, into: Uint8Array, length: number]>("int64 read(int, void*, int64)");
export const write = call<[fd: number, from: Uint8Array, length: number]>("int64 write(int, void*, int64)");
export const readAt = call<[fd: number, into: number, length: number]>("int64 read(int, int64, int64)");
export const readv = call<[fd: number, vector: BigUint64Array, count: number]>("int64 readv(int, void*, int)");
export const writev = call<[fd: number, vector: BigUint64Array, count: number]>("int64 writev(int, void*, int)");
export const pread = call<[fd: number, into: Uint8Array, length: number, position: number]>(
	"int64 pread(int, void*, int64, int64)",
);
export const pwrite = call<[fd: number, from: Uint8Array, length: number, position: number]>(
	"int64 pwrite(int, void*, int64, int64)",
);
export const preadv = call<[fd: number, vector: BigUint64Array, count: number, position: number]>(
	"int64 preadv(int, void*, int, int64)",
);
type VectorCall = [fd: number, vector: BigUint64Array, count: number, position: number, flags: number];
export const preadv2 = call<VectorCall>("int64 preadv2(int, void*, int, int64, int)");
export const pwritev2 = call<VectorCall>("int64 pwritev2(int, void*, int, int64, int)");
export const eventfd = call<[count: number, flags: number]>("int eventfd(uint, int)");
const pollAll = call<[fds: Uint8Array, count: number, milliseconds: number]>("int poll(void*, ulong, int)");
/** What poll(2) says of an fd now. */
export function poll(fd: number): number {
	const pollfd = new Int32Array([fd, 0x7fff, 0]);
	const bytes = new Uint8Array(pollfd.buffer);
	bytes[6] = 0;
	pollAll(bytes, 1, 0);
	return bytes[6] & (POLLIN | POLLOUT | POLLERR | POLLHUP);
}
export const ftruncate = call<[fd: number, size: number]>("int ftruncate(int, int64)");
export const memfdCreate = call<[name: string, flags: number]>("int memfd_create(str, uint)");
export const munmap = call<[address: number, length: number]>("int munmap(int64, int64)");
export const mlock = call<[address: number, length: number]>("int mlock(int64, int64)");
export const mprotect = call<[address: number, length: number, protection: number]>("int mprotect(int64, int64, int)");
/** Of this thread alone: the library's function changes all threads. */
export const setresuid = (real: number, effective: number, saved: number): number =>
	syscall(process.arch === "x64" ? 117 : 147, real, effective, saved);
export const chdir = call<[path: string]>("int chdir(str)");
export const chroot = call<[path: string]>("int chroot(str)");
/** Ends the process at once, whatever its threads do. */
export const exitNow = call<[code: number]>("void _exit(int)");
export const unshare = call<[flags: number]>("int unshare(int)");
export const gettid = call<[]>("int gettid()");
const syscall4 = call<number[]>("int64 syscall(int64, int64, int64, int64, int64)");
/** A system call that the library has no function for. */
export const syscall = (number: number, a = 0, b = 0, c = 0, d = 0): number => syscall4(number, a, b, c, d);
export const mmapAt = call<[at: number, length: number, protection: number, flags: number, fd: number, offset: number]>(
	"int64 mmap(int64, int64, int, int, int, int64)",
);
export const socketpair = call<[family: number, type: number, protocol: number, fds: Int32Array]>(
	"int socketpair(int, int, int, _Inout_ int*)",
);
const sendmsg = call<[socket: number, message: Uint8Array, flags: number]>("int64 sendmsg(int, void*, int)");
const recvmsg = call<[socket: number, message: Uint8Array, flags: number]>("int64 recvmsg(int, void*, int)");
/** Replaces this program by another, without arguments. */
export const exec = (path: string): number => execv(path, [path, null]);
const execv = call<[path: string, words: (string | null)[]]>("int execv(str, str*)");
const setitimer = call<[which: number, value: BigInt64Array, old: null]>("int setitimer(int, void*, void*)");
const prlimit = call<[pid: number, resource: number, limit: Uint8Array, old: null]>(
	"int prlimit(int, int, void*, void*)",
);

export const O_RDONLY = 0;
export const O_RDWR = 2;
export const { O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW } = constants;
export const O_CLOEXEC = 0o2000000;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_ANONYMOUS = 0x20;
export const MAP_FIXED = 0x10;
export const AT_FDCWD = -100;

/** Asks the fake machine. @returns the answer, or the negative errno */
export function ask<Answer>(fd: number, question: Question): Answer {
	const bytes = new Uint8Array(new ArrayBuffer(ASK_BYTES));
	const text = Buffer.from(JSON.stringify(question));
	new DataView(bytes.buffer).setUint32(0, text.length, true);
	bytes.set(text, 4);
	const result = ioctl(fd, ASK, addressOf(bytes));
	if (result !== ANSWERED) return result as Answer;
	const length = new DataView(bytes.buffer).getUint32(0, true);
	return JSON.parse(Buffer.from(bytes.buffer, 4, length).toString()) as Answer;
}

/** Makes the ioctl that counts. @param at where its struct is */
export function count(fd: number, at: number): number {
	return ioctl(fd, COUNT, at);
}

export function addressOf(bytes: Uint8Array): number {
	return Number(koffi.address(bytes));
}

export function mmap(length: number, protection: number, flags: number, fd = -1, offset = 0): number {
	return mmapAt(0, length, protection, flags, fd, offset);
}

/** Bytes of memory that mmap() gave. */
export function memoryAt(address: number, length: number): Buffer {
	return Buffer.from(koffi.view(BigInt(address), length));
}

export function setSoftLimit(resource: number, soft: number, hard: number): number {
	const limit = new Uint8Array(16);
	new DataView(limit.buffer).setBigUint64(0, BigInt(soft), true);
	new DataView(limit.buffer).setBigUint64(8, BigInt(hard), true);
	return prlimit(0, resource, limit, null);
}

// struct msghdr with one byte of data and one fd. unix(7), cmsg(3)
function message(): { header: Uint8Array; control: Uint8Array; keep: unknown } {
	const data = new Uint8Array(1);
	const vector = new BigUint64Array([BigInt(addressOf(data)), 1n]);
	const control = new Uint8Array(24);
	const header = new BigUint64Array(7);
	header[2] = BigInt(addressOf(new Uint8Array(vector.buffer)));
	header[3] = 1n;
	header[4] = BigInt(addressOf(control));
	header[5] = BigInt(control.length);
	return { header: new Uint8Array(header.buffer), control, keep: [data, vector] };
}

export function sendFd(socket: number, fd: number): number {
	const { header, control, keep } = message();
	const view = new DataView(control.buffer);
	view.setBigUint64(0, 20n, true); // cmsg_len
	view.setInt32(8, 1, true); // SOL_SOCKET
	view.setInt32(12, 1, true); // SCM_RIGHTS
	view.setInt32(16, fd, true);
	const result = sendmsg(socket, header, 0);
	return keep ? result : 0;
}

export function receiveFd(socket: number): number {
	const { header, control, keep } = message();
	const result = recvmsg(socket, header, 0);
	return keep && result < 0 ? result : new DataView(control.buffer).getInt32(16, true);
}

/** A page that is missing until it is filled, for whoever touches it. userfaultfd(2), x86-64 */
export function missingPage(): { uffd: number; address: number; fill(from: number): void } {
	const uffd = syscall(323, 0o4000);
	const address = mmap(4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	/** Structs of u64. */
	const control = (command: number, ...values: (number | bigint)[]): void => {
		const words = BigUint64Array.from(values, BigInt);
		if (ioctl(uffd, command, addressOf(new Uint8Array(words.buffer))) !== 0) throw new Error("userfaultfd(2)");
	};
	control(0xc018aa3f, 0xaa, 0, 0);
	control(0xc020aa00, address, 4096, 1, 0);
	return { uffd, address, fill: (from) => control(0xc028aa03, address, from, 4096, 0, 0) };
}

/** SIGALRM every so many microseconds, until 0. setitimer(2) */
export function setTimer(microseconds: number): void {
	setitimer(0, new BigInt64Array([0n, BigInt(microseconds), 0n, BigInt(microseconds)]), null);
}

/** Starts a program with Node. @returns with it how it will have ended */
export function start(parameters: string[]): { child: ChildProcess; ended: Promise<number | NodeJS.Signals> } {
	const child = spawn(process.execPath, parameters, { stdio: ["ignore", "ignore", "inherit"] });
	return { child, ended: once(child, "exit").then(([code, signal]) => code ?? signal) };
}

/** Starts a program with Node and kills it after some milliseconds. */
export async function killedAfter(milliseconds: number, parameters: string[]): Promise<NodeJS.Signals | null> {
	const child = spawn(process.execPath, parameters, { stdio: "inherit" });
	setTimeout(() => child.kill("SIGKILL"), milliseconds);
	const [, signal] = await once(child, "exit");
	return signal;
}

/** An fd for a file on a disk that has no name any more. */
export function temporaryFile(size: number): number {
	const directory = mkdtempSync("/var/tmp/ioasis-test-");
	const fd = openSync(`${directory}/file`, "w+");
	ftruncate(fd, size);
	rmSync(directory, { recursive: true });
	return fd;
}

/** Does something with a directory that is there only for that. */
export function inDirectory<R>(action: (directory: string) => R): R {
	const directory = mkdtempSync("/var/tmp/ioasis-test-");
	try {
		return action(directory);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

export { readdirSync, readFileSync, spawnSync, writeFile };
export const readText = (fd: number): string => readFileSync(fd, "utf8");

/** How many fds the supervisor, our parent, has for files whose path contains a text. */
export function supervisorsFds(text: string): number {
	const directory = `/proc/${process.ppid}/fd`;
	const links = readdirSync(directory).map((fd) => {
		try {
			return readlinkSync(`${directory}/${fd}`);
		} catch {
			return "";
		}
	});
	return links.filter((link) => link.includes(text)).length;
}

/** What a client runs: it sees nothing but its parameters. */
export type Body<I, R> = (client: typeof import("./client.testing.js"), input: I) => R | Promise<R>;

/** Another process, which runs a function of its own: forked, then replaced. It inherits the fds in `stdio`. */
export function inChild<R, I = null>(
	body: Body<I, R>,
	input: I = null as I,
	stdio: StdioOptions = ["ignore", "pipe", "inherit"],
): R {
	const { stdout, status, signal } = spawnSync(process.execPath, commandFor(body, input), { stdio, encoding: "utf8" });
	if (status !== 0) throw new Error(`the child ended with ${status ?? signal}`);
	return JSON.parse(stdout) as R;
}

/** Starts a program that has our stdout and stderr, and that nobody waits for. */
export function inBackground(program: string, ...words: string[]): void {
	spawn(program, words, { stdio: ["ignore", "inherit", "inherit"], detached: true }).unref();
}

/** Another thread of this process, which does the same. */
export function inThread<R, I = null>(body: Body<I, R>, input: I = null as I): Promise<R> {
	const code = `${programFor(body, input)} (await import("node:worker_threads")).parentPort.postMessage(result);`;
	const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
	return new Promise((resolve, reject) => worker.on("message", resolve).on("error", reject));
}

/** Replaces this program by one that runs a function: execve(2). */
export function becomeProgram<R, I = null>(body: Body<I, R>, input: I = null as I): never {
	const F_SETFD = 2;
	for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0); // Node has made them close-on-exec.
	execv(process.execPath, [process.execPath, ...commandFor(body, input), null]);
	throw new Error("execv failed");
}

/** The arguments with which Node runs a function and prints what it returns. */
export function commandFor<I>(body: Body<I, unknown>, input: I): string[] {
	return ["--input-type=module", "-e", `${programFor(body, input)} console.log(JSON.stringify(result));`];
}

function programFor<I>(body: Body<I, unknown>, input: I): string {
	return `
		import * as client from ${JSON.stringify(import.meta.url)};
		const body = ${body.toString()};
		const result = (await body(client, ${JSON.stringify(input)})) ?? null;`;
}
