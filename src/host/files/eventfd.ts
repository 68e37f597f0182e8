// A client's eventfd, as a duplicate of our own: signalled when a device interrupts, and listened to when it is the client that
// signals. eventfd(2), pidfd_getfd(2)

import type { EventFd } from "../../files/event-fd.js";
import { EPOLLIN, type Events } from "../linux/events.js";
import { close, NativeMemory, poll, preadv2, write } from "../linux/libc.js";

const POLLOUT = 4;
/** <linux/fs.h> */
const RWF_NOWAIT = 8;
/** Where a file without positions is read. */
const NO_POSITION = -1;

/** struct pollfd: fd, and in one word events and revents. */
const question = new NativeMemory(8);
const one = new NativeMemory(8);
one.words[0] = 1;
/** A struct iovec (address, length) and behind it the counter that it points to: one memory, so that neither is gone without the other. */
const vector = new NativeMemory(24);
vector.setU64(0, vector.address + 16);
vector.setU64(2, 8);

/** Adds 1. A counter that is full can't take any more, and says already what there is to say. */
export function signalEventFd(fd: number): void {
	if (hasRoom(fd)) write(fd, one.address, 8);
}

export class ClientEventFd implements EventFd {
	/** Ours; until it is released. */
	readonly fd: number;
	readonly #events: Events;

	/** @param fd ours from now on */
	constructor(fd: number, events: Events) {
		this.fd = fd;
		this.#events = events;
	}

	signal(): void {
		signalEventFd(this.fd);
	}

	onSignal(listener: () => void): void {
		// Without waiting, whatever the client has chosen by O_NONBLOCK: it may have read the counter itself in the meantime.
		this.#events.addUrgent(this.fd, EPOLLIN, () => {
			if (preadv2(this.fd, vector.address, 1, NO_POSITION, RWF_NOWAIT) > 0) listener();
		});
	}

	release(): void {
		this.#events.remove(this.fd);
		close(this.fd);
	}
}

/** Asked before each write(2), which waits for room, and has no flag not to. */
function hasRoom(fd: number): boolean {
	question.words[0] = fd;
	question.words[1] = POLLOUT;
	return poll(question.address, 1, 0) === 1 && ((question.words[1] >>> 16) & POLLOUT) !== 0;
}
