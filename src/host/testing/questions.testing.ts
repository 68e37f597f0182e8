// What the clients in the tests of this room ask the fake machine, by ioctl.

/** The ioctl that asks. Its argument points to { u32 length; char text[]; }: JSON, overwritten by the answer. */
export const ASK = 0x3bfe;
export const ASK_BYTES = 4096;
/** What it returns when the question could be answered. */
export const ANSWERED = 42;
/** One shaped like IOMMU_IOAS_ALLOC: { u32 size, flags, out }, where `out` is counted up. */
export const COUNT = 0x3b81;

/** What the fake machine has. The second is always busy, the third has FakeRegisters. */
export const PATHS = ["/dev/iommu", "/dev/vfio/vfio", "/dev/vfio/devices/vfio0"];

export type Question =
	/** Who is asking, and on which file? */
	| { what: "who" }
	/** Which files are open, and which were? "settle": after asking the host to look. The last few, of many. */
	| { what: "files" | "settle" }
	/** How many are open, and how many were? */
	| { what: "totals" }
	/** What is behind these pages? */
	| { what: "resolve"; address: number; pages: number; writable?: boolean }
	/** Of a backing that was named in an answer. */
	| { what: "read"; backing: number; at: number; length: number }
	| { what: "write"; backing: number; at: number; text: string }
	/** Forget all backings. */
	| { what: "forget" }
	| { what: "file"; fd: number }
	/** Pin the first page of a file of shared memory, or of none any more. */
	| { what: "pin"; fd: number | undefined }
	/** Signal an eventfd. */
	| { what: "signal"; fd: number }
	/** Signal one eventfd whenever somebody signals another, until it is closed. */
	| { what: "answer"; fd: number; to: number }
	| { what: "install" }
	/** Give me a queue of texts. */
	| { what: "queue"; writable: boolean }
	| { what: "push"; text: string }
	/** What was written to it. */
	| { what: "written" }
	/** Let two pages that begin with a text be mapped. @returns the offset */
	| { what: "add region"; text: string }
	/** How often is that mapped, and what is in it? Afterwards there is "device" in it, too, at 8. */
	| { what: "region" }
	/** Wait until a gate is open. @returns how often the call was made */
	| { what: "pass"; gate: string }
	/** Open it. @returns how many waited */
	| { what: "open gate"; gate: string }
	/** Have those who wait at it look again. */
	| { what: "wake"; gate: string }
	/** Work in slices until a gate is open, and map something. */
	| { what: "work"; gate: string }
	/** How many do? */
	| { what: "working" }
	/** Which call has mapped something last? */
	| { what: "mapper" }
	/** How many wait at it? */
	| { what: "waiting"; gate: string }
	/** End the supervisor's thread. */
	| { what: "end the thread" }
	/** Throw what is no Errno. */
	| { what: "bug" }
	| { what: "sleep"; milliseconds: number };

/** The answers, where the question has one of its own. */
export interface Who {
	file: number;
	path: string;
	thread: number;
	/** Things are numbered in the order in which they were first seen, so that it shows whether two are the same. */
	memory: number;
	owner: number;
	alive: boolean;
	uid: number;
	/** -1 for no limit */
	memlock: number;
	/** Pages that the process has locked itself. */
	locked: number;
	ipcLock: boolean;
}

export interface Files {
	open: number[];
	released: number[];
}

export interface Stretch {
	backing: number;
	name: string;
	page: number;
	count: number;
}

export interface Region {
	mappings: number;
	text: string;
}
