// What open(2) does with a path that leads to a file of ours: a device, another file of the machine, or a file of the engine's.

import { constants } from "node:fs";
import { posix } from "node:path";
import type { MemoryBudget } from "../../faults/memory-budget.js";
import type { Opener as Credentials } from "../../files/caller.js";
import type { OpenFile } from "../../files/open-file.js";
import type { FileTree, Node, RegularFile } from "../../machine/file-tree.js";
import type { AddressSpace, Backing, Extents } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { FAIL_NTH_PATH, type FaultInjection, numberIn } from "../fault-injection/fault-injection.js";
import { DEBUGFS } from "../fault-injection/fault-settings.js";
import { type HandedFiles, notInstalled } from "../files/files.js";
import { StoredFile } from "../files/stored-file.js";
import { withRightsOf } from "../linux/credentials.js";
import { O_ACCMODE, O_CLOEXEC, O_PATH, O_RDONLY, O_WRONLY } from "../linux/flags.js";
import { close, errno, errors, NativeMemory, open } from "../linux/libc.js";
import { inodeOf } from "../linux/proc.js";
import { type MemoryCounts, openStatus } from "../linux/process-status.js";
import { AT_FDCWD } from "../linux/stat.js";
import type { Processes } from "../processes/processes.js";
import type { Notification } from "../trap/seccomp.js";
import {
	canonicalPath,
	canonicalPathOf,
	type FilePattern,
	type Found,
	type FoundNode,
	type Opener,
	processOf,
} from "./paths.js";
import { modeOf, permits, R_OK, W_OK } from "./permissions.js";
import type { Shadow } from "./shadow.js";

/** The machine, as far as paths lead to it. */
export interface ServedFiles {
	/** The devices' paths. */
	readonly paths: readonly string[];
	/** All that is to be seen of it in /sys and /dev, the devices among it. */
	readonly files: FileTree;
	/** Why a path leads nowhere, and what is there; undefined for one that isn't about devices. */
	whyMissing(path: string): string | undefined;
	/** What comes of what is written to a file that has a `store`. @throws Errno */
	store(path: string, text: string): void;
	/** A new file for a path that it serves. @throws Errno */
	open(path: string, opener: Credentials): OpenFile | undefined;
	/** Whether what it is asked is written down, to be asked once more: then one call is answered after the other. */
	readonly isRecorded?: boolean;
	/** How much of our own memory clients may have us use. */
	readonly budget: MemoryBudget;
	/** What is pinned of some memory, in pages, for who looks into /proc. */
	counts(memory: AddressSpace): MemoryCounts;
	/** Appends the pages that are pinned of a backing to `into`. */
	pinnedOf(backing: Backing, into: Extents): void;
}

/** What the calls here are answered with. */
export interface PathServices {
	readonly served: ServedFiles;
	readonly notification: Notification;
	readonly processes: Processes;
	readonly files: HandedFiles;
	readonly shadow: Shadow;
	readonly faults: FaultInjection;
	/** Releases what has been closed. */
	settle(): void;
	/** What an exception means for the program. It is counted. */
	errorOf(thrown: unknown): Errno;
	/** A device was opened. @param result the fd, or why there is none */
	opened(thread: number, path: string, flags: number, result: number | Errno): void;
	/** Something was to be opened that isn't there. */
	missed(thread: number, path: string, flags: number, error: Errno): void;
}

/** A file of a pattern, and what opens it: answers the call, or leaves it to the kernel. */
interface PatternFile extends FilePattern {
	open(path: string, flags: number): void;
}

const { O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW } = constants;

/** A thread that doesn't wait for its answer any more. */
const gone: Credentials = { capable: () => false };

const NOTHING: MemoryCounts = { pinned: 0, locked: 0 };

const name = new NativeMemory(2 * 4096);

export class Opens {
	/** Files whose paths have numbers in them. */
	readonly patterns: readonly PatternFile[] = [
		{ name: "status", path: /^\/proc\/\d+\/status$/, open: (path, flags) => this.#openStatus(path, flags) },
		{ name: "fail-nth", path: FAIL_NTH_PATH, open: (path, flags) => this.#openFailNth(path, flags) },
	];
	readonly #services: PathServices;
	readonly #notification: Notification;
	readonly #shadow: Shadow;

	constructor(services: PathServices) {
		this.#services = services;
		this.#notification = services.notification;
		this.#shadow = services.shadow;
	}

	/** Answers the open(2) that a thread is stopped at. */
	open(found: Found, flags: number): void {
		const ofPattern = this.patterns.find(({ path }) => path.test(found.path));
		if (ofPattern !== undefined) this.#openPattern(ofPattern, found, flags);
		else if (found.kind === "pattern") this.#notification.proceed();
		else if (found.kind === "missing") {
			// sysfs and the devices' directories are the kernel's to fill, even root can't.
			const wouldBeMade = found.problem === "ENOENT" && (flags & O_CREAT) !== 0;
			const why = found.problem === "ENOENT" ? this.#services.served.whyMissing(found.path) : undefined;
			if (why !== undefined)
				this.#services.missed(
					this.#notification.thread,
					found.path,
					flags,
					new Errno(wouldBeMade ? "EACCES" : "ENOENT", why),
				);
			this.#notification.fail(wouldBeMade ? errors.EACCES : errors[found.problem]);
		} else if (found.node.kind === "device" && (flags & (O_PATH | O_DIRECTORY)) === 0)
			this.#openDevice(found.path, flags);
		else this.#openNode(found, flags);
	}

	/** A file of the machine that is no device, or a device that isn't really opened. */
	#openNode(found: FoundNode, flags: number): void {
		const problem = this.#whyNotOpened(found.node, flags);
		if (problem !== undefined) {
			this.#notification.fail(problem);
			return;
		}
		this.#services.processes.makeRoom();
		if (found.node.kind === "file" && found.node.store !== undefined && isForWriting(flags)) {
			this.#openStored(found.path, found.node, flags);
			return;
		}
		const fd = this.#openReal(found, flags);
		if (fd === -1) {
			this.#notification.fail(errno());
			return;
		}
		if (this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1)
			this.#notification.fail(notInstalled(errno()).number);
		close(fd);
	}

	/** A file of /sys that does something when it is written. */
	#openStored(path: string, { content }: RegularFile, flags: number): void {
		const { processes, files, served } = this.#services;
		const store = (text: string) => served.store(path, text);
		const bytes = typeof content === "string" ? Buffer.from(content) : content;
		const fd = files.createStored(new StoredFile(path, flags, bytes, store), flags);
		if (fd === -1) {
			this.#notification.fail(errors.ENOMEM);
			return;
		}
		const closeOnExec = (flags & O_CLOEXEC) !== 0;
		const thread = processes.identify(this.#notification.thread);
		// At a number at which we are asked; elsewhere, if there is none, we hear of it later.
		const installed = thread?.addQueueFd(fd, closeOnExec) ?? -1;
		if (installed !== -1) this.#notification.succeed(installed);
		else if (this.#notification.addFdAndSucceed(fd, closeOnExec) === -1)
			this.#notification.fail(notInstalled(errno()).number);
		close(fd);
	}

	/** An fd to hand over, which one with O_PATH can't be: a directory or a file is opened for reading instead. */
	#openReal(found: FoundNode, flags: number): number {
		this.#shadow.make();
		const real = name.setString(this.#shadow.realPath(found.path));
		this.#shadow.refresh(found.path, found.node);
		if ((flags & O_PATH) === 0) return open(real, (flags & ~withoutMeaning(flags)) | O_CLOEXEC);
		if (found.node.kind === "device") return this.#services.files.openName(found.path);
		return open(real, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	}

	/** In the order in which Linux looks. */
	#whyNotOpened(node: Node, flags: number): number | undefined {
		const isName = (flags & O_PATH) !== 0;
		if (!isName && (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) return errors.EEXIST;
		if ((flags & O_DIRECTORY) !== 0 && node.kind !== "directory") return errors.ENOTDIR;
		if (isName) return undefined;
		if (node.kind === "link") return errors.ELOOP;
		const mode = flags & O_ACCMODE;
		if (node.kind === "directory") return mode !== O_RDONLY || flags & (O_CREAT | O_TRUNC) ? errors.EISDIR : undefined;
		const used = mode === O_RDONLY ? R_OK : mode === O_WRONLY ? W_OK : R_OK | W_OK;
		const wanted = flags & O_TRUNC ? used | W_OK : used;
		// What nobody can read or write, not even root can: kernfs_fop_open() in fs/kernfs/file.c.
		const bits = modeOf(node);
		const isForNobody = (used & R_OK && !(bits & 0o444)) || (used & W_OK && !(bits & 0o222));
		return isForNobody || !permits(this.#notification.thread, node, wanted) ? errors.EACCES : undefined;
	}

	#openDevice(path: string, flags: number): void {
		const { settle, errorOf, opened } = this.#services;
		settle();
		let result: number | Errno;
		try {
			result = this.#services.faults.during(this.#notification.thread, () => this.#handOver(path, flags));
		} catch (error) {
			result = errorOf(error);
			this.#notification.fail(result.number);
		}
		opened(this.#notification.thread, path, flags, result);
	}

	/** Opens a file of ours and makes the open(2) return the caller's fd for it. @throws Errno */
	#handOver(path: string, flags: number): number {
		if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0)
			throw new Errno("EEXIST", `${path} exists, and O_CREAT|O_EXCL asks for a new file`);
		const { served, processes, files } = this.#services;
		const file = served.open(path, processes.identify(this.#notification.thread) ?? gone);
		if (file === undefined) throw new Errno("ENOENT", `this machine has no ${path}`, "machine");
		processes.makeRoom();
		const fd = files.create(file, flags);
		const handed = this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0);
		const problem = errno();
		close(fd); // If the caller didn't get it, this was the last, and `file` will be released.
		if (handed !== -1) return handed;
		throw notInstalled(problem);
	}

	#openPattern(file: PatternFile, found: Found, flags: number): void {
		if ((flags & (O_PATH | O_DIRECTORY)) === 0) file.open(found.path, flags);
		else if (found.kind === "node") this.#openNode(found, flags);
		else this.#notification.proceed();
	}

	/** The number is one of the queues', at which reads and writes are ours to answer. */
	#openFailNth(path: string, flags: number): void {
		const { processes, faults, files, settle, errorOf } = this.#services;
		settle();
		const id = this.#notification.thread;
		const problem = this.#isOurNumber(numberIn(path)) ? asComm(id, posix.dirname(path), flags) : errors.ENOENT;
		if (problem !== 0) {
			this.#notification.fail(problem);
			return;
		}
		const thread = processes.known(id) ?? processes.identify(id);
		const file = thread && faults.openFailNth(path, flags);
		if (file === undefined) {
			this.#notification.proceed();
			return;
		}
		try {
			const fd = files.create(file, flags);
			const installed = thread!.addQueueFd(fd, (flags & O_CLOEXEC) !== 0);
			close(fd);
			if (installed === -1) throw new Errno("EMFILE", `no number is free at which ${path} could be read and written`);
			this.#notification.succeed(installed);
		} catch (error) {
			this.#notification.fail(errorOf(error).number);
		}
	}

	/** Opens what debugfs has of fault injection, if a path is that. @returns whether the call has been answered */
	openSetting(opener: Opener, given: string, flags: number): boolean {
		const { settings } = this.#services.faults;
		const mayBe = given.startsWith(DEBUGFS) || (settings.isMade && !given.startsWith("/"));
		const path = mayBe && (flags & O_PATH) === 0 ? canonicalPath(opener, given) : undefined;
		if (path === undefined || !settings.has(path) || canonicalPathOf(opener, given) !== path) return false;
		const fd = settings.open(path, flags);
		if (fd === -1) this.#notification.fail(errno());
		else {
			if (this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1)
				this.#notification.fail(notInstalled(errno()).number);
			close(fd);
		}
		return true;
	}

	/** Whether a number means to the caller whom it means to us: where it has PIDs of its own, only what is its own has ours. */
	#isOurNumber(number: number): boolean {
		const { thread } = this.#notification;
		const isInOurs = inodeOf(AT_FDCWD, `/proc/${thread}/ns/pid`) === inodeOf(AT_FDCWD, "/proc/self/ns/pid");
		return isInOurs || number === thread || number === processOf(thread);
	}

	/** The status of a process that has something pinned is ours to tell; of all others it is the kernel's. */
	#openStatus(path: string, flags: number): void {
		const { processes, served, settle } = this.#services;
		const number = Number(path.split("/")[2]);
		const { thread } = this.#notification;
		if (!this.#isOurNumber(number)) {
			this.#notification.proceed();
			return;
		}
		const memory = processes.memoryOf(number);
		settle();
		const counts = memory === undefined ? NOTHING : served.counts(memory);
		const fd =
			counts.pinned + counts.locked === 0 ? -1 : (withRightsOf(thread, () => openStatus(number, counts)) ?? -1);
		if (fd === -1) {
			this.#notification.proceed();
			return;
		}
		if (this.#notification.addFdAndSucceed(fd, (flags & O_CLOEXEC) !== 0) === -1) this.#notification.proceed();
		close(fd);
	}
}

/**
 * Whether a thread may open the fail-nth in a directory: if it may open comm there, which has the same mode and owner.
 * @returns 0 or an errno
 */
function asComm(thread: number, directory: string, flags: number): number {
	const problem = withRightsOf(thread, () => {
		const fd = open(name.setString(`${directory}/comm`), (flags & O_ACCMODE) | O_CLOEXEC);
		if (fd === -1) return errno();
		close(fd);
		return 0;
	});
	return problem ?? errors.EACCES;
}

function isForWriting(flags: number): boolean {
	return (flags & O_PATH) === 0 && (flags & O_ACCMODE) !== O_RDONLY;
}

/** Of the flags of an open(2) those that mean nothing for a file in /sys, which is always there, and is made anew when it is read. */
function withoutMeaning(flags: number): number {
	const isWritten = (flags & O_ACCMODE) !== O_RDONLY;
	return O_CREAT | O_EXCL | (isWritten ? 0 : O_TRUNC);
}
