// A client's eventfd, as a duplicate of our own: signalled when a device interrupts, and listened to when it is the client that
// signals. eventfd(2), pidfd_getfd(2)

import type { EventFd } from "../iommufd/caller.js";
import { EPOLLIN, type Events } from "./events.js";
import { close, NativeMemory, poll, read, write } from "./libc.js";

const POLLIN = 1;
const POLLOUT = 4;

/** struct pollfd: fd, and in one word events and revents. */
const question = new NativeMemory(8);
const one = new NativeMemory(8);
one.words[0] = 1;
const added = new NativeMemory(8);

export class ClientEventFd implements EventFd {
	readonly #fd: number;
	readonly #events: Events;

	/** @param fd ours from now on */
	constructor(fd: number, events: Events) {
		this.#fd = fd;
		this.#events = events;
	}

	/** A counter that is full can't take any more, and says already what there is to say. */
	signal(): void {
		if (this.#isReady(POLLOUT)) write(this.#fd, one.address, 8);
	}

	onSignal(listener: () => void): void {
		this.#events.addUrgent(this.#fd, EPOLLIN, () => {
			if (!this.#isReady(POLLIN)) return;
			read(this.#fd, added.address, 8);
			listener();
		});
	}

	release(): void {
		this.#events.remove(this.#fd);
		close(this.#fd);
	}

	/** Asked before each access, because the client decides by O_NONBLOCK whether they wait, and we must not. */
	#isReady(events: number): boolean {
		question.words[0] = this.#fd;
		question.words[1] = events;
		return poll(question.address, 1, 0) === 1 && ((question.words[1] >>> 16) & events) !== 0;
	}
}
