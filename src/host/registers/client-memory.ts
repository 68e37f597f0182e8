// The memory of one process that has registers mapped, from the first mapping until it is gone: the userfaultfd by which we
// hear of its accesses, and where it has mapped what.

import { close, pidfdOpen } from "../linux/libc.js";
import { Vmas } from "../memory/vma.js";
import { Mappings } from "./mappings.js";

export class ClientMemory {
	/** The number of the process that mapped first. */
	readonly process: number;
	/** Ours. */
	readonly userfaultfd: number;
	/** Readable when that process has ended; -1 when it can't be had. */
	readonly pidfd: number;
	readonly mappings = new Mappings();
	readonly #vmas: Vmas;

	/** @param thread one of the process's */
	constructor(process: number, thread: number, userfaultfd: number) {
		this.process = process;
		this.userfaultfd = userfaultfd;
		this.pidfd = pidfdOpen(process, 0);
		this.#vmas = new Vmas(thread);
	}

	/** Whether it still exists: it doesn't after the last process that had it has ended, or has called execve(2). */
	get isAlive(): boolean {
		return this.#vmas.alive;
	}

	close(): void {
		this.#vmas.close();
		close(this.userfaultfd);
		if (this.pidfd !== -1) close(this.pidfd);
	}
}
