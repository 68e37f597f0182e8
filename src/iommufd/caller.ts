// Who makes an ioctl, seen from the engine: `current` in Linux's words. The host makes one per trapped call (or one per
// thread, reused), a test makes one by hand.

import type { AddressSpace, Backing } from "../memory/address-space.js";
import type { MemoryOwner } from "../memory/memlock.js";
import type { MovableMemory } from "../memory/movable-memory.js";

export type { MemoryOwner } from "../memory/memlock.js";

/** The capabilities that iommufd asks for. capabilities(7) */
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
	 * Gives the caller a new fd (close-on-exec) for a file that the engine made; returns its number. From now on the file's
	 * release() is called when nobody has it any more, also when it couldn't be given to the caller.
	 * @throws EMFILE when the caller may have no more
	 */
	install(file: OpenFile): number;
}

/** What an fd that comes in as an argument refers to. */
export type CallerFile =
	| { readonly kind: "ours"; readonly file: OpenFile }
	/** A memfd, or any other file of shared memory (tmpfs, hugetlbfs). Size in bytes. */
	| { readonly kind: "shared-memory"; readonly backing: Backing; size(): number }
	/** An eventfd(2). Each open() is somebody's hold on it, as long as it isn't released. @throws Errno */
	| { readonly kind: "eventfd"; open(): EventFd }
	| { readonly kind: "other" };

/** A client's eventfd in the engine's hands: eventfd_ctx, in Linux's words. */
export interface EventFd {
	/** Adds 1, which wakes those who poll it. It never waits. */
	signal(): void;
	/** Has something done whenever somebody adds to it, and takes what was added. */
	onSignal(listener: () => void): void;
	/** Called exactly once. */
	release(): void;
}

/** A file of ours that a client has open: a context, an access, a VFIO device. */
export interface OpenFile {
	/** For the trace: "/dev/iommu". */
	readonly path: string;
	/**
	 * @param command the ioctl's number, u32
	 * @param argument the ioctl's argument as a pointer in bytes (inexact above 2^53, where no memory is)
	 * @returns the ioctl's return value
	 * @throws Errno and nothing else
	 */
	ioctl(caller: Caller, command: number, argument: number): number;
	/** The last fd, fork's copy and mapping of it are gone. Called exactly once. */
	release(): void;
}

/** A file that is read and written as a queue: of events, of page faults. Neither ever waits: who wants to, polls. */
export interface ReadableFile extends OpenFile {
	/** poll(2)'s POLLIN. */
	readonly readable: boolean;
	/** poll(2)'s POLLOUT. */
	readonly writable: boolean;
	/** Called whenever `readable` has changed; the host sets it. */
	onReadableChange: (() => void) | undefined;
	/**
	 * read(2), to an address of the reader's memory. What can't be copied there stays to be read again.
	 * @returns how many bytes were read; 0 when there is nothing
	 * @throws EINVAL or ESPIPE for a length that can't be read, EFAULT for memory that can't be written
	 */
	read(memory: AddressSpace, address: number, length: number): number;
	/**
	 * write(2), from an address of the writer's memory
	 * @returns how many bytes were taken
	 * @throws EINVAL or ESPIPE for what can't be taken, EFAULT for memory that can't be read
	 */
	write(memory: AddressSpace, address: number, length: number): number;
}

/** A file that is read and written at positions, like memory: the registers of a device. */
export interface PositionedFile extends OpenFile {
	/**
	 * pread(2), to an address of the reader's memory.
	 * @param position in the file, in bytes (inexact above 2^53, where nothing is)
	 * @returns how many bytes were read
	 * @throws EINVAL or EFAULT where nothing is, EIO where nothing answers, EFAULT for memory that can't be written
	 */
	readAt(memory: AddressSpace, address: number, length: number, position: number): number;
	/** pwrite(2), the other way round. */
	writeAt(memory: AddressSpace, address: number, length: number, position: number): number;
	/** What is at a position, for the trace: "BAR0+0x8". */
	placeAt(position: number): string;
}

/** Something that a file shows in memory. */
export interface Mapping {
	readonly backing: MovableMemory;
	/** The last munmap(2) of it. Until then it is in use. */
	release(): void;
}

/** A file of which parts can be mapped. */
export interface MappableFile extends OpenFile {
	/**
	 * mmap(2), shared and not executable.
	 * @param offset in bytes, as the length
	 * @throws ENXIO where nothing is that can be mapped
	 */
	mmap(offset: number, length: number): Mapping;
}
