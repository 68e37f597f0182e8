// What a recording consists of: everything that a program asked of the engine, everything that the engine had to ask to answer,
// the answers, and what devices did. docs/record.md describes it for people. How it is written down is another matter:
// machine/record/entry-bytes.ts, question-bytes.ts, json-lines.ts.

import type { ErrnoCode } from "../uapi/errno.js";
import type { DmaAccess } from "./event.js";

/** A number by which the recording names a process's memory, a backing, an owner of pinned memory or an open file. */
export type Name = number;

/** An address or an offset in bytes. Beyond 2^53, where no memory is, it is rounded; the last is 2^64. */
export type Address = number;

/** Why there is no other answer. */
export interface Failed {
	readonly errno: ErrnoCode;
	/** For people: it changes between versions, and isn't compared. */
	readonly reason: string;
}

/** The first entry. */
export interface Start {
	readonly kind: "start";
	readonly version: number;
	/** The machine's description, as a file in machines/ has it. */
	readonly machine: unknown;
	/** The rule by which page tables are allocated. */
	readonly policy: string;
	/** How much memory clients could have ioasis use, in bytes: what was beyond it is ENOMEM in a replay, too. */
	readonly memory?: number;
	/** ioasis's own version, and the program with its arguments. */
	readonly ioasis?: string;
	readonly program?: readonly string[];
	/** When it began, in milliseconds since 1970. */
	readonly began?: number;
}

/** What a name stands for, before it is first used. */
export interface Named {
	readonly kind: "memory" | "backing" | "owner";
	readonly id: Name;
	/** For people: "memory of process 4711", "memfd:guest-ram". */
	readonly name: string;
}

/** What happens at a time. */
interface Timed {
	/** Since the recording began, in microseconds. Absent in old recordings. */
	readonly time?: number;
}

/** What somebody waits for. */
interface Called extends Timed {
	/** How long it took us, in microseconds. */
	readonly took?: number;
	/** Thread id. */
	readonly thread?: number;
	/** What the engine asked, in this order; absent for nothing. */
	readonly asked?: readonly Question[];
	readonly answer: number | Failed;
}

export interface Opened extends Called {
	readonly kind: "open";
	readonly path: string;
	/** The new file's name, or why there is none. */
	readonly answer: Name | Failed;
}

export interface Ioctl extends Called {
	readonly kind: "ioctl";
	readonly file: Name;
	readonly thread: number;
	/** The caller's memory, and who is accounted for what it pins. */
	readonly memory: Name;
	readonly owner: Name;
	/** What it is called depends on the file: commandOf(). */
	readonly number: number;
	readonly argument: Address;
	/** The struct at `argument` before, as far as it is known and could be read. */
	readonly in?: Uint8Array;
	/** The same after; absent when nothing was written to it. */
	readonly out?: Uint8Array;
}

/** Something was written to a file of /sys that has an effect. The answer is 0, or why it was refused. */
export interface Stored extends Called {
	readonly kind: "store";
	readonly path: string;
	readonly text: string;
}

/** read(2) and write(2) on a queue of events. */
export interface Transfer extends Called {
	readonly kind: "read" | "write";
	readonly file: Name;
	readonly memory: Name;
	readonly at: Address;
	readonly length: number;
}

/** pread(2) and pwrite(2) on the regions of a device. */
export interface Access extends Called {
	readonly kind: "pread" | "pwrite";
	readonly file: Name;
	readonly memory: Name;
	readonly at: Address;
	readonly length: number;
	readonly position: Address;
}

export interface Mapped extends Called {
	readonly kind: "mmap";
	readonly file: Name;
	readonly offset: Address;
	readonly length: number;
	/** The name of the mapping, or why there is none. */
	readonly answer: Name | Failed;
}

/** A file was closed, or a mapping unmapped, for the last time. */
export interface Released extends Timed {
	readonly kind: "release";
	readonly what: Name;
}

/** What the engine asked while no call was under way: a device that did something by itself. */
export interface Aside extends Timed {
	readonly kind: "aside";
	readonly asked: readonly Question[];
}

/** A call couldn't be answered yet. It is made again from its start, and is an entry of its own then. */
export interface Parked extends Timed {
	readonly kind: "parked";
	readonly thread: number;
	/** What it waits for, in words. */
	readonly reason: string;
}

/** A device reads or writes memory. Comes before the call that had it do so. */
export interface DmaDone extends Timed, DmaAccess {
	readonly kind: "dma";
}

/** What a device or the engine says that no call's answer says. Comes before the call that it is about, if any. */
export interface Told extends Timed {
	/** stale: a DMA used what the IOMMU had cached, and the tables say something else by now. */
	readonly kind: "stale" | "interrupt" | "device" | "remark";
	/** "0000:00:02.0"; absent of a remark. */
	readonly device?: string;
	/** Of what is stale. */
	readonly pasid?: number;
	readonly iova?: bigint;
	/** A sentence. */
	readonly message: string;
}

export type Call = Opened | Stored | Ioctl | Transfer | Access | Mapped;
export type Entry = Start | Named | Call | Released | Aside | Parked | DmaDone | Told;

/** Whether somebody waited for an answer. */
export function isCall(entry: Entry): entry is Call {
	return "answer" in entry;
}

/** Pages of a backing: its name, the first page, and how many. */
export type Extent = readonly [backing: Name, page: number, count: number];

/** What the engine asks of its surroundings while it answers, and what it was told. */
export type Question =
	/** Copies memory; fewer bytes than the length were all that could be read. */
	| {
			readonly ask: "read";
			readonly memory: Name;
			readonly at: Address;
			readonly length: number;
			readonly bytes: Uint8Array;
	  }
	/** Copies to memory: that is a part of the answer, and compared. `done` says how many bytes, when not all. */
	| {
			readonly ask: "write";
			readonly memory: Name;
			readonly at: Address;
			readonly bytes: Uint8Array;
			readonly done?: number;
	  }
	/** What is behind some pages of memory. */
	| {
			readonly ask: "pages";
			readonly memory: Name;
			readonly page: number;
			readonly count: number;
			readonly writable: boolean;
			readonly is: readonly Extent[] | Failed;
	  }
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
	| {
			readonly ask: "install";
			readonly file: Name;
			readonly path: string;
			readonly is: number | Failed;
			readonly lost?: true;
	  }
	/** Which files have been closed, and mappings unmapped; only when there are any. `nth`: it is asked that often before, in this call. */
	| { readonly ask: "closed"; readonly nth: number; readonly is: readonly Name[] }
	/** The same as read and write, in a backing: what a device does. */
	| {
			readonly ask: "dma read";
			readonly backing: Name;
			readonly at: Address;
			readonly length: number;
			readonly bytes: Uint8Array;
	  }
	| {
			readonly ask: "dma write";
			readonly backing: Name;
			readonly at: Address;
			readonly bytes: Uint8Array;
			readonly done?: number;
	  };

export type FdMeaning =
	| { readonly file: Name }
	| { readonly backing: Name }
	| "eventfd"
	/** Open, and none of these. */
	| "other"
	| "not open";
