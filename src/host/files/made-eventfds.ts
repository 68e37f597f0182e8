// Eventfds of programs, where we can't have a copy of theirs: pidfd_getfd(2) is forbidden to most containers. Then we make them ourselves
// when a program asks for one, and keep a copy by the number that the kernel gives each (eventfd-id in /proc/PID/fdinfo/N, Linux 5.2).
// An eventfd that comes from elsewhere, over a socket or from before the start, isn't known here.

import { O_CLOEXEC } from "../linux/flags.js";
import { close, eventfd, fcntl } from "../linux/libc.js";
import { openDirectory, readFileAt } from "../linux/proc.js";

const F_DUPFD_CLOEXEC = 1030;
/** A program that has closed its own doesn't say so, so the oldest make room for others. */
const MOST = 512;

export class MadeEventFds {
	readonly #directory = openDirectory("/proc/self");
	readonly #byId = new Map<string, number>();

	/**
	 * @param flags as eventfd2(2) has them
	 * @returns an fd of ours for a new one, or -1 with errno; it stays ours
	 */
	make(count: number, flags: number): number {
		const fd = eventfd(count, flags | O_CLOEXEC);
		if (fd === -1) return -1;
		const id = idOfEventFd(readFileAt(this.#directory, `fdinfo/${fd}`));
		if (id === undefined) return fd;
		const [oldest] = this.#byId.keys();
		if (this.#byId.size >= MOST) this.#forget(oldest);
		this.#byId.set(id, fd);
		return fd;
	}

	/** @param info what /proc/PID/fdinfo/N says of it @returns another fd of ours for it, or -1 */
	copyOf(info: string | undefined): number {
		const fd = this.#byId.get(idOfEventFd(info) ?? "");
		return fd === undefined ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}

	#forget(id: string): void {
		close(this.#byId.get(id)!);
		this.#byId.delete(id);
	}
}

function idOfEventFd(info: string | undefined): string | undefined {
	return info?.match(/^eventfd-id:\s*(\d+)$/m)?.[1];
}
