// The fd of an event queue: what a client reads, writes and polls. iommufd_eventq_fops in drivers/iommu/iommufd/eventq.c
//
// It is a pipe, so that poll(2), select(2) and epoll(7) work on it without us: a byte lies in it as long as the queue can be
// read. We keep its writing end, on which we are told when nobody has the other any more: that is the file's release. The
// byte is never read by the client, whose read(2) and write(2) are trapped and answered by the engine (QUEUE_FDS in filter.ts).
// pipe(7)

import { F_SETFL, O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_RDWR } from "../linux/flags.js";
import { close, fcntl, NativeMemory, pipe, read, write } from "../linux/libc.js";
import { reopen } from "../linux/proc.js";

const ends = new NativeMemory(8);
const byte = new NativeMemory(4);

export class QueuePipe {
	/** The client's end. It has to be closed here as soon as the client has it. */
	readonly theirs: number;
	/** Polls as POLLERR when nobody has the client's end any more. */
	readonly ours: number;

	/** @param writable whether it polls as POLLOUT, too */
	static create(writable: boolean): QueuePipe | undefined {
		if (pipe(ends.address, O_CLOEXEC) === -1) return undefined;
		const [readingEnd, ours] = ends.words;
		fcntl(ours, F_SETFL, O_NONBLOCK);
		if (!writable) return new QueuePipe(readingEnd, ours);
		const bothEnds = reopen(readingEnd, O_RDWR);
		close(readingEnd);
		if (bothEnds !== -1) return new QueuePipe(bothEnds, ours);
		close(ours);
		return undefined;
	}

	constructor(theirs: number, ours: number) {
		this.theirs = theirs;
		this.ours = ours;
	}

	/** Makes the client's end poll as POLLIN, or not. */
	set readable(readable: boolean) {
		if (readable) write(this.ours, byte.address, 1);
		else this.#drain();
	}

	close(): void {
		close(this.ours);
	}

	/** A reading end that we kept would hide that the client has none any more. */
	#drain(): void {
		const end = reopen(this.ours, O_RDONLY | O_NONBLOCK);
		if (end === -1) return;
		read(end, byte.address, 1);
		close(end);
	}
}
