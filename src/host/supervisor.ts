// The loop that answers: receives one stopped system call after the other, and lets the engine, or the kernel, do it.
//
// It never yields while the program runs, because a call that waits for an event loop waits ten times as long. So whatever it
// calls is synchronous, and the thread that it runs in does nothing else.

import { constants } from "node:fs";
import type { OpenFile } from "../iommufd/caller.js";
import type { AddressSpace } from "../memory/address-space.js";
import type { TransferEvent } from "../trace/event.js";
import { Errno } from "../uapi/errno.js";
import { outOfFds } from "./descriptors.js";
import { Events } from "./events.js";
import { HandedFiles, isMappable, notInstalled } from "./files.js";
import { FAREWELL } from "./filter.js";
import { O_CLOEXEC, O_PATH } from "./flags.js";
import { reportInternalError } from "./internal-error.js";
import { close, errno, errors, NativeMemory, SystemError } from "./libc.js";
import { Paths, STATUS_PATH } from "./paths.js";
import { inodeOf } from "./proc.js";
import { type MemoryCounts, openStatus } from "./process-status.js";
import { Processes } from "./processes.js";
import { isQueue } from "./queues.js";
import { readRemote } from "./remote.js";
import { Notification } from "./seccomp.js";
import { SharedFiles } from "./shared-files.js";
import { AT_FDCWD } from "./stat.js";
import { syscalls } from "./syscalls.js";
import type { Thread } from "./thread.js";
import { transferOn } from "./transfers.js";

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
	#callsSinceSettling = 0;
	/** Whether something was closed, or has ended, that may have been the last user of shared memory. */
	#mayBeUnused = false;
	#ended = false;

	/**
	 * @param listener where the notifications come from
	 * @param launcher the thread that will say FAREWELL
	 */
	constructor(served: Served, listener: number, launcher: number, tracer?: Tracer) {
		this.#served = served;
		this.#tracer = tracer;
		this.#launcher = launcher;
		this.#notification = new Notification(listener);
		this.#paths = new Paths(served.paths);
		this.#processes = new Processes({
			notification: this.#notification,
			files: this.#files,
			sharedFiles: this.#sharedFiles,
			events: this.#events,
		});
	}

	/** Answers until the launcher says that nobody is left. */
	run(): void {
		while (!this.#ended) {
			if (this.#events.areUrgent && !this.#notification.isPendingBefore(this.#events.fd)) this.#events.settle();
			else if (this.#notification.receive()) this.#answer();
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
			case syscalls.preadv:
			case syscalls.pwritev:
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

	/** read(2), pread(2) or their like on an fd that may be a queue's, or a device's. */
	#transfer(): void {
		const notification = this.#notification;
		const fd = notification.int(0);
		// Any program may come here with a file of its own, and need not be known for that.
		const isOurs = this.#processes.known(notification.thread) !== undefined || this.#mayBeOurs();
		const caught = isOurs ? this.#find(fd) : undefined;
		const transfer = caught && transferOn(caught.file, caught.thread.flagsOf(fd), notification);
		if (caught === undefined || transfer === undefined) {
			notification.proceed();
			return;
		}
		const { thread } = caught;
		const memory = thread.process.memoryOf(thread.thread);
		memory.stopped = thread.thread;
		let result: number | Errno;
		try {
			result = transfer.make(memory);
		} catch (error) {
			result = this.#errorOf(error);
		}
		// Before it is answered: then the caller goes on, and may change what there is to be seen.
		const access = this.#tracer && transfer.access(memory);
		if (typeof result === "number") notification.succeed(result);
		else notification.fail(result.number);
		memory.stopped = 0;
		this.#transferred(caught, { call: transfer.name, fd, arguments: transfer.arguments, result, access });
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
		this.#transferred(caught, { call: "mmap", fd, arguments: [request.offset, request.length], result });
	}

	#transferred({ thread, file }: Caught, event: Omit<TransferEvent, "thread" | "path">): void {
		this.tally.calls++;
		this.#tracer?.transferred({ thread: thread.thread, path: file.path, ...event });
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
		// Neither opens a device: with the first one gets a name only, with the second a directory.
		if (flags & (O_PATH | O_DIRECTORY)) {
			notification.proceed();
			return;
		}
		const followsLinks = (flags & O_NOFOLLOW) === 0 && (resolve & RESOLVE_NO_SYMLINKS) === 0;
		const staysBelow = (resolve & RESOLVE_IN_ROOT) !== 0;
		const path = this.#paths.find({ thread, directory, followsLinks, staysBelow }, pathAddress);
		if (path === undefined) {
			notification.proceed();
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
			result = this.#handOver(path, flags);
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
