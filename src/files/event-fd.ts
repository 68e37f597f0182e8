// An eventfd(2) that a client has given us, to be told of interrupts by it. struct eventfd_ctx in include/linux/eventfd.h.

/** A client's eventfd in the engine's hands. */
export interface EventFd {
	/** Adds 1, which wakes those who poll it. It never waits. */
	signal(): void;
	/** Has something done whenever somebody adds to it, and takes what was added. */
	onSignal(listener: () => void): void;
	/** Called exactly once. */
	release(): void;
}
