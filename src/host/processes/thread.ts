// A thread that makes ioctls on our files: `current` while one of them is answered. credentials(7), capabilities(7)

import type { Caller, CallerFile, Capability } from "../../files/caller.js";
import type { EventFd } from "../../files/event-fd.js";
import { isQueue, type OpenFile } from "../../files/open-file.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { Errno } from "../../uapi/errno.js";
import { DeviceName } from "../files/device-name.js";
import { ClientEventFd } from "../files/eventfd.js";
import { type HandedFiles, notInstalled } from "../files/files.js";
import type { MadeEventFds } from "../files/made-eventfds.js";
import { mayDiffer, withRightsOf } from "../linux/credentials.js";
import type { Events } from "../linux/events.js";
import { O_ACCMODE, O_CLOEXEC, O_RDONLY, O_RDWR, O_WRONLY, PROT_WRITE } from "../linux/flags.js";
import { close, errno, errorName, pidfdGetfd } from "../linux/libc.js";
import { inodeOf, openDirectory, readStatus, reopen } from "../linux/proc.js";
import { sealsWriting } from "../linux/seals.js";
import { AT_FDCWD, statOf } from "../linux/stat.js";
import type { FilledMemory } from "../memory/filled-memory.js";
import type { ProcessMemory } from "../memory/process-memory.js";
import type { SharedFile, SharedFiles } from "../memory/shared-files.js";
import type { ShownFile } from "../memory/shown-file.js";
import { QUEUE_FDS } from "../trap/filter.js";
import type { Notification } from "../trap/seccomp.js";
import { Descriptors } from "./descriptors.js";
import type { Process } from "./process.js";

/** O_APPEND, O_NONBLOCK, O_ASYNC. */
const O_STATUS = 0o2000 | 0o4000 | 0o20000;
const PROT_EXEC = 4;

/** <linux/capability.h>; all of them are in the low half of the set. */
const capabilityBits: { readonly [name in Capability]: number } = {
	CAP_IPC_LOCK: 14,
	CAP_SYS_RAWIO: 17,
	CAP_SYS_RESOURCE: 24,
};

/** What mmap(2) is asked for, in bytes. */
export interface MapRequest {
	readonly length: number;
	readonly offset: number;
	readonly protection: number;
}

/** What all threads are served with. */
export interface Services {
	readonly notification: Notification;
	readonly files: HandedFiles;
	readonly sharedFiles: SharedFiles;
	readonly events: Events;
	/** Where pidfd_getfd(2) is forbidden: the eventfds that programs got from us. */
	readonly madeEventFds?: MadeEventFds | undefined;
	/** For memory that is filled by userfaultfd(2). */
	newFilled(): FilledMemory;
}

export class Thread implements Caller {
	readonly thread: number;
	readonly process: Process;
	readonly #services: Services;
	readonly #descriptors: Descriptors;
	/** The low 32 bits of its effective capabilities, none if they are not of our user namespace; undefined: ask. */
	#capabilities: number | undefined;

	constructor(id: number, process: Process, services: Services) {
		this.thread = id;
		this.process = process;
		this.#services = services;
		this.#descriptors = new Descriptors(id, services.files);
	}

	get memory(): ProcessMemory {
		return this.process.memory;
	}

	get owner(): Process {
		return this.process;
	}

	capable(capability: Capability): boolean {
		this.#capabilities ??= capabilitiesOf(this.#descriptors.directory);
		return ((this.#capabilities ?? 0) & (1 << capabilityBits[capability])) !== 0;
	}

	/** Its capabilities may be others from now on. */
	credentialsMayChange(): void {
		this.#capabilities = undefined;
	}

	/**
	 * Makes an fd of a file of ours refer to what an mmap(2) that this thread is stopped at is to map.
	 * iommufd_fops_mmap() in drivers/iommu/iommufd/main.c, and what the kernel checks before it is called.
	 * @returns what that is; undefined where the kernel will refuse the call
	 * @throws EPERM, and what the file throws
	 */
	prepareMapping(fd: number, { length, offset, protection }: MapRequest): ShownFile | undefined {
		const held = this.#descriptors.ourFile(fd);
		if (held === undefined) return undefined;
		const flags = this.#descriptors.flagsOf(fd);
		const mode = flags & O_ACCMODE;
		const isRefused = mode === O_WRONLY || (mode === O_RDONLY && (protection & PROT_WRITE) !== 0);
		if (length === 0 || offset % PAGE_SIZE !== 0 || isRefused) return undefined;
		if (protection & PROT_EXEC) throw new Errno("EPERM", "what can be mapped here can't be executed: PROT_EXEC");
		const { files, notification } = this.#services;
		const shown = files.map(held, offset, Math.ceil(length / PAGE_SIZE) * PAGE_SIZE);
		if (this.#descriptors.stat(fd)?.inode === statOf(shown.fd)?.inode) return shown;
		const own = shown.open(flags & (O_ACCMODE | O_STATUS));
		if (own === -1) throw new Errno("ENOMEM", "ioasis can't have more files open itself", "fd-limit");
		notification.setFd(own, (flags & O_CLOEXEC) !== 0, fd);
		close(own);
		return shown;
	}

	/** Which of our files an fd is; undefined when it is none, is not open, or when this thread is gone. */
	ourFile(fd: number): OpenFile | undefined {
		return this.#descriptors.ourFile(fd)?.file;
	}

	/** What open(2) was given for an fd that ourFile() has just found. */
	flagsOf(fd: number): number {
		return this.#descriptors.flagsOf(fd);
	}

	/** Whether an fd is open: false, too, when this thread is gone and its number is another's. */
	isOpen(fd: number): boolean {
		return this.#descriptors.stat(fd) !== undefined;
	}

	file(fd: number): CallerFile | undefined {
		const ours = this.ourFile(fd);
		if (ours instanceof DeviceName || !this.#descriptors.isUsable(fd)) return undefined;
		if (ours !== undefined) return { kind: "ours", file: ours };
		const stat = this.#descriptors.stat(fd);
		if (stat === undefined) return undefined;
		if (!stat.isRegular && this.#descriptors.isEventFd(fd)) return { kind: "eventfd", open: () => this.#eventFd(fd) };
		const backing = stat.isRegular ? this.#services.sharedFiles.opened(this.#duplicate(fd), this.thread) : undefined;
		if (backing === undefined) return { kind: "other" };
		return { kind: "shared-memory", backing, size: () => backing.size, mayWrite: () => this.#mayWrite(fd) };
	}

	/** Whether it could write to the file behind an fd: we may be able to, for others or with our own rights. */
	#mayWrite(fd: number): boolean {
		if (!mayDiffer() || (this.#descriptors.flagsOf(fd) & O_ACCMODE) === O_RDWR) return true;
		const copy = this.#duplicate(fd);
		const reopened = withRightsOf(this.thread, () => reopen(copy, O_RDWR)) ?? -1;
		for (const own of [copy, reopened]) if (own !== -1) close(own);
		return reopened !== -1;
	}

	/** The file behind an fd that the engine may have something of, if F_ADD_SEALS would forbid to write it from now on. */
	fileToSeal(fd: number, seals: number): SharedFile | undefined {
		if (this.ourFile(fd) !== undefined || !this.#descriptors.isUsable(fd)) return undefined;
		const stat = this.#descriptors.stat(fd);
		const file = stat && this.#services.sharedFiles.known(stat);
		const flags = this.#descriptors.flagsOf(fd);
		return file !== undefined && sealsWriting(this.process.pidfd, fd, flags, seals) ? file : undefined;
	}

	install(file: OpenFile, closeOnExec = true): number {
		const { files, notification } = this.#services;
		const fd = files.create(file, O_RDWR);
		let installed = isQueue(file) ? this.addQueueFd(fd, closeOnExec) : -1;
		if (installed === -1) installed = notification.addFd(fd, closeOnExec);
		const problem = errno();
		close(fd); // If that was the only one, `file` will be released.
		if (installed !== -1) return installed;
		throw notInstalled(problem);
	}

	/**
	 * Duplicates an fd of a queue, to a number at which we are asked about it again.
	 * @param lowest no number below this
	 * @returns the number, or -1 when there is none
	 */
	duplicateQueue(fd: number, closeOnExec: boolean, lowest: number): number {
		const copy = pidfdGetfd(this.process.pidfd, fd, 0);
		if (copy === -1) return -1;
		const installed = this.addQueueFd(copy, closeOnExec, lowest);
		close(copy);
		return installed;
	}

	/**
	 * Gives the thread an fd at a number at which we are asked about it.
	 * @returns a number of QUEUE_FDS, or -1 when none is free, or RLIMIT_NOFILE forbids them
	 */
	addQueueFd(fd: number, closeOnExec: boolean, lowest = 0): number {
		let number = Math.max(lowest, QUEUE_FDS.first);
		while (number <= QUEUE_FDS.last && this.isOpen(number)) number++;
		// Another thread can only come in between by choosing just this number.
		return number <= QUEUE_FDS.last ? this.#services.notification.setFd(fd, closeOnExec, number) : -1;
	}

	/** @throws Errno when we can't have it, which Linux doesn't know */
	#eventFd(fd: number): EventFd {
		const { events, madeEventFds } = this.#services;
		let copy = pidfdGetfd(this.process.pidfd, fd, 0);
		const problem = errorName(errno());
		if (copy === -1) copy = madeEventFds?.copyOf(this.#descriptors.infoOf(fd)) ?? -1;
		if (copy !== -1) return new ClientEventFd(copy, events);
		throw new Errno(
			"ENOMEM",
			`ioasis can't have eventfd ${fd} itself, which takes pidfd_getfd(2) (${problem}), and it isn't one that it has made for the program`,
			"pidfd-getfd",
		);
	}

	/** @returns an fd of ours for the regular file that its fd refers to, or -1 */
	#duplicate(fd: number): number {
		const copy = pidfdGetfd(this.process.pidfd, fd, 0);
		if (copy !== -1) return copy;
		// Docker's seccomp profile forbids pidfd_getfd(2). What is a file can be opened once more instead.
		return this.#descriptors.reopen(fd);
	}

	close(): void {
		this.#descriptors.close();
	}
}

/**
 * capable() asks whether somebody has a capability in the initial user namespace. We take the one that we run in
 * for that: what is root only in a namespace of its own isn't capable.
 */
function capabilitiesOf(directory: number): number | undefined {
	if (inodeOf(directory, "ns/user") !== inodeOf(AT_FDCWD, "/proc/self/ns/user")) return 0;
	const status = readStatus(directory);
	if (status === undefined) return undefined;
	return status.uid === 0 ? status.capabilities | takenFromRoot() : status.capabilities;
}

let fromRoot: number | undefined;

/**
 * What a container or a sandbox takes even from root, so that nobody in it could have it. It is meant for the real kernel; here
 * root is to be what it is on the machine that is played. A program that gives up a capability that it had is without it.
 */
function takenFromRoot(): number {
	if (fromRoot === undefined) {
		const self = openDirectory("/proc/self");
		fromRoot = ~(readStatus(self)?.bounding ?? -1);
		close(self);
	}
	return fromRoot;
}
