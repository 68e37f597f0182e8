// userfaultfd(2): being told when a process touches a page that isn't there, or that it may not write to.
// include/uapi/linux/userfaultfd.h

import { errno, ioctl, NativeMemory, read, SystemError } from "./libc.js";

/** A flag of userfaultfd(2) itself: faults in the kernel aren't told, and so it takes no privilege. */
export const UFFD_USER_MODE_ONLY = 1;

const UFFD_API = 0xaa;
const FEATURE_PAGEFAULT_FLAG_WP = 1 << 0;
const FEATURE_EVENT_REMAP = 1 << 2;
const FEATURE_MISSING_SHMEM = 1 << 5;
const FEATURE_EVENT_UNMAP = 1 << 6;
const FEATURE_THREAD_ID = 1 << 8;
const FEATURE_MINOR_SHMEM = 1 << 10;
const FEATURE_EXACT_ADDRESS = 1 << 11;
const FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;

export const REGISTER_MODE_MISSING = 1;
export const REGISTER_MODE_WP = 2;
export const REGISTER_MODE_MINOR = 4;

const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_UNREGISTER = 0x8010aa01;
const UFFDIO_WAKE = 0x8010aa02;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const WRITEPROTECT_MODE_WP = 1;

// struct uffd_msg, in words: the event in the first byte, then from word 2 on what it is about.
const MESSAGE_BYTES = 32;
const ARGUMENTS = 2;
const EVENT_PAGEFAULT = 0x12;
const EVENT_REMAP = 0x14;
const EVENT_UNMAP = 0x16;
const PAGEFAULT_FLAG_WP = 2;

const words = new NativeMemory(32);
const message = new NativeMemory(MESSAGE_BYTES);

/** What a process did. Addresses and lengths are in bytes. */
export type FaultEvent =
	| { readonly kind: "fault"; readonly address: number; readonly isProtected: boolean; readonly thread: number }
	| { readonly kind: "remap"; readonly from: number; readonly to: number; readonly length: number }
	| { readonly kind: "unmap"; readonly start: number; readonly end: number };

/** @throws SystemError EINVAL where the kernel doesn't know all that is needed (Linux 5.19 does) */
export function startUserfaultfd(fd: number): void {
	words.setU64(0, UFFD_API);
	words.setU64(
		2,
		FEATURE_PAGEFAULT_FLAG_WP |
			FEATURE_EVENT_REMAP |
			FEATURE_EVENT_UNMAP |
			FEATURE_MISSING_SHMEM |
			FEATURE_MINOR_SHMEM |
			FEATURE_THREAD_ID |
			FEATURE_EXACT_ADDRESS |
			FEATURE_WP_HUGETLBFS_SHMEM,
	);
	words.setU64(4, 0);
	if (ioctl(fd, UFFDIO_API, words.address) === -1) throw new SystemError("UFFDIO_API", errno());
}

/** @param modes REGISTER_MODE_* @returns 0, or -1: errno() is ESRCH when the memory is gone */
export function register(fd: number, start: number, length: number, modes: number): number {
	words.setU64(0, start);
	words.setU64(2, length);
	words.setU64(4, modes);
	words.setU64(6, 0);
	return ioctl(fd, UFFDIO_REGISTER, words.address);
}

export function unregister(fd: number, start: number, length: number): number {
	return onRange(fd, UFFDIO_UNREGISTER, start, length);
}

/** Has the threads that wait at a fault in a range try again. */
export function wake(fd: number, start: number, length: number): number {
	return onRange(fd, UFFDIO_WAKE, start, length);
}

/** Has a store there be a fault, or no longer, which wakes who waits at one. */
export function protect(fd: number, start: number, length: number, isProtected: boolean): number {
	words.setU64(0, start);
	words.setU64(2, length);
	words.setU64(4, isProtected ? WRITEPROTECT_MODE_WP : 0);
	return ioctl(fd, UFFDIO_WRITEPROTECT, words.address);
}

/** Takes the next event, if there is one. */
export function nextEvent(fd: number): FaultEvent | undefined {
	if (read(fd, message.address, MESSAGE_BYTES) !== MESSAGE_BYTES) return undefined;
	const at = (index: number) => message.u64(ARGUMENTS + 2 * index);
	switch (message.bytes[0]) {
		case EVENT_PAGEFAULT:
			// Flags, the address, and the thread.
			return {
				kind: "fault",
				address: at(1),
				isProtected: (message.words[ARGUMENTS] & PAGEFAULT_FLAG_WP) !== 0,
				thread: message.words[ARGUMENTS + 4],
			};
		case EVENT_REMAP:
			return { kind: "remap", from: at(0), to: at(1), length: at(2) };
		case EVENT_UNMAP:
			return { kind: "unmap", start: at(0), end: at(1) };
		default:
			return undefined;
	}
}

function onRange(fd: number, request: number, start: number, length: number): number {
	words.setU64(0, start);
	words.setU64(2, length);
	return ioctl(fd, request, words.address);
}
