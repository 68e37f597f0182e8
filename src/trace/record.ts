// The format of a recording: everything that a program asked of the engine, everything that the engine had to ask to answer,
// and the answers. One JSON object a line; docs/record.md describes it for people.

import type { ErrnoCode } from "../uapi/errno.js";

/** Changes when older versions can't read what newer ones write. */
export const RECORD_VERSION = 2;

/** A number by which the recording names a process's memory, a backing, an owner of pinned memory or an open file. */
export type Name = number;

/** An address, an offset or an ioctl's number: "0x7ffc0010". */
export type Hex = string;

/** Bytes, two hexadecimal digits each. */
export type HexBytes = string;

/** Why there is no other answer. */
export interface Failed {
	readonly errno: ErrnoCode;
	/** For people: it changes between versions, and isn't compared. */
	readonly reason: string;
}

/** The first line. */
export interface Start {
	readonly kind: "start";
	readonly version: number;
	/** The machine's description, as a file in machines/ has it. */
	readonly machine: unknown;
	/** The rule by which page tables are allocated. */
	readonly policy: string;
	/** How much memory clients could have ioasis use, in bytes: what was beyond it is ENOMEM in a replay, too. */
	readonly memory?: number;
}

/** What a name stands for, before it is first used. */
export interface Named {
	readonly kind: "memory" | "backing" | "owner";
	readonly id: Name;
	/** For people: "memory of process 4711", "memfd:guest-ram". */
	readonly name: string;
}

export interface Opened {
	readonly kind: "open";
	readonly path: string;
	readonly asked?: readonly Question[];
	/** The new file's name, or why there is none. */
	readonly answer: Name | Failed;
}

/** Something was written to a file of /sys that has an effect. */
export interface Stored {
	readonly kind: "store";
	readonly path: string;
	readonly text: string;
	readonly asked?: readonly Question[];
	/** 0, or why it was refused. */
	readonly answer: number | Failed;
}

/** What is common to the calls that the engine may have to ask something for. */
interface Asking {
	readonly file: Name;
	/** What the engine asked, in this order; absent for nothing. */
	readonly asked?: readonly Question[];
	readonly answer: number | Failed;
}

export interface Ioctl extends Asking {
	readonly kind: "ioctl";
	readonly thread: number;
	/** The caller's memory, and who is accounted for what it pins. */
	readonly memory: Name;
	readonly owner: Name;
	readonly number: Hex;
	/** For people: "IOMMU_IOAS_MAP". */
	readonly command?: string;
	readonly argument: Hex;
	/** The struct at `argument` before, as far as it is known and could be read. */
	readonly in?: HexBytes;
	/** The same after; absent when nothing was written to it. */
	readonly out?: HexBytes;
}

/** read(2) and write(2) on a queue of events. */
export interface Transfer extends Asking {
	readonly kind: "read" | "write";
	readonly memory: Name;
	readonly at: Hex;
	readonly length: number;
}

/** pread(2) and pwrite(2) on the regions of a device. */
export interface Access extends Asking {
	readonly kind: "pread" | "pwrite";
	readonly memory: Name;
	readonly at: Hex;
	readonly length: number;
	readonly position: Hex;
}

export interface Mapped {
	readonly kind: "mmap";
	readonly file: Name;
	readonly offset: Hex;
	readonly length: number;
	/** The name of the mapping, or why there is none. */
	readonly answer: Name | Failed;
}

/** A file was closed, or a mapping unmapped, for the last time. */
export interface Released {
	readonly kind: "release";
	readonly what: Name;
}

/** What the engine asked while no call was under way: a device that did something by itself. */
export interface Aside {
	readonly kind: "aside";
	readonly asked: readonly Question[];
}

export type RecordLine = Start | Named | Opened | Stored | Ioctl | Transfer | Access | Mapped | Released | Aside;

/** Pages of a backing: its name, the first page, and how many. */
export type Extent = readonly [backing: Name, page: number, count: number];

/** What the engine asks of its surroundings while it answers, and what it was told. */
export type Question =
	/** Copies memory; fewer bytes than the length were all that could be read. */
	| { readonly ask: "read"; readonly memory: Name; readonly at: Hex; readonly length: number; readonly bytes: HexBytes }
	/** Copies to memory: that is a part of the answer, and compared. `done` says how many bytes, when not all. */
	| { readonly ask: "write"; readonly memory: Name; readonly at: Hex; readonly bytes: HexBytes; readonly done?: number }
	/** What is behind some pages of memory. */
	| ({ readonly ask: "pages"; readonly memory: Name; readonly page: number; readonly count: number } & {
			readonly writable: boolean;
			readonly is: readonly Extent[] | Failed;
	  })
	/** Whether the process that has the memory is there; only when that is news. */
	| { readonly ask: "alive"; readonly memory: Name; readonly is: boolean }
	/** How many pages the process has locked itself; only when that is news. */
	| { readonly ask: "locked"; readonly memory: Name; readonly is: number }
	| { readonly ask: "capable"; readonly of: string; readonly is: boolean }
	/** RLIMIT_MEMLOCK in bytes; null for none. */
	| { readonly ask: "limit"; readonly owner: Name; readonly is: number | null }
	/** A user id; only when it is news. */
	| { readonly ask: "uid"; readonly owner: Name; readonly is: number }
	/** What an fd refers to. */
	| { readonly ask: "fd"; readonly fd: number; readonly is: FdMeaning }
	/** How long a file of shared memory is, in bytes. */
	| { readonly ask: "size"; readonly backing: Name; readonly is: number }
	/** Whether the caller could write to a file of shared memory; only if not. */
	| { readonly ask: "may write"; readonly backing: Name; readonly is: false }
	/** Gives the caller an fd for a new file. `lost`: there is none, and the file is released already. */
	| ({ readonly ask: "install"; readonly file: Name; readonly path: string } & {
			readonly is: number | Failed;
			readonly lost?: true;
	  })
	/** Which files have been closed, and mappings unmapped; only when there are any. `nth`: it is asked that often before, in this call. */
	| { readonly ask: "closed"; readonly nth: number; readonly is: readonly Name[] }
	/** The same as read and write, in a backing: what a device does. */
	| {
			readonly ask: "dma read";
			readonly backing: Name;
			readonly at: Hex;
			readonly length: number;
			readonly bytes: HexBytes;
	  }
	| {
			readonly ask: "dma write";
			readonly backing: Name;
			readonly at: Hex;
			readonly bytes: HexBytes;
			readonly done?: number;
	  };

export type FdMeaning =
	| { readonly file: Name }
	| { readonly backing: Name }
	| "eventfd"
	/** Open, and none of these. */
	| "other"
	| "not open";

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function toHex(bytes: Uint8Array): HexBytes {
	let text = "";
	for (const byte of bytes) text += digits[byte];
	return text;
}

export function fromHex(text: HexBytes): Uint8Array {
	const bytes = new Uint8Array(text.length / 2);
	for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
	return bytes;
}
