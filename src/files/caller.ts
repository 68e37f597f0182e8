// Who makes an ioctl, seen from the engine: `current` in Linux's words. The host makes one per trapped call (or one per
// thread, reused), a test makes one by hand.

import type { AddressSpace, Backing } from "../memory/address-space.js";
import type { MemoryOwner } from "../memory/memlock.js";
import type { EventFd } from "./event-fd.js";
import type { OpenFile } from "./open-file.js";

/** The capabilities that a call or an open may take. capabilities(7) */
export type Capability = "CAP_IPC_LOCK" | "CAP_SYS_RESOURCE" | "CAP_SYS_RAWIO";

/** Who opens a file. */
export interface Opener {
	capable(capability: Capability): boolean;
}

export interface Caller extends Opener {
	/** Thread id, for the trace. */
	readonly thread: number;
	readonly memory: AddressSpace;
	readonly owner: MemoryOwner;
	/** What the caller's fd number refers to; undefined when it is not open. */
	file(fd: number): CallerFile | undefined;
	/**
	 * Gives the caller a new fd (close-on-exec unless it isn't to be) for a file that the engine made; returns its number. From now on the file's
	 * release() is called when nobody has it any more, also when it couldn't be given to the caller.
	 * @throws EMFILE when the caller may have no more
	 */
	install(file: OpenFile, closeOnExec?: boolean): number;
}

/** What an fd that comes in as an argument refers to. */
export type CallerFile =
	| { readonly kind: "ours"; readonly file: OpenFile }
	/**
	 * A memfd, or any other file of shared memory (tmpfs, hugetlbfs). Size in bytes. `mayWrite` says whether the caller could write to it, by
	 * this fd or another; absent where nobody who couldn't is served.
	 */
	| { readonly kind: "shared-memory"; readonly backing: Backing; size(): number; mayWrite?(): boolean }
	/** An eventfd(2). Each open() is somebody's hold on it, as long as it isn't released. @throws Errno */
	| { readonly kind: "eventfd"; open(): EventFd }
	| { readonly kind: "other" };
