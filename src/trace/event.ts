// What the trace knows of one ioctl: who made it, the struct before and after, and the answer. The host makes one for
// each call; print.ts and whoever records them read it.

import type { Errno } from "../uapi/errno.js";
import type { AnyCommand, PlainCommand } from "../uapi/struct.js";

export interface CallEvent {
	/** Thread id. */
	readonly thread: number;
	/** The caller's number of the file, and what it opened there: 7 and "/dev/iommu". */
	readonly fd: number;
	readonly path: string;
	/** The ioctl's number. */
	readonly number: number;
	/** The ioctl's argument, a number or a pointer in bytes. */
	readonly argument: number;
	/** What the number means on this file; undefined when it means nothing. */
	readonly command: AnyCommand | PlainCommand | undefined;
	/** The struct as the caller gave it, as far as we know it; undefined when there is none or it couldn't be read. */
	readonly before: Uint8Array | undefined;
	/** The struct as it was copied back; undefined when nothing was, as after most errors. */
	readonly after: Uint8Array | undefined;
	/** What the ioctl returned, or why it failed. */
	readonly result: number | Errno;
}

/** The opening of a path that is ours. */
export interface OpenEvent {
	/** Thread id. */
	readonly thread: number;
	readonly path: string;
	/** As open(2) has them. */
	readonly flags: number;
	/** The fd, or why there is none. */
	readonly result: number | Errno;
}

/** Something about a device's DMA that its user wants to know: that it failed, or that it only seemed to be in order. */
export interface DmaEvent {
	/** fault: it was refused; stale: it used what the IOMMU had cached, and the tables say something else by now. */
	readonly kind: "fault" | "stale";
	/** "0000:00:02.0" */
	readonly device: string;
	/** 0 for none. */
	readonly pasid: number;
	/** In bytes. */
	readonly iova: bigint;
	/** A sentence. */
	readonly message: string;
}

/** A device reads or writes memory. */
export interface DmaAccess {
	/** "0000:00:02.0" */
	readonly device: string;
	/** 0 for none. */
	readonly pasid: number;
	/** In bytes, as the length. */
	readonly iova: bigint;
	readonly length: number;
	readonly isWrite: boolean;
	/** Why it was refused, if it was. */
	readonly fault?: string;
}

/** A device interrupts, and what comes of it. */
export interface InterruptEvent {
	/** "0000:00:02.0" */
	readonly device: string;
	/** "MSI vector 0 is lost: it has no eventfd" */
	readonly message: string;
}

/** What a device says: why a command failed. */
export interface DeviceEvent {
	/** "0000:01:00.0" */
	readonly device: string;
	/** A sentence. */
	readonly message: string;
}

/** A read, a write or a mapping of a file of ours. */
export interface TransferEvent {
	/** Thread id. */
	readonly thread: number;
	/** The system call: "read". */
	readonly call: string;
	readonly fd: number;
	readonly path: string;
	/** What it was given besides the fd: addresses, lengths. */
	readonly arguments: readonly number[];
	/** What it returned, or why it failed; undefined for a mapping, which the kernel makes. */
	readonly result: number | Errno | undefined;
	/** Of a read or a write at a position. */
	readonly access?: RegisterAccess | undefined;
}

/** What a read or a write of a device's file was about. */
export interface RegisterAccess {
	/** "BAR0+0x8" */
	readonly place: string;
	/** In bytes. */
	readonly length: number;
	readonly isWrite: boolean;
	/** What was read or written; undefined for more than a register has. */
	readonly bytes: Uint8Array | undefined;
}

/** What a trace tells of, each in a line of its own. */
export type TraceEvent =
	| { readonly kind: "ioctl"; readonly event: CallEvent }
	| { readonly kind: "open"; readonly event: OpenEvent }
	| { readonly kind: "transfer"; readonly event: TransferEvent }
	| { readonly kind: "dma"; readonly event: DmaEvent }
	| { readonly kind: "interrupt"; readonly event: InterruptEvent }
	| { readonly kind: "device"; readonly event: DeviceEvent }
	/** What the answer to a call doesn't say. */
	| { readonly kind: "note"; readonly event: { readonly message: string } };

/** When something happened. */
export interface Timing {
	/** Milliseconds since 1970, with fractions. */
	readonly at: number;
	/** How long the answer to a call took, in seconds; undefined for what is no call. */
	readonly seconds: number | undefined;
}
