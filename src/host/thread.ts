// A thread that makes ioctls on our files: `current` while one of them is answered. credentials(7), capabilities(7)

import type { Caller, CallerFile, Capability, OpenFile } from "../iommufd/caller.js";
import { Errno } from "../uapi/errno.js";
import { Descriptors } from "./descriptors.js";
import type { HandedFiles } from "./files.js";
import { close, errno, errors, pidfdGetfd } from "./libc.js";
import { inodeOf, openDirectory, readStatus } from "./proc.js";
import type { Process } from "./process.js";
import type { ProcessMemory } from "./process-memory.js";
import type { Notification } from "./seccomp.js";
import type { SharedFiles } from "./shared-files.js";
import { AT_FDCWD } from "./stat.js";

const O_RDWR = 2;

/** <linux/capability.h>; all of them are in the low half of the set. */
const capabilityBits: { readonly [name in Capability]: number } = {
	CAP_IPC_LOCK: 14,
	CAP_SYS_RAWIO: 17,
	CAP_SYS_RESOURCE: 24,
};

/** What all threads are served with. */
export interface Services {
	readonly notification: Notification;
	readonly files: HandedFiles;
	readonly sharedFiles: SharedFiles;
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
		return (this.#capabilities & (1 << capabilityBits[capability])) !== 0;
	}

	/** Its user or its capabilities may be others from now on. */
	credentialsMayChange(): void {
		this.#capabilities = undefined;
		this.process.credentialsMayChange();
	}

	/** It is about to call execve(2): another memory, perhaps other capabilities. */
	programMayChange(): void {
		this.process.memoryMayChange(this.thread);
		this.credentialsMayChange();
	}

	/** Which of our files an fd is; undefined when it is none, is not open, or when this thread is gone. */
	ourFile(fd: number): OpenFile | undefined {
		return this.#descriptors.ourFile(fd)?.file;
	}

	/** Whether an fd is open: false, too, when this thread is gone and its number is another's. */
	isOpen(fd: number): boolean {
		return this.#descriptors.stat(fd) !== undefined;
	}

	file(fd: number): CallerFile | undefined {
		const stat = this.#descriptors.stat(fd);
		if (stat === undefined) return undefined;
		const ours = this.ourFile(fd);
		if (ours !== undefined) return { kind: "ours", file: ours };
		const backing = stat.isRegular ? this.#services.sharedFiles.opened(this.#duplicate(fd)) : undefined;
		return backing === undefined ? { kind: "other" } : { kind: "shared-memory", backing, size: () => backing.size };
	}

	install(file: OpenFile): number {
		const { files, notification } = this.#services;
		const fd = files.create(file, O_RDWR);
		const installed = notification.addFd(fd, true);
		const problem = errno();
		close(fd); // If that was the only one, `file` will be released.
		if (installed !== -1) return installed;
		if (problem === errors.EMFILE) throw new Errno("EMFILE", "the process has as many fds as RLIMIT_NOFILE allows");
		throw new Errno("ENOENT", "the thread that made this call is gone");
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
function capabilitiesOf(directory: number): number {
	if (inodeOf(directory, "ns/user") !== inodeOf(AT_FDCWD, "/proc/self/ns/user")) return 0;
	const status = readStatus(directory);
	if (status === undefined) return 0;
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
