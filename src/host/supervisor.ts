// The loop that answers: receives one stopped system call after the other, and lets the engine, or the kernel, do it.
//
// It never yields while the program runs, because a call that waits for an event loop waits ten times as long. So whatever it
// calls is synchronous, and the thread that it runs in does nothing else. A call that can't be answered yet is put aside: see
// trap/parked-calls.ts.

import { withoutFaults } from "../faults/faults.js";
import { isMappable, isQueue, type OpenFile } from "../files/open-file.js";
import type { MappingHistory } from "../iommu/dma/mapping-history.js";
import { Extents } from "../memory/address-space.js";
import type { TransferEvent } from "../trace/event.js";
import { Errno } from "../uapi/errno.js";
import { Later } from "../uapi/later.js";
import { restoreViews, saveViews } from "../uapi/struct.js";
import type { DeviceThreads } from "./devices/device-threads.js";
import type { FaultInjection } from "./fault-injection/fault-injection.js";
import { HandedFiles } from "./files/files.js";
import { MadeEventFds } from "./files/made-eventfds.js";
import { StoredFile } from "./files/stored-file.js";
import { transferOn } from "./files/transfers.js";
import { reportInternalError } from "./internal-error.js";
import { Events } from "./linux/events.js";
import { canCopyFds } from "./linux/fd-copies.js";
import { O_CLOEXEC } from "./linux/flags.js";
import { errno, errors, SystemError } from "./linux/libc.js";
import { inodeOf } from "./linux/proc.js";
import { F_ADD_SEALS, F_GET_SEALS } from "./linux/seals.js";
import { AT_FDCWD } from "./linux/stat.js";
import { syscalls } from "./linux/syscalls.js";
import type { CopyThreadData } from "./memory/copy-thread.js";
import { CopyThreads } from "./memory/copy-threads.js";
import { FilledMemory } from "./memory/filled-memory.js";
import { FunctionMemory } from "./memory/function-memory.js";
import { MOST_KEPT } from "./memory/kept-memory.js";
import type { ProcessMemory } from "./memory/process-memory.js";
import { SharedFiles } from "./memory/shared-files.js";
import type { ServedFiles } from "./paths/opens.js";
import { PathCalls } from "./paths/path-calls.js";
import { Shadow } from "./paths/shadow.js";
import { outOfFds } from "./processes/descriptors.js";
import { Processes } from "./processes/processes.js";
import type { Thread } from "./processes/thread.js";
import { isFork } from "./registers/forks.js";
import { FAREWELL } from "./trap/filter.js";
import { Interludes } from "./trap/interludes.js";
import { handedOver, ParkedCalls } from "./trap/parked-calls.js";
import { Notification } from "./trap/seccomp.js";

/** Who wants to know of each call. */
export interface Tracer {
	/** A call has come: how long it takes counts from now on. */
	received?(): void;
	/** Whether also of reads and writes that go well. */
	readonly isToldOfAll: boolean;
	/** Does the ioctl as OpenFile.ioctl() would, and tells of it. */
	ioctl(file: OpenFile, thread: Thread, fd: number, command: number, argument: number): number;
	/** @param result the fd, or why there is none */
	opened(thread: number, path: string, flags: number, result: number | Errno): void;
	/** Something of the machine's was to be opened that it hasn't. */
	missed(thread: number, path: string, flags: number, error: Errno): void;
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
	/** What was to be opened and isn't there, with why not. */
	readonly missing: Map<string, string>;
}

/** A program may look for ever new ones. */
const MOST_MISSING = 100;

const F_DUPFD = 0;
const F_DUPFD_CLOEXEC = 1030;

/** How long we wait at the end for a file to be closed, in milliseconds. */
const PATIENCE = 500;
/** What is closed or unused is looked after at every open and, for those who never open another, now and then. */
const CALLS_BETWEEN_SETTLING = 256;
/** Of whatever kind, until we look whether somebody wants to wake us. */
const CALLS_BETWEEN_LOOKS = 128;

export class Supervisor {
	readonly tally: Tally = { calls: 0, errors: new Map(), missing: new Map() };
	/** Is told of each ioctl that begins, and that it is over. */
	history: MappingHistory | undefined;
	/** Is called between two calls: when a signal has interrupted the wait, and now and then, for one who is always busy hardly waits. */
	whenWoken: () => void = () => {};
	/** Whether no device thread is left, after finish(). */
	haveDevicesEnded = true;
	readonly #served: ServedFiles;
	readonly #tracer: Tracer | undefined;
	#launcher = 0;
	readonly #notification = new Notification();
	readonly #parked: ParkedCalls;
	readonly #devices: DeviceThreads;
	readonly #interludes = new Interludes((isOver) => this.#answerOthers(isOver));
	/** Of the thread whose call is being answered, if that is about a file of ours. */
	#memory: ProcessMemory | undefined;
	readonly #events = new Events();
	readonly #copies: CopyThreads;
	readonly #files: HandedFiles;
	readonly #sharedFiles = new SharedFiles((area) => this.#files.withStat(area)?.shown);
	readonly #processes: Processes;
	readonly #shadow: Shadow;
	readonly #pathCalls: PathCalls;
	/** Where we can't have programs' own. */
	readonly #madeEventFds = canCopyFds() ? undefined : new MadeEventFds();
	readonly #faults: FaultInjection;
	#callsSinceSettling = 0;
	/** Whether something was closed, or has ended, that may have been the last user of shared memory. */
	#mayBeUnused = false;
	#ended = false;

	/**
	 * Takes what it needs of the system. From then on it can be told where to listen, and a program can be started.
	 * @param devices the threads of devices' models
	 * @param startCopyThread has the main thread start a copy-thread.ts
	 * @param directory where the machine's files may be put, and nothing is yet
	 * @param faults who decides which places fail
	 * @throws Refusal, SystemError
	 */
	constructor(
		served: ServedFiles,
		devices: DeviceThreads,
		startCopyThread: (data: CopyThreadData) => void,
		directory: string,
		tracer: Tracer | undefined,
		faults: FaultInjection,
	) {
		this.#faults = faults;
		this.#served = served;
		this.#tracer = tracer;
		this.#files = new HandedFiles(this.#events, served.budget.objects);
		this.#copies = new CopyThreads(this.#events, startCopyThread);
		this.#parked = new ParkedCalls(this.#notification, (thread) => faults.forgetParked(thread));
		this.#devices = devices;
		devices.serve({
			notification: this.#notification,
			parked: this.#parked,
			events: this.#events,
			takenBack: () => this.tally.calls--,
		});
		this.#processes = new Processes({
			notification: this.#notification,
			files: this.#files,
			sharedFiles: this.#sharedFiles,
			events: this.#events,
			madeEventFds: this.#madeEventFds,
			newFilled: () => new FilledMemory(this.#parked, this.#copies),
		});
		this.#shadow = new Shadow(() => served.files, directory);
		this.#files.whenStored = (file, text) => this.#stored(file, text);
		this.#pathCalls = new PathCalls({
			served,
			notification: this.#notification,
			processes: this.#processes,
			files: this.#files,
			shadow: this.#shadow,
			faults,
			settle: () => this.settle(),
			errorOf: (thrown) => this.#errorOf(thrown),
			opened: (thread, path, flags, result) => {
				this.tally.calls++;
				this.#tracer?.opened(thread, path, flags, result);
			},
			missed: (thread, path, flags, error) => {
				if (this.tally.missing.size < MOST_MISSING) this.tally.missing.set(path, error.reason);
				this.#tracer?.missed(thread, path, flags, error);
			},
		});
	}

	/** The thread whose call is being answered, or was answered last. */
	get caller(): number {
		return this.#notification.thread;
	}

	/**
	 * Answers until the launcher says that nobody is left.
	 * @param listener where the notifications come from
	 * @param launcher the thread that will say FAREWELL
	 */
	run(listener: number, launcher: number): void {
		this.#notification.listenTo(listener);
		this.#devices.listenTo(listener);
		this.#launcher = launcher;
		if (!this.#served.isRecorded) this.#interludes.start();
		for (let calls = 1; !this.#ended; calls++) {
			if (this.#parked.areDue) this.#makeDueAgain();
			else if (this.#events.areUrgent && !this.#isCallPending()) this.whenWoken();
			else if (this.#notification.receive()) this.#answer();
			else if (errno() === errors.EINTR) this.whenWoken();
			// One who asked may be killed before we look.
			else if (errno() !== errors.ENOENT) throw new SystemError("seccomp", errno());
			if (calls % CALLS_BETWEEN_LOOKS === 0) this.whenWoken();
			if (this.#mayBeUnused) this.#closeUnused();
		}
		this.#interludes.stop();
	}

	#closeUnused(): void {
		this.#sharedFiles.closeUnused();
		this.#devices.prune();
		this.#mayBeUnused = false;
	}

	/** Makes calls again that were put aside. One that is due at once again takes turns with the others. */
	#makeDueAgain(): void {
		this.#parked.makeDueAgain(() => this.#answer());
		this.#events.settle();
		if (this.#notification.isPending && this.#notification.receive()) this.#answer();
	}

	/** Answers others on top of a call that takes long, or a release: see trap/interludes.ts. */
	#answerOthers(isOver: () => boolean): void {
		this.whenWoken();
		if (this.#ended) return;
		if (!this.#parked.areDue && !this.#notification.isAnythingPending(this.#events.fd)) return;
		const call = this.#notification.copy();
		const views = saveViews();
		const cause = this.history?.interrupt();
		const memory = this.#memory;
		const stopped = memory?.stopped ?? 0;
		const writes = memory?.filled?.takeWrites();
		const { hasTakenAway } = this.#devices;
		this.#devices.hasTakenAway = false;
		this.#parked.apart(() => {
			withoutFaults(() => {
				this.#settleEvents();
				while (!this.#ended && !isOver()) {
					if (this.#parked.areDue) this.#makeDueAgain();
					else if (this.#notification.isPending && this.#notification.receive()) this.#answer();
					else break;
				}
			});
		});
		restoreViews(views);
		// Calls are counted when they are over: those that were answered meanwhile come before it.
		if (cause !== undefined) this.history?.begin(cause.call && this.tally.calls + 1, cause.thread, cause.command);
		this.#notification.resume(call);
		this.#memory = memory;
		if (memory !== undefined) memory.stopped = stopped;
		if (writes !== undefined) memory?.filled?.putBack(writes);
		// Also of memory that somebody has let go of meanwhile, which costs the call nothing then.
		if (hasTakenAway) this.#devices.hasTakenAway = true;
	}

	/** Waits for the next call, or an event that can't wait for one. */
	#isCallPending(): boolean {
		const isPending = this.#notification.isPendingBefore(this.#events.fd);
		// What a program has signalled happens before what it calls next.
		if (this.#notification.isOtherReadable) this.#settleEvents();
		return isPending;
	}

	/** Releases what is left when everybody is gone. @returns the paths of files that somebody else still has */
	finish(): string[] {
		this.#parked.dropAll();
		this.#copies.finish();
		this.haveDevicesEnded = this.#devices.finish();
		this.#shadow.remove();
		this.#faults.settings.remove();
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
		this.#settleEvents();
		this.#files.settle();
		if (this.#parked.count > 0) this.#parked.dropDead();
		if (mappingsToo) this.#files.settleMappings();
		this.#shadow.update();
		if (this.#files.count < before) this.#mayBeUnused = true;
	}

	/** Nobody waits for an answer to it, so what goes wrong there is nobody's errno. */
	#settleEvents(): void {
		try {
			this.#events.settle();
		} catch (error) {
			reportInternalError(error, "looking after what was closed");
		}
	}

	/** Something was written to a file of /sys where nobody waits for what comes of it. */
	#stored(file: StoredFile, text: Uint8Array): void {
		this.tally.calls++;
		let result: number | Errno = text.length;
		try {
			file.store(text);
		} catch (error) {
			result = this.#errorOf(error);
		}
		this.#shadow.update();
		this.#tracer?.transferred({ thread: 0, path: file.path, call: "write", fd: -1, arguments: [text.length], result });
	}

	#answer(hasMadeRoom = false): void {
		const notification = this.#notification;
		this.#tracer?.received?.();
		this.#interludes.begun++;
		try {
			this.#dispatch();
		} catch (error) {
			if (error instanceof Later) this.#parked.park(error);
			else if (error !== outOfFds) {
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
			case syscalls.preadv2:
			case syscalls.pwritev2:
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
			case syscalls.execve:
			case syscalls.execveat:
				this.#keepPinned(false);
				this.#processes.programMayChange(notification.thread);
				notification.proceed();
				break;
			case syscalls.eventfd:
			case syscalls.eventfd2:
				this.#makeEventFd();
				break;
			case syscalls.exitGroup:
				this.#keepPinned(true);
				notification.proceed();
				break;
			case syscalls.userfaultfd:
				this.#processes.memoryMayBeFilled(notification.thread);
				notification.proceed();
				break;
			case syscalls.fork:
			case syscalls.clone:
			case syscalls.clone3:
				this.#fork();
				break;
			default:
				if (this.#pathCalls.answer()) break;
				// setuid() and the like
				this.#processes.credentialsMayChange(notification.thread);
				notification.proceed();
		}
	}

	/** A fork(2), or a clone(2) that may be one: who has registers mapped has a child that has them, too. */
	#fork(): void {
		const { thread, syscall } = this.#notification;
		const isFollowed =
			this.#devices.areMapped && isFork(thread, syscall, this.#notification.u64(0)) && this.#devices.handOverFork();
		if (!isFollowed) this.#notification.proceed();
	}

	/**
	 * The memory of the stopped thread is about to go. Somebody else may hold what is pinned of it, so that it has to live on.
	 * @param isCertain whether nothing can prevent it any more
	 */
	#keepPinned(isCertain: boolean): void {
		const { thread } = this.#notification;
		const memory = this.#processes.memoryToGo(thread);
		if (memory === undefined) return;
		this.#devices.revokeAll();
		const pinned = new Extents();
		this.#served.pinnedOf(memory, pinned);
		const pages = pinned.count.reduce((sum, count) => sum + count, 0);
		if (pages === 0 || pages > MOST_KEPT) return;
		this.#memory = memory;
		try {
			memory.keep(pinned, thread, isCertain, this.#served.budget.kept);
		} catch (error) {
			if (!(error instanceof Errno)) throw error; // There is no room for it.
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
				// The launcher's thread is on its way out, and may make trapped calls yet: glibc opens a file when it gives memory
				// back. With the listener gone these fail; without, they would wait for us, and may hold a lock that we need.
				notification.close();
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
		this.#memory = memory;
		memory.stopped = id;
		this.#devices.catchUpFor(notification.u32(1));
		let result: number | Errno;
		this.history?.begin(this.tally.calls + 1, id, notification.u32(1));
		try {
			result = this.#callEngine(file, thread, fd, notification.u32(1), notification.u64(2));
		} catch (error) {
			if (error instanceof Later) this.#putAside(memory);
			result = this.#errorOf(error);
		} finally {
			this.history?.end();
		}
		if (memory.filled !== undefined) this.#answerFilled(memory.filled, id, result);
		else if (this.#devices.hasTakenAway) this.#devices.answerLate(this.#parked.keepAnswer(result));
		else notification.answer(result);
		memory.stopped = 0;
		this.tally.calls++;
		if (++this.#callsSinceSettling < CALLS_BETWEEN_SETTLING) return;
		this.settle();
		this.#mayBeUnused = true;
	}

	/** The call that is under way isn't any more, and what it was to write is nothing. */
	#putAside(memory: ProcessMemory): void {
		memory.stopped = 0;
		memory.filled?.takeWrites();
	}

	/** Answers a call after what it has to write has been written. */
	#answerFilled(filled: FilledMemory, thread: number, result: number | Errno): void {
		const writes = filled.takeWrites();
		if (writes.length === 0 && !this.#devices.hasTakenAway) {
			this.#notification.answer(result);
			return;
		}
		const call = this.#parked.keepAnswer(result);
		filled.carryOut(thread, writes, () => this.#devices.answerLate(call));
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
		this.#memory = memory;
		memory.stopped = thread.thread;
		let result: number | Errno;
		this.#parked.mayBeHandedOver = transfer.isOneStep && !this.#tracer?.isToldOfAll;
		try {
			result = this.#faults.during(thread.thread, () => transfer.make(memory));
		} catch (error) {
			if (error instanceof Later || error === handedOver) this.#putAside(memory);
			if (error === handedOver) {
				this.tally.calls++;
				return;
			}
			result = this.#errorOf(error);
		} finally {
			this.#parked.mayBeHandedOver = false;
		}
		if (caught.file instanceof StoredFile) this.#shadow.update();
		// Before it is answered: then the caller goes on, and may change what there is to be seen.
		const access = this.#tracer && transfer.access(memory);
		if (memory.filled !== undefined) this.#answerFilled(memory.filled, thread.thread, result);
		else if (typeof result === "number") notification.succeed(result);
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
			const shown = caught.thread.prepareMapping(fd, request);
			if (shown instanceof FunctionMemory) shown.handOver(request.offset, request.length);
			else notification.proceed();
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
		else if (command === F_ADD_SEALS || command === F_GET_SEALS) this.#seal(command === F_ADD_SEALS);
		else notification.proceed();
	}

	/** fcntl(2) about the seals of a file. Those of a memfd that is pinned are as if the kernel had pinned it; our own have none. */
	#seal(areAdded: boolean): void {
		const notification = this.#notification;
		const fd = notification.int(0);
		const seals = notification.u32(2);
		if (this.#find(fd) !== undefined) {
			notification.fail(errors.EINVAL);
			return;
		}
		// What we have mapped for devices, and isn't pinned any more, stands in nobody's way.
		if (areAdded) this.#devices.prune();
		const file = areAdded ? this.#processes.known(notification.thread)?.fileToSeal(fd, seals) : undefined;
		if (file === undefined) {
			notification.proceed();
			return;
		}
		this.settle();
		const pinned = new Extents();
		this.#served.pinnedOf(file, pinned);
		if (pinned.length > 0) notification.fail(errors.EBUSY);
		else notification.proceed();
	}

	/** eventfd(2), which is asked about only where we can't have the program's own. What fails here the kernel refuses, too. */
	#makeEventFd(): void {
		const notification = this.#notification;
		const flags = notification.syscall === syscalls.eventfd2 ? notification.int(1) : 0;
		const fd = this.#madeEventFds?.make(notification.u32(0), flags) ?? -1;
		if (fd === -1 || notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1) notification.proceed();
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
		if (!this.#faults.areAny) return this.#callFile(file, thread, fd, command, argument);
		return this.#faults.during(thread.thread, () => this.#callFile(file, thread, fd, command, argument));
	}

	#callFile(file: OpenFile, thread: Thread, fd: number, command: number, argument: number): number {
		if (this.#tracer === undefined) return file.ioctl(thread, command, argument);
		return this.#tracer.ioctl(file, thread, fd, command, argument);
	}

	/** The errno that something thrown means, counted. @throws Later, which means none yet */
	#errorOf(thrown: unknown): Errno {
		if (thrown instanceof Later) throw thrown;
		const error =
			thrown instanceof Errno ? thrown : new Errno("EIO", "a bug in ioasis, reported on stderr", "ioasis-bug");
		if (error !== thrown) reportInternalError(thrown, "a call to the engine");
		this.tally.errors.set(error.code, (this.tally.errors.get(error.code) ?? 0) + 1);
		return error;
	}
}
