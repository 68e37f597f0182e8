// What we are told of an fd without having to ask each one: that nobody has a queue any more, that a process has ended.
// epoll(7)

import { close, epollCreate, epollCtl, epollWait, NativeMemory, succeed } from "./libc.js";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;

/** Is always waited for. */
export const EPOLLERR = 8;
export const EPOLLIN = 1;

/** struct epoll_event, in words: events, then data (u64), which only x86-64 packs. */
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const DATA = EVENT_WORDS - 2;
/** So many are taken at once. */
const MOST_EVENTS = 64;

export class Events {
	/** Can be polled: readable when there is something to settle. */
	readonly fd = succeed(epollCreate(EPOLL_CLOEXEC), "epoll_create1");
	readonly #memory = new NativeMemory(MOST_EVENTS * EVENT_WORDS * 4);
	readonly #actions = new Map<number, () => void>();
	readonly #urgent = new Set<number>();

	/**
	 * Has something done at the first settle() after it has happened, and then again and again: the action should take the fd
	 * away.
	 * @param events EPOLLIN or EPOLLERR
	 */
	add(fd: number, events: number, action: () => void): void {
		const { words, address } = this.#memory;
		words[0] = events;
		words[DATA] = fd;
		words[DATA + 1] = 0;
		if (epollCtl(this.fd, EPOLL_CTL_ADD, fd, address) === 0) this.#actions.set(fd, action);
	}

	/** The same for what can't wait for the next call: a program may be waiting for it. */
	addUrgent(fd: number, events: number, action: () => void): void {
		this.add(fd, events, action);
		this.#urgent.add(fd);
	}

	/** Whether there is anything that should be settled as soon as it happens. */
	get areUrgent(): boolean {
		return this.#urgent.size > 0;
	}

	/** Forgets an fd. Call it before it is closed. */
	remove(fd: number): void {
		this.#urgent.delete(fd);
		if (this.#actions.delete(fd)) epollCtl(this.fd, EPOLL_CTL_DEL, fd, this.#memory.address);
	}

	/** Does what is to be done. @param patience how long something is waited for, in milliseconds; -1 for ever */
	settle(patience = 0): void {
		if (this.#actions.size === 0) return;
		const { words, address } = this.#memory;
		for (let wait = patience; ; wait = 0) {
			const count = epollWait(this.fd, address, MOST_EVENTS, wait);
			if (count <= 0) return;
			const due = Array.from({ length: count }, (_, i) => {
				const fd = words[i * EVENT_WORDS + DATA];
				return { fd, action: this.#actions.get(fd) };
			});
			// By the time of its turn one may have been settled, and its number another's.
			for (const { fd, action } of due) if (action !== undefined && this.#actions.get(fd) === action) action();
			if (count < MOST_EVENTS) return;
		}
	}

	close(): void {
		close(this.fd);
	}
}
