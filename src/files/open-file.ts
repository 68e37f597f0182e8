// What a client can have open of ours, and what it can do with it: struct file, with the operations of include/linux/fs.h that
// each kind has.

import type { AddressSpace } from "../memory/address-space.js";
import type { MovableMemory } from "../memory/movable-memory.js";
import type { Caller } from "./caller.js";

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

/** Memory of a device whose model may be in another thread: only who serves the program knows more of it. */
export interface DeviceMemory {
	/** "registers of 0000:00:03.0" */
	readonly name: string;
}

/** Something that a file shows in memory. */
export interface Mapping<Memory = MovableMemory | DeviceMemory> {
	readonly backing: Memory;
	/** The last munmap(2) of it. Until then it is in use. */
	release(): void;
}

/** A file of which parts can be mapped. */
export interface MappableFile extends OpenFile {
	/**
	 * mmap(2), shared and not executable.
	 * @param offset in bytes, as the length
	 * @throws ENXIO or EINVAL where nothing is that can be mapped, Later
	 */
	mmap(offset: number, length: number): Mapping;
}

export function isQueue(file: OpenFile): file is ReadableFile {
	return "read" in file && "write" in file;
}

/** A file that is read at positions, too, waits for nothing, and needs no pipe. */
export function isPositioned(file: OpenFile): file is PositionedFile {
	return "readAt" in file;
}

export function isMappable(file: OpenFile): file is MappableFile {
	return "mmap" in file;
}
