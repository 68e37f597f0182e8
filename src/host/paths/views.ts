// How we look into the file system for a program: at what its paths lead to. path_resolution(7)
//
// Most paths are none of ours, and that should be found out quickly: so we first look with our own eyes, which see too much where a root
// run has children that have given up their privileges, and another file where one has another root directory or mounts of its own.
// What seems to be ours by such a look is looked at once more as the program itself would: with its rights, from its root directory.

import { constants } from "node:fs";
import { posix } from "node:path";
import { withRightsOf } from "../linux/credentials.js";
import { O_CLOEXEC, O_PATH } from "../linux/flags.js";
import { close, NativeMemory, open, openat, openat2, readlinkat } from "../linux/libc.js";
import { inodeOf, openDirectory } from "../linux/proc.js";
import { AT_FDCWD } from "../linux/stat.js";

const { O_DIRECTORY, O_NOFOLLOW } = constants;

const PATH_MAX = 4096;
const RESOLVE_IN_ROOT = 0x10;

/** What asWeSeeIt() makes of what is a thread's own. */
const OWN_PART = /^(\/proc\/(\d+)\/(?:fd\/\d+|cwd|root))(?:\/+(.*))?$/s;

/** A thread, and what its relative paths start from: an fd of it, or AT_FDCWD. */
export interface Viewer {
	readonly thread: number;
	readonly directory: number;
}

export interface View {
	/** What a link leads to; undefined for what is no link, or can't be seen. */
	readLink(path: string): string | undefined;
	/** Whether a path is a directory, and no link to one. */
	isDirectory(path: string): boolean;
	/**
	 * A directory's path from the viewer's root, without links and "..". What doesn't exist is taken by its name; undefined where
	 * that is "..".
	 */
	canonical(path: string): string | undefined;
}

const ours = new NativeMemory(2 * PATH_MAX);
const link = new NativeMemory(PATH_MAX);
/** The path of an fd itself. */
const empty = new NativeMemory(4);
/** struct open_how of openat2(2), in words: flags, mode and resolve, u64 each. */
const how = new NativeMemory(24);

/** With our rights, from our root. */
export class OurView implements View {
	readonly #viewer: Viewer;
	/** Whether anything was looked at yet. */
	hasLooked = false;

	constructor(viewer: Viewer) {
		this.#viewer = viewer;
	}

	readLink(path: string): string | undefined {
		this.hasLooked = true;
		return readLink(asWeSeeIt(this.#viewer, path));
	}

	isDirectory(path: string): boolean {
		this.hasLooked = true;
		const fd = open(latin1(asWeSeeIt(this.#viewer, path)), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return lookedAt(fd, () => true) ?? false;
	}

	canonical(path: string): string | undefined {
		this.hasLooked = true;
		const root = rootOf(this.#viewer.thread);
		const seen = asWeSeeIt(this.#viewer, path);
		// From outside of a chroot(2) its ".." would lead out of it.
		const isInside = root === "/" || seen.startsWith("/proc/");
		const fd = open(latin1(isInside ? seen : root + posix.normalize(seen)), O_PATH | O_CLOEXEC);
		return lookedAt(fd, () => canonicalOf(fd, root)) ?? byParent(this, path);
	}
}

/** With the viewer's rights, from its root. */
export class TheirView implements View {
	readonly #viewer: Viewer;
	readonly #root: string;
	/** Whether its root isn't ours. */
	readonly #isElsewhere: boolean;

	constructor(viewer: Viewer) {
		const { thread } = viewer;
		this.#viewer = viewer;
		this.#root = rootOf(thread);
		const mounts = inodeOf(AT_FDCWD, `/proc/${thread}/ns/mnt`);
		this.#isElsewhere = this.#root !== "/" || mounts !== inodeOf(AT_FDCWD, "/proc/self/ns/mnt");
	}

	readLink(path: string): string | undefined {
		const seen = asWeSeeIt(this.#viewer, path);
		// What a thread knows of itself, though /proc may not say it to others of its user.
		if (ownPart(this.#viewer.thread, seen)?.rest === "") return readLink(seen);
		return this.#look(seen, O_NOFOLLOW, (fd) => readLinkAt(fd, empty.setString("")));
	}

	isDirectory(path: string): boolean {
		return this.#look(asWeSeeIt(this.#viewer, path), O_DIRECTORY | O_NOFOLLOW, () => true) ?? false;
	}

	canonical(path: string): string | undefined {
		const seen = asWeSeeIt(this.#viewer, path);
		return this.#look(seen, 0, (fd) => canonicalOf(fd, this.#root)) ?? byParent(this, path);
	}

	/**
	 * Opens the name of what a path leads to.
	 * @param seen by asWeSeeIt()
	 * @returns what was found out of it; undefined where it doesn't lead anywhere, or not for the viewer
	 */
	#look<T>(seen: string, flags: number, findOut: (fd: number) => T): T | undefined {
		const { start, rest, isRoot } = this.#startOf(seen);
		const all = flags | O_PATH | O_CLOEXEC;
		const fd = withRightsOf(this.#viewer.thread, () =>
			isRoot ? openInRoot(start, rest, all) : openat(start, latin1(rest), all),
		);
		if (start !== AT_FDCWD) close(start);
		return lookedAt(fd ?? -1, findOut);
	}

	/** Where the look begins, which we open with our own rights, and what the viewer's then are for. */
	#startOf(seen: string): { start: number; rest: string; isRoot: boolean } {
		const { thread } = this.#viewer;
		const own = ownPart(thread, seen);
		const fromRoot = own === undefined ? seen : withinRoot(readLink(own.path), this.#root, own.rest);
		if (this.#isElsewhere && fromRoot !== undefined && !fromRoot.startsWith("/proc/"))
			return { start: openDirectory(`/proc/${thread}/root`), rest: fromRoot, isRoot: true };
		if (own === undefined) return { start: AT_FDCWD, rest: seen, isRoot: false };
		return { start: openDirectory(own.path), rest: own.rest === "" ? "." : own.rest, isRoot: false };
	}
}

/** What is found out of an fd, which is closed then; undefined for -1. */
function lookedAt<T>(fd: number, findOut: (fd: number) => T): T | undefined {
	if (fd === -1) return undefined;
	const found = findOut(fd);
	close(fd);
	return found;
}

/** A path of a thread's own directories and files in /proc, and what comes after it. */
function ownPart(thread: number, seen: string): { path: string; rest: string } | undefined {
	const [, path, number, rest = ""] = seen.match(OWN_PART) ?? [];
	return path === undefined || Number(number) !== thread ? undefined : { path, rest };
}

/** A path from a root directory, of something below what we see as `base`; undefined where that isn't within. */
function withinRoot(base: string | undefined, root: string, rest: string): string | undefined {
	if (base === undefined || !base.startsWith("/")) return undefined;
	if (root === "/") return `${base}/${rest}`;
	return isWithin(base, root) ? `${base.slice(root.length)}/${rest}` : undefined;
}

function openInRoot(root: number, path: string, flags: number): number {
	how.words.fill(0);
	how.setU64(0, flags);
	how.setU64(4, RESOLVE_IN_ROOT);
	return openat2(root, latin1(path), how.address, how.bytes.length);
}

/** What doesn't exist is taken by its name. */
function byParent(view: View, path: string): string | undefined {
	const parent = posix.dirname(path);
	if (parent === path) return path;
	const above = posix.basename(path) === ".." ? undefined : view.canonical(parent);
	return above === undefined ? undefined : posix.join(above, posix.basename(path));
}

/** @param fd of a directory's name */
function canonicalOf(fd: number, root: string): string {
	const canonical = readLink(`/proc/self/fd/${fd}`) ?? "";
	return posix.join("/", root !== "/" && isWithin(canonical, root) ? canonical.slice(root.length) : canonical);
}

/** The root directory of a thread, as we see it. */
export function rootOf(thread: number): string {
	return readLink(`/proc/${thread}/root`) ?? "/";
}

export function isWithin(path: string, directory: string): boolean {
	return path === directory || path.startsWith(`${directory}/`);
}

/** The path by which we come to where the viewer comes. */
export function asWeSeeIt({ thread, directory }: Viewer, path: string): string {
	if (!path.startsWith("/")) return `/proc/${thread}/${directory === AT_FDCWD ? "cwd" : `fd/${directory}`}/${path}`;
	if (!path.startsWith("/proc/") && !path.startsWith("/dev/")) return path;
	return path
		.replace(/^\/dev\/(?=fd\/)/, "/proc/self/")
		.replace(/^\/dev\/std(in|out|err)$/, (_, name) => `/proc/self/fd/${["in", "out", "err"].indexOf(name)}`)
		.replace(/^\/proc\/(self|thread-self)(?=\/|$)/, `/proc/${thread}`);
}

/** With our own rights. */
export function readLink(path: string): string | undefined {
	return readLinkAt(AT_FDCWD, latin1(path));
}

function readLinkAt(directory: number, path: number): string | undefined {
	const length = readlinkat(directory, path, link.address, link.bytes.length);
	return length <= 0 ? undefined : Buffer.from(link.bytes.buffer, 0, length).toString("latin1");
}

/** A path of bytes, one character each, as the kernel wants it. */
function latin1(path: string): number {
	const written = Buffer.from(ours.bytes.buffer).write(path, 0, ours.bytes.length - 1, "latin1");
	ours.bytes[written] = 0;
	return ours.address;
}
