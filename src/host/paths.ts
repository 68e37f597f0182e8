// Which of our paths an open(2) means, if any. The program's path may be relative, lead through links, or be another name for
// a file of ours that is open already; path_resolution(7), proc_pid_fd(5).
//
// What is looked at on the way may change before the program's own call: no harm, it would only deceive itself.
// Not found: a link with a name unlike ours that lies within a chroot(2).

import { posix } from "node:path";
import { O_CLOEXEC, O_PATH } from "./flags.js";
import { close, NativeMemory, open, readlinkat } from "./libc.js";
import { openDirectory, readStatus } from "./proc.js";
import { readRemote } from "./remote.js";
import { AT_FDCWD } from "./stat.js";

/** What find() answers with for the status of a process, with its number. */
export const STATUS_PATH = /^\/proc\/(\d+)\/status$/;
/** The same for fail-nth: of a process's first thread, or of one of them. */
export const FAIL_NTH_PATH = /^\/proc\/(\d+)(?:\/task\/(\d+))?\/fail-nth$/;

const PATH_MAX = 4096;
const MOST_LINKS = 40;

const theirs = new NativeMemory(PATH_MAX);
const pathBytes = Buffer.from(theirs.bytes.buffer);
const ours = new NativeMemory(2 * PATH_MAX);
const link = new NativeMemory(PATH_MAX);

/** Whose view of the file system: a thread that we have stopped. */
export interface Opener {
	readonly thread: number;
	/** What a relative path starts from: an fd of it, or AT_FDCWD. */
	readonly directory: number;
	/** Whether a link that the path ends in is followed: O_NOFOLLOW, RESOLVE_NO_SYMLINKS. */
	readonly followsLinks: boolean;
	/** Whether the starting point is also where an absolute path starts: RESOLVE_IN_ROOT. */
	readonly staysBelow: boolean;
}

export class Paths {
	readonly #paths: ReadonlySet<string>;
	readonly #names: ReadonlySet<string>;

	constructor(paths: readonly string[]) {
		this.#paths = new Set(paths);
		this.#names = new Set([...paths.map((path) => posix.basename(path)), "status", "fail-nth"]);
	}

	/**
	 * Which of ours a path is, or which STATUS_PATH or FAIL_NTH_PATH. Most are none, and that should be found out quickly.
	 */
	find(opener: Opener, given: string): string | undefined {
		let path = given.replace(/^\/proc\/self(?=\/(?:status|fail-nth)$)/, () => `/proc/${processOf(opener.thread)}`);
		if (opener.staysBelow) path = path.replace(/^\/+/, "");
		for (let links = 0; links < MOST_LINKS; links++) {
			if (this.#paths.has(path)) return path;
			if (this.#names.has(posix.basename(path))) {
				const canonical = posix.join(canonicalDirectory(opener, posix.dirname(path)), posix.basename(path));
				if (this.#paths.has(canonical) || STATUS_PATH.test(canonical) || FAIL_NTH_PATH.test(canonical))
					return canonical;
			}
			const target = readLink(asWeSeeIt(opener, path));
			if (target === undefined || !opener.followsLinks) return undefined;
			// A file of ours by its name in /proc/PID/fd: that opens the device once more.
			const reopened = target.match(/^\/memfd:ioasis:(.*) \(deleted\)$/)?.[1];
			path = reopened ?? (target.startsWith("/") ? target : `${posix.dirname(path)}/${target}`);
		}
		return undefined;
	}
}

/** That of its first thread. */
function processOf(thread: number): number {
	const directory = openDirectory(`/proc/${thread}`);
	const status = readStatus(directory);
	close(directory);
	return status?.process ?? thread;
}

/** A path from the opener's root, without links and "..". */
export function canonicalPath(opener: Opener, path: string): string {
	return canonicalDirectory(opener, path);
}

/** A path in the memory of a thread. Undefined when it isn't all there; the kernel then says what is wrong with it. */
export function readPath(thread: number, address: number): string | undefined {
	let length = 0;
	// Most paths are short; a read that reaches into the next page costs more, and fails if that isn't mapped.
	for (const size of [256, PATH_MAX]) {
		length = readRemote(thread, address, theirs.address, size);
		if (length <= 0) return undefined;
		const end = theirs.bytes.indexOf(0);
		if (end !== -1 && end < length) return pathBytes.toString("latin1", 0, end);
	}
	return undefined;
}

/** The path by which we come to where the opener comes. */
function asWeSeeIt({ thread, directory }: Opener, path: string): string {
	if (!path.startsWith("/")) return `/proc/${thread}/${directory === AT_FDCWD ? "cwd" : `fd/${directory}`}/${path}`;
	if (!path.startsWith("/proc/") && !path.startsWith("/dev/")) return path;
	return path
		.replace(/^\/dev\/(?=fd\/)/, "/proc/self/")
		.replace(/^\/dev\/std(in|out|err)$/, (_, name) => `/proc/self/fd/${["in", "out", "err"].indexOf(name)}`)
		.replace(/^\/proc\/(self|thread-self)(?=\/|$)/, `/proc/${thread}`);
}

/** A directory's path from the opener's root, without links and "..". What doesn't exist is taken by its name. */
function canonicalDirectory(opener: Opener, path: string): string {
	const root = readLink(`/proc/${opener.thread}/root`) ?? "/";
	const seen = asWeSeeIt(opener, path);
	// From outside of a chroot(2) its ".." would lead out of it.
	const isInside = root === "/" || seen.startsWith("/proc/");
	const fd = open(latin1(isInside ? seen : root + posix.normalize(seen)), O_PATH | O_CLOEXEC);
	if (fd === -1) {
		const parent = posix.dirname(path);
		return parent === path ? path : posix.join(canonicalDirectory(opener, parent), posix.basename(path));
	}
	const canonical = readLink(`/proc/self/fd/${fd}`) ?? path;
	close(fd);
	return posix.join("/", root !== "/" && isWithin(canonical, root) ? canonical.slice(root.length) : canonical);
}

function isWithin(path: string, directory: string): boolean {
	return path === directory || path.startsWith(`${directory}/`);
}

function readLink(path: string): string | undefined {
	const length = readlinkat(AT_FDCWD, latin1(path), link.address, link.bytes.length);
	return length <= 0 ? undefined : Buffer.from(link.bytes.buffer, 0, length).toString("latin1");
}

/** A path of bytes, one character each, as the kernel wants it. */
function latin1(path: string): number {
	const written = Buffer.from(ours.bytes.buffer).write(path, 0, ours.bytes.length - 1, "latin1");
	ours.bytes[written] = 0;
	return ours.address;
}
