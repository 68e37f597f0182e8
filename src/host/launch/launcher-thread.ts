// The thread that puts the filter on itself and starts the program, which inherits it; and the program's parent. It is a
// worker, because a filter is a thread's own: the supervisor's thread must not be stopped by it.
//
// It waits for the program, and for whatever the program leaves running: children.ts. (As the parent of them all this process also
// keeps the right to look into their memory where yama restricts that to a process's ancestors.) posix_spawn(3)

import { parentPort, workerData } from "node:worker_threads";
import { canCopyFds } from "../linux/fd-copies.js";
import { RLIMIT_NOFILE } from "../linux/flags.js";
import {
	environ,
	errno,
	errors,
	fcntl,
	gettid,
	ioctl,
	mallopt,
	NativeMemory,
	posixSpawnattrInit,
	posixSpawnattrSetflags,
	posixSpawnattrSetsigdefault,
	posixSpawnattrSetsigmask,
	posixSpawnFileActionsAddclose,
	posixSpawnFileActionsInit,
	posixSpawnp,
	prctl,
	prlimit,
	SystemError,
	signals,
} from "../linux/libc.js";
import { sendAtDeathsOnly } from "../linux/signals.js";
import { FAREWELL } from "../trap/filter.js";
import { installFilter } from "../trap/seccomp.js";
import { waitForAll } from "./children.js";
import { Handshake } from "./handshake.js";

export interface LauncherData {
	readonly handshake: SharedArrayBuffer;
	/** The program's name and arguments, as the bytes that they are. */
	readonly program: readonly Uint8Array[];
	/** The fds that it inherits. */
	readonly fds: readonly number[];
	/** The soft RLIMIT_NOFILE that it gets, if not ours. */
	readonly fileLimit: number | undefined;
	/** Children that we had before: who ran exec(3) on us may have had some. They are none of our business. */
	readonly others: readonly number[];
}

/** What it tells the main thread, in this order; after "failed" there is nothing more. */
export type LauncherMessage =
	| { readonly kind: "started"; readonly pid: number }
	| { readonly kind: "failed"; readonly call: "seccomp" | "posix_spawn"; readonly errno: number }
	/** As wait(2) gives it. */
	| { readonly kind: "ended"; readonly status: number };

const F_SETFD = 2;
const PR_SET_CHILD_SUBREAPER = 36;
/** <malloc.h> */
const M_TRIM_THRESHOLD = -1;
const LARGEST_INT = 0x7fffffff;
const POSIX_SPAWN_SETSIGDEF = 4;
const POSIX_SPAWN_SETSIGMASK = 8;

/** The two that glibc uses within a program; its posix_spawn() leaves them ignored, as no shell does. */
const IGNORED_BY_GLIBC = [32, 33];

/** Larger than a sigset_t, a posix_spawnattr_t or a posix_spawn_file_actions_t of any C library. */
const SPAWN_ATTRIBUTES_BYTES = 1024;
const SIGNAL_SET_BYTES = 128;

const data: LauncherData = workerData;
const handshake = new Handshake(data.handshake);

if (handshake.waitForMachine()) launch();

function launch(): void {
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sendAtDeathsOnly(signals.SIGCHLD);
	const program = stringArray(data.program);
	const attributes = spawnAttributes();
	const pid = new NativeMemory(4);
	const environment = environ();
	for (const fd of data.fds) fcntl(fd, F_SETFD, 0); // libuv made all of them close-on-exec.
	// glibc opens /proc/sys/vm/overcommit_memory when it first makes a heap smaller, with that heap locked. If the supervisor has
	// memory of the same heap, and this thread's open waits for the supervisor, neither goes on. So no heap gets smaller.
	mallopt(M_TRIM_THRESHOLD, LARGEST_INT);

	let listener: number;
	try {
		listener = installFilter(!canCopyFds());
	} catch (error) {
		handshake.announceListener(undefined, 0);
		tell({ kind: "failed", call: "seccomp", errno: error instanceof SystemError ? error.errno : errors.EIO });
		return;
	}
	handshake.announceListener(listener, gettid());
	const actions = spawnActions(listener);
	// From here on this thread's own calls are trapped too, and answered as everybody's.
	const failure = withFileLimit(data.fileLimit, () =>
		posixSpawnp(pid.address, program.u64(0), actions.address, attributes.address, program.address, environment),
	);
	if (failure === 0) {
		tell({ kind: "started", pid: pid.words[0] });
		waitForAll(pid.words[0], new Set(data.others), handshake, (status) => tell({ kind: "ended", status }));
	} else tell({ kind: "failed", call: "posix_spawn", errno: failure });
	sayFarewell();
}

/** A signal may end the call before the supervisor has received it: without it, it would wait for ever. */
function sayFarewell(): void {
	while (ioctl(-1, FAREWELL, 0) === -1 && errno() === errors.EINTR);
}

/**
 * The child that is to become the program has a copy of the listener until its execve(2), which it is stopped at. If we are killed
 * then, nobody must have it any more: else it would wait for an answer for ever.
 */
function spawnActions(listener: number): NativeMemory {
	const actions = new NativeMemory(SPAWN_ATTRIBUTES_BYTES);
	posixSpawnFileActionsInit(actions.address);
	posixSpawnFileActionsAddclose(actions.address, listener);
	return actions;
}

/** Undoes what Node has changed of the signals for itself, and exec(3) would leave as it is. */
function spawnAttributes(): NativeMemory {
	const attributes = new NativeMemory(SPAWN_ATTRIBUTES_BYTES);
	const ignored = new NativeMemory(SIGNAL_SET_BYTES);
	const none = new NativeMemory(SIGNAL_SET_BYTES);
	for (const signal of [signals.SIGPIPE, signals.SIGXFSZ, ...IGNORED_BY_GLIBC])
		ignored.words[(signal - 1) >> 5] |= 1 << ((signal - 1) & 31);
	posixSpawnattrInit(attributes.address);
	posixSpawnattrSetflags(attributes.address, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posixSpawnattrSetsigdefault(attributes.address, ignored.address);
	posixSpawnattrSetsigmask(attributes.address, none.address);
	return attributes;
}

/** Does something with another soft RLIMIT_NOFILE, and so starts a program that has it. */
function withFileLimit<T>(soft: number | undefined, action: () => T): T {
	const before = new NativeMemory(16);
	if (soft === undefined || prlimit(0, RLIMIT_NOFILE, 0, before.address) === -1) return action();
	const lowered = new NativeMemory(16);
	lowered.words.set(before.words);
	lowered.setU64(0, soft);
	prlimit(0, RLIMIT_NOFILE, lowered.address, 0);
	try {
		return action();
	} finally {
		prlimit(0, RLIMIT_NOFILE, before.address, 0);
	}
}

/** A `char *[]` with NULL at its end, and behind it the strings. */
function stringArray(strings: readonly Uint8Array[]): NativeMemory {
	const pointers = (strings.length + 1) * 8;
	const bytes = strings.reduce((sum, string) => sum + string.length + 1, pointers);
	const memory = new NativeMemory((bytes + 3) & ~3);
	let at = pointers;
	strings.forEach((string, i) => {
		memory.setU64(i * 2, memory.address + at);
		memory.bytes.set(string, at);
		at += string.length + 1;
	});
	return memory;
}

function tell(message: LauncherMessage): void {
	parentPort!.postMessage(message);
}
