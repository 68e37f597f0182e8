// The calls that name a file: open(2), stat(2), access(2), readlink(2) and their kin. Those about a file of the machine are
// answered here, all others are the kernel's.

import { constants } from "node:fs";
import { posix } from "node:path";
import { Errno } from "../../uapi/errno.js";
import { errno, errors, NativeMemory, statx } from "../linux/libc.js";
import {
	AT_EACCESS,
	AT_EMPTY_PATH,
	AT_FDCWD,
	AT_STATX_DONT_SYNC,
	AT_SYMLINK_NOFOLLOW,
	STATX_BYTES,
	Stat,
} from "../linux/stat.js";
import { syscalls } from "../linux/syscalls.js";
import { readRemote, writeRemote } from "../memory/remote.js";
import { sayOnStderr } from "../say.js";
import type { Notification } from "../trap/seccomp.js";
import { Opens, type PathServices } from "./opens.js";
import { type Found, type FoundNode, type Opener, Paths, readPath } from "./paths.js";
import { ANY_ACCESS, permits } from "./permissions.js";
import { DEVICE_MODE, type Shadow } from "./shadow.js";

const { O_CREAT, O_NOFOLLOW } = constants;
// struct open_how of openat2(2), in words: flags, mode and resolve, u64 each.
const OPEN_HOW_BYTES = 24;
const OPEN_HOW_FLAGS = 0;
const OPEN_HOW_MODE = 2;
const OPEN_HOW_RESOLVE = 4;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
/** RESOLVE_CACHED is the last. */
const RESOLVE_ALL = 0x3f;

const { ENODATA } = errors;

/** Those that faccessat2(2) knows. */
const ACCESS_FLAGS = AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;

// struct statfs, in words; the same on both machines. <asm-generic/statfs.h>, <linux/magic.h>
const STATFS_BYTES = 120;
const STATFS_TYPE = 0;
const STATFS_BLOCK_SIZE = 2;
const STATFS_NAME_LENGTH = 16;
const STATFS_FRAGMENT_SIZE = 18;
const SYSFS_MAGIC = 0x62656572;
const TMPFS_MAGIC = 0x01021994; // devtmpfs has it, too

/** Another way to the same as userfaultfd(2). */
const USERFAULTFD = "/dev/userfaultfd";

const openHow = new NativeMemory(OPEN_HOW_BYTES);
const name = new NativeMemory(2 * 4096);
const stat = new Stat();
const statfs = new NativeMemory(STATFS_BYTES);

export class PathCalls {
	readonly #services: PathServices;
	readonly #notification: Notification;
	readonly #shadow: Shadow;
	readonly #opens: Opens;
	readonly #paths: Paths;
	#hasComplained = false;

	constructor(services: PathServices) {
		const { served, notification, shadow } = services;
		this.#services = services;
		this.#notification = notification;
		this.#shadow = shadow;
		this.#opens = new Opens(services);
		this.#paths = new Paths(
			() => served.paths,
			() => served.files,
			shadow,
			this.#opens.patterns,
		);
	}

	/** Answers the call that a thread is stopped at. @returns whether it is one of those that name a file */
	answer(): boolean {
		try {
			this.#services.files.settleStored();
			return this.#dispatch();
		} catch (error) {
			if (!(error instanceof Errno)) throw error;
			this.#notification.fail(error.number);
			this.#complain(error.reason);
			return true;
		}
	}

	/** Of what has gone wrong with us, not with the program. */
	#complain(reason: string): void {
		if (this.#hasComplained) return;
		this.#hasComplained = true;
		sayOnStderr(`ioasis: ${reason}`);
	}

	#dispatch(): boolean {
		const notification = this.#notification;
		switch (notification.syscall) {
			case syscalls.fstat:
				this.#statFd(notification.int(0), notification.u64(1));
				break;
			case syscalls.newfstatat:
				this.#statAt(notification.int(0), notification.u64(1), notification.u64(2), notification.u32(3));
				break;
			case syscalls.stat:
				this.#statAt(AT_FDCWD, notification.u64(0), notification.u64(1), 0);
				break;
			case syscalls.lstat:
				this.#statAt(AT_FDCWD, notification.u64(0), notification.u64(1), AT_SYMLINK_NOFOLLOW);
				break;
			case syscalls.statx:
				this.#statx();
				break;
			case syscalls.openat:
				this.#open(notification.int(0), notification.u64(1), notification.u32(2), 0);
				break;
			case syscalls.open:
				this.#open(AT_FDCWD, notification.u64(0), notification.u32(1), 0);
				break;
			case syscalls.openat2:
				this.#openat2();
				break;
			case syscalls.access:
				this.#access(AT_FDCWD, notification.u64(0), notification.u32(1), 0);
				break;
			case syscalls.faccessat:
				this.#access(notification.int(0), notification.u64(1), notification.u32(2), 0);
				break;
			case syscalls.faccessat2:
				this.#access(notification.int(0), notification.u64(1), notification.u32(2), notification.u32(3));
				break;
			case syscalls.readlink:
				this.#readlink(AT_FDCWD, notification.u64(0), notification.u64(1), notification.int(2));
				break;
			case syscalls.readlinkat:
				this.#readlink(notification.int(0), notification.u64(1), notification.u64(2), notification.int(3));
				break;
			case syscalls.getxattr:
				this.#getxattr(true);
				break;
			case syscalls.lgetxattr:
				this.#getxattr(false);
				break;
			case syscalls.listxattr:
				this.#listxattr(true);
				break;
			case syscalls.llistxattr:
				this.#listxattr(false);
				break;
			case syscalls.statfs:
				this.#statfs();
				break;
			case syscalls.fstatfs:
				this.#fstatfs();
				break;
			default:
				return false;
		}
		return true;
	}

	// --- open(2) ---

	/** openat2(2): directory, path, struct open_how, its size. */
	#openat2(): void {
		const notification = this.#notification;
		const { words, address } = openHow;
		const isThere =
			notification.u64(3) >= OPEN_HOW_BYTES &&
			readRemote(notification.thread, notification.u64(2), address, OPEN_HOW_BYTES) === OPEN_HOW_BYTES;
		const [flags, resolve] = [words[OPEN_HOW_FLAGS], words[OPEN_HOW_RESOLVE]];
		// What is wrong in itself the kernel refuses, before it looks at the path.
		const isWrong =
			words[OPEN_HOW_FLAGS + 1] !== 0 ||
			words[OPEN_HOW_RESOLVE + 1] !== 0 ||
			(resolve & ~RESOLVE_ALL) !== 0 ||
			((flags & O_CREAT) === 0 && words[OPEN_HOW_MODE] !== 0);
		if (isThere && !isWrong) this.#open(notification.int(0), notification.u64(1), flags, resolve);
		else notification.proceed();
	}

	#open(directory: number, pathAddress: number, flags: number, resolve: number): void {
		const followsLinks = (flags & O_NOFOLLOW) === 0 && (resolve & RESOLVE_NO_SYMLINKS) === 0;
		const staysBelow = (resolve & RESOLVE_IN_ROOT) !== 0;
		const { thread } = this.#notification;
		let path = readPath(thread, pathAddress);
		if (path === USERFAULTFD) this.#services.processes.memoryMayBeFilled(thread);
		if (path !== undefined && resolve & RESOLVE_BENEATH && leadsOut(path)) path = undefined;
		if (path !== undefined && this.#opens.openSetting({ thread, directory, followsLinks, staysBelow }, path, flags))
			return;
		const found = path === undefined ? undefined : this.#findPath(directory, path, followsLinks, staysBelow);
		if (found === undefined) this.#notification.proceed();
		else this.#opens.open(found, flags);
	}

	// --- stat(2) ---

	#statAt(directory: number, pathAddress: number, into: number, flags: number): void {
		if (this.#stat(directory, pathAddress, flags, Stat.MASK)) this.#writeOldStat(into);
	}

	/** statx(2): directory, path, flags, mask, where to. */
	#statx(): void {
		const notification = this.#notification;
		const mask = notification.u32(3);
		if (this.#stat(notification.int(0), notification.u64(1), notification.u32(2), mask))
			this.#write(notification.u64(4), stat.address, STATX_BYTES);
	}

	#statFd(fd: number, into: number): void {
		const path = this.#deviceBehind(fd);
		if (path === undefined) this.#notification.proceed();
		else if (this.#statDevice(path, 0, Stat.MASK)) this.#writeOldStat(into);
	}

	/** @returns whether `stat` has the answer; if not, the call has been answered */
	#stat(directory: number, pathAddress: number, flags: number, mask: number): boolean {
		const isEmptyAllowed = (flags & AT_EMPTY_PATH) !== 0;
		const path = pathAddress === 0 && isEmptyAllowed ? "" : readPath(this.#notification.thread, pathAddress);
		if (path === "" && isEmptyAllowed) {
			const device = directory === AT_FDCWD ? undefined : this.#deviceBehind(directory);
			if (device !== undefined) return this.#statDevice(device, flags, mask);
			this.#notification.proceed();
			return false;
		}
		const found = path === undefined ? undefined : this.#findPath(directory, path, (flags & AT_SYMLINK_NOFOLLOW) === 0);
		if (found?.kind === "node") return this.#statNode(found, flags, mask);
		this.#refuse(found);
		return false;
	}

	#statDevice(path: string, flags: number, mask: number): boolean {
		const { node } = this.#services.served.files.walk(path, true);
		if (node?.kind === "device") return this.#statNode({ kind: "node", path, node }, flags, mask);
		this.#notification.proceed();
		return false;
	}

	/** Links are followed by now; what else is in the flags, and whether it may be, is for the kernel to know. */
	#statNode(found: FoundNode, flags: number, mask: number): boolean {
		const { node } = found;
		const real = name.setString(this.#realPath(found));
		if (statx(AT_FDCWD, real, flags | AT_SYMLINK_NOFOLLOW, mask, stat.address) === -1) {
			this.#notification.fail(errno());
			return false;
		}
		if (node.kind === "device") stat.beDevice(node.major, node.minor, DEVICE_MODE);
		return true;
	}

	/** The path of the device that an fd of the stopped thread is open on. */
	#deviceBehind(fd: number): string | undefined {
		const { files } = this.#services;
		// Nearly always: no device is open, and nothing of the tree.
		if ((files.count === 0 && !this.#shadow.isMade) || fd < 0) return undefined;
		const path = name.setString(`/proc/${this.#notification.thread}/fd/${fd}`);
		if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, Stat.MASK, stat.address) === -1) return undefined;
		return files.withStat(stat)?.file.path ?? this.#shadow.deviceAt(stat);
	}

	#writeOldStat(into: number): void {
		const { address, bytes } = stat.asOldStruct();
		this.#write(into, address, bytes.length);
	}

	#write(into: number, from: number, length: number): void {
		if (writeRemote(this.#notification.thread, into, from, length) === length) this.#notification.succeed(0);
		else this.#notification.fail(errors.EFAULT);
	}

	// --- access(2) ---

	#access(directory: number, pathAddress: number, mask: number, flags: number): void {
		if (mask & ~ANY_ACCESS || flags & ~ACCESS_FLAGS) {
			this.#notification.proceed();
			return;
		}
		const found = this.#find(directory, pathAddress, (flags & AT_SYMLINK_NOFOLLOW) === 0);
		if (found?.kind !== "node") this.#refuse(found);
		else if (permits(this.#notification.thread, found.node, mask, (flags & AT_EACCESS) === 0))
			this.#notification.succeed(0);
		else this.#notification.fail(errors.EACCES);
	}

	// --- readlink(2) ---

	#readlink(directory: number, pathAddress: number, into: number, size: number): void {
		const { thread } = this.#notification;
		const path = readPath(thread, pathAddress);
		if (path === undefined || path === "") {
			this.#notification.proceed();
			return;
		}
		const found = this.#findPath(directory, path, false);
		if (found?.kind === "node") {
			if (found.node.kind === "link" && size > 0) this.#answerLink(found.node.target, into, size);
			else this.#notification.fail(errors.EINVAL);
			return;
		}
		const opener = { thread, directory, followsLinks: false, staysBelow: false };
		const target = found === undefined ? this.#paths.linkInProc(opener, path) : undefined;
		if (target === undefined || size <= 0) this.#refuse(found);
		else this.#answerLink(target, into, size);
	}

	#answerLink(target: string, into: number, size: number): void {
		const address = name.setString(target);
		const length = Math.min(Buffer.byteLength(target), size);
		if (writeRemote(this.#notification.thread, into, address, length) === length) this.#notification.succeed(length);
		else this.#notification.fail(errors.EFAULT);
	}

	// --- getxattr(2) ---

	/** Files in /sys and /dev have no extended attributes. ls(1) asks for them. */
	#getxattr(followsLinks: boolean): void {
		const found = this.#find(AT_FDCWD, this.#notification.u64(0), followsLinks);
		if (found?.kind === "node") this.#notification.fail(ENODATA);
		else this.#refuse(found);
	}

	#listxattr(followsLinks: boolean): void {
		const found = this.#find(AT_FDCWD, this.#notification.u64(0), followsLinks);
		if (found?.kind === "node") this.#notification.succeed(0);
		else this.#refuse(found);
	}

	// --- statfs(2) ---

	/** Who asks wants to know whether /sys is what it seems to be. */
	#statfs(): void {
		const notification = this.#notification;
		const found = this.#find(AT_FDCWD, notification.u64(0), true);
		if (found?.kind === "node") this.#answerFileSystem(found.path, notification.u64(1));
		else this.#refuse(found);
	}

	#fstatfs(): void {
		const notification = this.#notification;
		const { files } = this.#services;
		const isAny = files.count > 0 || this.#shadow.isMade;
		const path = isAny ? this.#paths.nameOfFd(notification.thread, notification.int(0)) : undefined;
		if (path === undefined || this.#services.served.files.walk(path, true).node === undefined) notification.proceed();
		else this.#answerFileSystem(path, notification.u64(1));
	}

	#answerFileSystem(path: string, into: number): void {
		const isSysfs = path === "/sys" || path.startsWith("/sys/");
		statfs.words.fill(0);
		statfs.setU64(STATFS_TYPE, isSysfs ? SYSFS_MAGIC : TMPFS_MAGIC);
		statfs.setU64(STATFS_BLOCK_SIZE, 4096);
		statfs.setU64(STATFS_NAME_LENGTH, 255);
		statfs.setU64(STATFS_FRAGMENT_SIZE, 4096);
		this.#write(into, statfs.address, statfs.bytes.length);
	}

	// --- All ---

	#realPath({ path }: FoundNode): string {
		this.#shadow.make();
		return this.#shadow.realPath(path);
	}

	#find(directory: number, address: number, followsLinks: boolean, staysBelow = false): Found | undefined {
		const path = readPath(this.#notification.thread, address);
		return path === undefined ? undefined : this.#findPath(directory, path, followsLinks, staysBelow);
	}

	#findPath(directory: number, path: string, followsLinks: boolean, staysBelow = false): Found | undefined {
		if (path === "") return undefined;
		const opener: Opener = { thread: this.#notification.thread, directory, followsLinks, staysBelow };
		return this.#paths.find(opener, path);
	}

	/** What isn't there. Of what we don't know the kernel says it. */
	#refuse(found: Found | undefined): void {
		if (found?.kind === "missing") this.#notification.fail(errors[found.problem]);
		else this.#notification.proceed();
	}
}

/** Whether a path doesn't stay below the directory that it starts from, as far as it shows. */
function leadsOut(path: string): boolean {
	return path.startsWith("/") || posix.normalize(path).startsWith("..");
}
