// The loop that answers: receives one stopped system call after the other, and lets the engine, or the kernel, do it.
//
// It never yields while the program runs, because a call that waits for an event loop waits ten times as long. So whatever it
// calls is synchronous, and the thread that it runs in does nothing else.

import { constants } from "node:fs";
import { withFaults } from "../faults/faults.js";
import type { OpenFile } from "../iommufd/caller.js";
import type { AddressSpace } from "../memory/address-space.js";
import type { TransferEvent } from "../trace/event.js";
import { Errno } from "../uapi/errno.js";
import { outOfFds } from "./descriptors.js";
import { Events } from "./events.js";
import { FaultInjection } from "./fault-injection.js";
import { DEBUGFS } from "./fault-settings.js";
import { HandedFiles, isMappable, notInstalled } from "./files.js";
import { FAREWELL } from "./filter.js";
import { O_CLOEXEC, O_PATH } from "./flags.js";
import { reportInternalError } from "./internal-error.js";
import { close, errno, errors, NativeMemory, SystemError } from "./libc.js";
import { canonicalPath, FAIL_NTH_PATH, type Opener, Paths, readPath, STATUS_PATH } from "./paths.js";
import { inodeOf } from "./proc.js";
import { type MemoryCounts, openStatus } from "./process-status.js";
import { Processes } from "./processes.js";
import { callAtPosition, callOnQueue } from "./queue-calls.js";
import { isPositioned, isQueue } from "./queues.js";
import { readRemote } from "./remote.js";
import { Notification } from "./seccomp.js";
import { SharedFiles } from "./shared-files.js";
import { AT_FDCWD } from "./stat.js";
import { syscalls } from "./syscalls.js";
import type { Thread } from "./thread.js";

/** The machine, as the supervisor needs it. */
export interface Served {
	readonly paths: readonly string[];
	/** A new file for a path that it serves. @throws Errno */
	open(path: string): OpenFile | undefined;
	/** What is pinned of some memory, in pages, for who looks into /proc. */
	counts(memory: AddressSpace): MemoryCounts;
}

/** Who wants to know of each call. */
export interface Tracer {
	/** Does the ioctl as OpenFile.ioctl() would, and tells of it. */
	ioctl(file: OpenFile, thread: Thread, fd: number, command: number, argument: number): number;
	/** @param result the fd, or why there is none */
	opened(thread: number, path: string, flags: number, result: number | Errno): void;
	transferred(event: TransferEvent): void;
}

/** Who makes a call, on which file. */
interface Caught {
	readonly thread: Thread;
	readonly file: OpenFile;
}

/** What happened, for the summary at the end. */
export interface Tally {
	/** Opens of our paths, and ioctls, reads, writes and shared mappings of our files. */
	calls: number;
	/** How often each errno was the answer. */
	readonly errors: Map<string, number>;
}

const { O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW } = constants;
const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;
// struct open_how of openat2(2), in words: flags, mode and resolve, u64 each.
const OPEN_HOW_BYTES = 24;
const OPEN_HOW_FLAGS = 0;
const OPEN_HOW_RESOLVE = 4;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_IN_ROOT = 0x10;

/** How long we wait at the end for a file to be closed, in milliseconds. */
const PATIENCE = 500;
/** What is closed or unused is looked after at every open and, for those who never open another, now and then. */
const CALLS_BETWEEN_SETTLING = 256;

const NOTHING: MemoryCounts = { pinned: 0, locked: 0 };

const transferNames: ReadonlyMap<number, string> = new Map([
	[syscalls.read, "read"],
	[syscalls.write, "write"],
	[syscalls.readv, "readv"],
	[syscalls.writev, "writev"],
	[syscalls.pread64, "pread64"],
	[syscalls.pwrite64, "pwrite64"],
]);

const openHow = new NativeMemory(OPEN_HOW_BYTES);

export class Supervisor {
	readonly tally: Tally = { calls: 0, errors: new Map() };
	readonly #served: Served;
	readonly #tracer: Tracer | undefined;
	readonly #launcher: number;
	readonly #notification: Notification;
	readonly #events = new Events();
	readonly #files = new HandedFiles(this.#events);
	readonly #sharedFiles = new SharedFiles();
	readonly #processes: Processes;
	readonly #paths: Paths;
	readonly #faults: FaultInjection;
	#callsSinceSettling = 0;
	/** Whether something was closed, or has ended, that may have been the last user of shared memory. */
	#mayBeUnused = false;
	#ended = false;

	/**
	 * @param listener where the notifications come from
	 * @param launcher the thread that will say FAREWELL
	 */
	constructor(
		served: Served,
		listener: number,
		launcher: number,
		tracer?: Tracer,
		faults = new FaultInjection(false, undefined),
	) {
		this.#served = served;
		this.#tracer = tracer;
		this.#launcher = launcher;
		this.#notification = new Notification(listener);
		this.#paths = new Paths(served.paths);
		this.#faults = faults;
		this.#processes = new Processes(
			{ notification: this.#notification, files: this.#files, sharedFiles: this.#sharedFiles },
			this.#events,
		);
	}

	/** Answers until the launcher says that nobody is left. */
	run(): void {
		while (!this.#ended) {
			if (this.#notification.receive()) this.#answer();
			// One who asked may be killed before we look (ENOENT), or a signal may come.
			else if (errno() !== errors.ENOENT && errno() !== errors.EINTR) throw new SystemError("seccomp", errno());
			if (this.#mayBeUnused) this.#sharedFiles.closeUnused();
			this.#mayBeUnused = false;
		}
	}

	/** Releases what is left when everybody is gone. @returns the paths of files that somebody else still has */
	finish(): string[] {
		// A file that was on its way through a socket when that was closed is let go of in the background.
		const deadline = performance.now() + PATIENCE;
		for (this.settle(); this.#files.count > 0 && performance.now() < deadline; this.settle())
			this.#files.wait(deadline - performance.now());
		this.#faults.settings.remove();
		return this.#files.abandon().map((file) => file.path);
	}

	/**
	 * Looks after files that were closed. The engine may ask for it before it refuses something for their sake.
	 * @param mappingsToo looks after what was unmapped, too
	 */
	settle(mappingsToo = false): void {
		this.#callsSinceSettling = 0;
		const before = this.#files.count;
		this.#files.settle();
		if (mappingsToo) this.#files.settleMappings();
		this.#events.settle();
		if (this.#files.count < before) this.#mayBeUnused = true;
	}

	#answer(hasMadeRoom = false): void {
		const notification = this.#notification;
		try {
			this.#dispatch();
		} catch (error) {
			if (error !== outOfFds) {
				reportInternalError(error, `system call ${notification.syscall}`);
				notification.fail(errors.EIO);
			} else if (!hasMadeRoom) {
				// We could not find out who it is, or which file is meant: so nothing has been done yet.
				this.#processes.makeRoom();
				this.#answer(true);
			} else if (this.#mayBeOurs()) notification.fail(this.#errorOf(error).number);
			else notification.proceed();
		}
	}

	/** What can be said without any fd of whether a call is about a file of ours. */
	#mayBeOurs(): boolean {
		const { thread, syscall } = this.#notification;
		const fd = this.#notification.int(syscall === syscalls.mmap ? 4 : 0);
		const inode = inodeOf(AT_FDCWD, `/proc/${thread}/fd/${fd}`);
		return inode !== undefined && this.#files.hasInode(inode);
	}

	#dispatch(): void {
		const notification = this.#notification;
		switch (notification.syscall) {
			case syscalls.ioctl:
				this.#ioctl();
				break;
			case syscalls.read:
			case syscalls.write:
			case syscalls.readv:
			case syscalls.writev:
			case syscalls.pread64:
			case syscalls.pwrite64:
				this.#transfer();
				break;
			case syscalls.dup:
				this.#duplicate(false, 0);
				break;
			case syscalls.fcntl:
				this.#fcntl();
				break;
			case syscalls.mmap:
				this.#mmap();
				break;
			case syscalls.open:
				this.#open(AT_FDCWD, notification.u64(0), notification.u32(1), 0);
				break;
			case syscalls.openat:
				this.#open(notification.int(0), notification.u64(1), notification.u32(2), 0);
				break;
			case syscalls.openat2:
				this.#openat2();
				break;
			case syscalls.execve:
			case syscalls.execveat:
				this.#processes.programMayChange(notification.thread);
				notification.proceed();
				break;
			default: // setuid() and the like
				this.#processes.credentialsMayChange(notification.thread);
				notification.proceed();
		}
	}

	/** Nearly all calls come this way, so nothing is made on it: what the others share in #find() costs 0.8 us. */
	#ioctl(): void {
		const notification = this.#notification;
		const id = notification.thread;
		const fd = notification.int(0);
		let thread = this.#processes.known(id);
		let file = thread?.ourFile(fd);
		if (file === undefined && !thread?.isOpen(fd)) {
			if (this.#isFarewell()) {
				this.#ended = true;
				notification.proceed();
				return;
			}
			thread = this.#processes.identify(id);
			file = thread?.ourFile(fd);
		}
		if (thread === undefined || file === undefined) {
			notification.proceed();
			return;
		}
		const memory = thread.process.memoryOf(id);
		memory.stopped = id;
		this.tally.calls++;
		try {
			notification.succeed(this.#callEngine(file, thread, fd, notification.u32(1), notification.u64(2)));
		} catch (error) {
			notification.fail(this.#errorOf(error).number);
		}
		memory.stopped = 0;
		if (++this.#callsSinceSettling < CALLS_BETWEEN_SETTLING) return;
		this.settle();
		this.#mayBeUnused = true;
	}

	#isFarewell(): boolean {
		return this.#notification.thread === this.#launcher && this.#notification.u32(1) === FAREWELL;
	}

	/** read(2), write(2), readv(2) or writev(2) on an fd that may be a queue's. */
	#transfer(): void {
		const notification = this.#notification;
		const caught = this.#find(notification.int(0));
		const transfer = caught && this.#transferOn(caught.file);
		if (caught === undefined || transfer === undefined) {
			notification.proceed();
			return;
		}
		const { thread } = caught;
		const memory = thread.process.memoryOf(thread.thread);
		memory.stopped = thread.thread;
		let result: number | Errno;
		try {
			result = this.#withFaults(thread.thread, () => transfer(memory));
			notification.succeed(result);
		} catch (error) {
			result = this.#errorOf(error);
			notification.fail(result.number);
		}
		memory.stopped = 0;
		this.#transferred(caught, notification.int(0), [notification.u64(1), notification.u64(2)], result);
	}

	/** How a file makes the call that is stopped; undefined for one that the kernel makes, or refuses. */
	#transferOn(file: OpenFile): ((memory: AddressSpace) => number) | undefined {
		const call = this.#notification;
		if (call.syscall !== syscalls.pread64 && call.syscall !== syscalls.pwrite64)
			return isQueue(file) ? (memory) => callOnQueue(call, file, memory) : undefined;
		return isPositioned(file) ? (memory) => callAtPosition(call, file, memory) : undefined;
	}

	/** Does something for a thread, in which places may fail. */
	#withFaults<T>(thread: number, action: () => T): T {
		const injector = this.#faults.injectorOf(thread);
		return injector === undefined ? action() : withFaults(injector, action);
	}

	/** mmap(2) of something shared. The kernel makes it, of what we have put where the fd refers to. */
	#mmap(): void {
		const notification = this.#notification;
		const fd = notification.int(4);
		const caught = this.#find(fd);
		if (caught === undefined || !isMappable(caught.file)) {
			notification.proceed();
			return;
		}
		const request = { length: notification.u64(1), protection: notification.u32(2), offset: notification.u64(5) };
		let result: Errno | undefined;
		try {
			caught.thread.prepareMapping(fd, request);
			notification.proceed();
		} catch (error) {
			result = this.#errorOf(error);
			notification.fail(result.number);
		}
		this.#transferred(caught, fd, [request.offset, request.length], result);
	}

	#transferred({ thread, file }: Caught, fd: number, given: number[], result: number | Errno | undefined): void {
		this.tally.calls++;
		const call = transferNames.get(this.#notification.syscall) ?? "mmap";
		this.#tracer?.transferred({ thread: thread.thread, call, fd, path: file.path, arguments: given, result });
	}

	#fcntl(): void {
		const notification = this.#notification;
		const command = notification.u32(1);
		if (command === F_DUPFD || command === F_DUPFD_CLOEXEC)
			this.#duplicate(command === F_DUPFD_CLOEXEC, notification.int(2));
		else notification.proceed();
	}

	/** dup(2), or fcntl(2) that does the same, of an fd that may be a queue's. */
	#duplicate(closeOnExec: boolean, lowest: number): void {
		const notification = this.#notification;
		const fd = notification.int(0);
		const caught = this.#find(fd);
		const isOurs = caught !== undefined && isQueue(caught.file) && lowest >= 0;
		const copy = isOurs ? caught.thread.duplicateQueue(fd, closeOnExec, lowest) : -1;
		if (copy === -1) notification.proceed();
		else notification.succeed(copy);
	}

	/** The file of ours that an fd of the stopped thread refers to, if it is one. */
	#find(fd: number): Caught | undefined {
		const id = this.#notification.thread;
		let thread = this.#processes.known(id);
		let file = thread?.ourFile(fd);
		if (file === undefined && !thread?.isOpen(fd)) {
			thread = this.#processes.identify(id);
			file = thread?.ourFile(fd);
		}
		return thread === undefined || file === undefined ? undefined : { thread, file };
	}

	#callEngine(file: OpenFile, thread: Thread, fd: number, command: number, argument: number): number {
		const injector = this.#faults.injectorOf(thread.thread);
		if (injector !== undefined) return withFaults(injector, () => this.#callFile(file, thread, fd, command, argument));
		return this.#callFile(file, thread, fd, command, argument);
	}

	#callFile(file: OpenFile, thread: Thread, fd: number, command: number, argument: number): number {
		if (this.#tracer === undefined) return file.ioctl(thread, command, argument);
		return this.#tracer.ioctl(file, thread, fd, command, argument);
	}

	#openat2(): void {
		const notification = this.#notification;
		const { thread } = notification;
		if (readRemote(thread, notification.u64(2), openHow.address, OPEN_HOW_BYTES) !== OPEN_HOW_BYTES)
			notification.proceed();
		else
			this.#open(
				notification.int(0),
				notification.u64(1),
				openHow.words[OPEN_HOW_FLAGS],
				openHow.words[OPEN_HOW_RESOLVE],
			);
	}

	#open(directory: number, pathAddress: number, flags: number, resolve: number): void {
		const notification = this.#notification;
		const { thread } = notification;
		const given = flags & O_PATH ? undefined : readPath(thread, pathAddress);
		if (given === undefined) {
			notification.proceed();
			return;
		}
		const followsLinks = (flags & O_NOFOLLOW) === 0 && (resolve & RESOLVE_NO_SYMLINKS) === 0;
		const staysBelow = (resolve & RESOLVE_IN_ROOT) !== 0;
		const opener = { thread, directory, followsLinks, staysBelow };
		if (this.#openSetting(opener, given, flags)) return;
		const path = flags & O_DIRECTORY ? undefined : this.#paths.find(opener, given);
		if (path === undefined) {
			notification.proceed();
			return;
		}
		if (FAIL_NTH_PATH.test(path)) {
			this.#openFailNth(path, flags);
			return;
		}
		const status = path.match(STATUS_PATH);
		if (status !== null) {
			this.#openStatus(Number(status[1]), flags);
			return;
		}
		this.settle();
		this.tally.calls++;
		let result: number | Errno;
		try {
			result = this.#withFaults(thread, () => this.#handOver(path, flags));
		} catch (error) {
			result = this.#errorOf(error);
			notification.fail(result.number);
		}
		this.#tracer?.opened(thread, path, flags, result);
	}

	/** The status of a process that has something pinned is ours to tell; of all others it is the kernel's. */
	#openStatus(number: number, flags: number): void {
		const memory = this.#processes.memoryOf(number);
		this.settle();
		const counts = memory === undefined ? NOTHING : this.#served.counts(memory);
		const fd = counts.pinned + counts.locked === 0 ? -1 : openStatus(number, counts);
		if (fd === -1) {
			this.#notification.proceed();
			return;
		}
		if (this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1) this.#notification.proceed();
		close(fd);
	}

	/** The number is one of the queues', at which reads and writes are ours to answer. */
	#openFailNth(path: string, flags: number): void {
		const notification = this.#notification;
		this.settle();
		const thread = this.#processes.known(notification.thread) ?? this.#processes.identify(notification.thread);
		const file = thread && this.#faults.openFailNth(path, flags);
		if (file === undefined) {
			notification.proceed();
			return;
		}
		try {
			const fd = this.#files.create(file, flags);
			const installed = thread!.addQueueFd(fd, (flags & O_CLOEXEC) !== 0);
			close(fd);
			if (installed === -1) throw new Errno("EMFILE", `no number is free at which ${path} could be read and written`);
			notification.succeed(installed);
		} catch (error) {
			notification.fail(this.#errorOf(error).number);
		}
	}

	/** Opens what debugfs has of fault injection, if a path is that. @returns whether the call has been answered */
	#openSetting(opener: Opener, given: string, flags: number): boolean {
		const { settings } = this.#faults;
		const mayBe = given.startsWith(DEBUGFS) || (settings.isMade && !given.startsWith("/"));
		const path = mayBe ? canonicalPath(opener, given) : "";
		if (!settings.has(path)) return false;
		const fd = settings.open(path, flags);
		if (fd === -1) this.#notification.fail(errno() || errors.EIO);
		else {
			if (this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1) this.#notification.proceed();
			close(fd);
		}
		return true;
	}

	/** Opens a file of ours and makes the open(2) return the caller's fd for it. @throws Errno */
	#handOver(path: string, flags: number): number {
		if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0)
			throw new Errno("EEXIST", `${path} exists, and O_CREAT|O_EXCL asks for a new file`);
		const file = this.#served.open(path);
		if (file === undefined) throw new Errno("ENOENT", `this machine has no ${path}`);
		this.#processes.makeRoom();
		const fd = this.#files.create(file, flags);
		const handed = this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0);
		const problem = errno();
		close(fd); // If the caller didn't get it, this was the last, and `file` will be released.
		if (handed !== -1) return handed;
		throw notInstalled(problem);
	}

	/** The errno that something thrown means, counted. */
	#errorOf(thrown: unknown): Errno {
		const error = thrown instanceof Errno ? thrown : new Errno("EIO", "a bug in ioasis, reported on stderr");
		if (error !== thrown) reportInternalError(thrown, "a call to the engine");
		this.tally.errors.set(error.code, (this.tally.errors.get(error.code) ?? 0) + 1);
		return error;
	}
}
