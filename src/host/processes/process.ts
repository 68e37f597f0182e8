// A process that makes ioctls on our files: its memory and its limits. credentials(7), getrlimit(2)

import type { MemoryOwner } from "../../memory/memlock.js";
import { close, kcmp, NativeMemory, pidfdOpen, prlimit } from "../linux/libc.js";
import { exists, openDirectory, readFileAt, readStatus } from "../linux/proc.js";
import { ProcessMemory } from "../memory/process-memory.js";
import type { SharedFiles } from "../memory/shared-files.js";
import { hasRoom, outOfFds } from "./descriptors.js";

const KCMP_VM = 1;
const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY_HALF = 0xffffffff;

const limit = new NativeMemory(16);

export class Process implements MemoryOwner {
	/** Its number: that of its thread group. */
	readonly id: number;
	#directory: number;
	readonly #sharedFiles: SharedFiles;
	#memory: ProcessMemory;
	#pidfd = -1;
	#uid: number | undefined;
	#lastLimit = Number.POSITIVE_INFINITY;
	/** The threads that were about to call execve(2) when we last heard of them. */
	readonly #replacing = new Set<number>();

	/**
	 * @param thread one of its threads, stopped
	 * @param memory what it shares with a process that we know already
	 */
	constructor(id: number, thread: number, memory: ProcessMemory | undefined, sharedFiles: SharedFiles) {
		this.id = id;
		this.#directory = openDirectory(`/proc/${id}`);
		this.#sharedFiles = sharedFiles;
		this.#memory = memory ?? new ProcessMemory(id, thread, sharedFiles);
		this.#memory.users.add(this);
	}

	/**
	 * The memory of the thread `stopped`, whose call is being answered.
	 * @throws EMFILE when it is new, and we have no fds to look at it
	 */
	memoryOf(stopped: number): ProcessMemory {
		if (this.#replacing.size !== 0) this.#lookAfterExec(stopped);
		return this.#memory;
	}

	/** As of the last call. */
	get memory(): ProcessMemory {
		return this.#memory;
	}

	get uid(): number {
		this.#uid ??= readStatus(this.#directory)?.uid;
		return this.#uid ?? 0;
	}

	memlockLimit(): number {
		if (prlimit(this.id, RLIMIT_MEMLOCK, 0, limit.address) === 0)
			this.#lastLimit = limit.words[1] === RLIM_INFINITY_HALF ? Number.POSITIVE_INFINITY : limit.u64(0);
		else this.#lastLimit = this.#limitAsText() ?? this.#lastLimit;
		return this.#lastLimit;
	}

	/** For pidfd_getfd(). */
	get pidfd(): number {
		if (this.#pidfd === -1) this.#pidfd = pidfdOpen(this.id, 0);
		return this.#pidfd;
	}

	get alive(): boolean {
		return exists(this.#directory, "status");
	}

	/** Its user or its capabilities may be others from now on. */
	credentialsMayChange(): void {
		this.#uid = undefined;
	}

	/** `thread` is about to call execve(2), which may fail. */
	memoryMayChange(thread: number): void {
		this.#replacing.add(thread);
	}

	/** Call it when the process is gone. */
	close(): void {
		this.#leaveMemory();
		this.#uid = this.uid; // What it has pinned may be uncharged later.
		if (this.#directory !== -1) close(this.#directory);
		if (this.#pidfd !== -1) close(this.#pidfd);
		this.#directory = -1;
		this.#pidfd = -1;
	}

	#lookAfterExec(stopped: number): void {
		if (!this.#memoryIsMine()) {
			if (!hasRoom()) throw outOfFds;
			this.#leaveMemory();
			this.#memory = new ProcessMemory(this.id, stopped, this.#sharedFiles);
			this.#memory.users.add(this);
			this.#replacing.clear();
		} else {
			this.#replacing.delete(stopped); // It failed. Of the others we don't know.
			this.#memory.forgetKept();
		}
	}

	#memoryIsMine(): boolean {
		// Between vfork(2) and execve(2) parent and child have one memory, and it outlives the child's execve(2).
		for (const other of this.#memory.users) {
			if (other === this) continue;
			const difference = kcmp(this.id, other.id, KCMP_VM, 0, 0);
			if (difference >= 0) return difference === 0;
		}
		return this.#memory.alive;
	}

	#leaveMemory(): void {
		this.#memory.users.delete(this);
		if (this.#memory.users.size === 0) this.#memory.close();
	}

	/** prlimit(2) of somebody else's process needs CAP_SYS_RESOURCE; /proc/PID/limits doesn't. */
	#limitAsText(): number | undefined {
		const soft = readFileAt(this.#directory, "limits")?.match(/^Max locked memory\s+(\w+)/m)?.[1];
		if (soft === undefined) return undefined;
		return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
	}
}

/** Whether two processes have one memory. kcmp(2); where it isn't allowed to us, we take it that they don't. */
export function shareMemory(one: number, other: number): boolean {
	return kcmp(one, other, KCMP_VM, 0, 0) === 0;
}
