// Which of our files a program's path means, if any. It may be relative, lead through links, or be another name for a file of
// ours that is open already; path_resolution(7), proc_pid_fd(5).
//
// What is looked at on the way may change before the program's own call: no harm, it would only deceive itself.
// Not found: a link with a name unlike ours that lies within a chroot(2), or among mounts of the program's own.

import { posix } from "node:path";
import type { FileTree, Node, Walk } from "../../machine/file-tree.js";
import { close, NativeMemory } from "../linux/libc.js";
import { exists, openDirectory, readStatus } from "../linux/proc.js";
import { AT_FDCWD } from "../linux/stat.js";
import { readRemote } from "../memory/remote.js";
import { SHARED_DIRECTORIES, type Shadow } from "./shadow.js";
import { asWeSeeIt, isWithin, OurView, readLink, rootOf, TheirView, type View, type Viewer } from "./views.js";

/** Files of the engine that have no place in the machine's tree, because their paths have numbers in them. */
export interface FilePattern {
	/** The name that all of them have. */
	readonly name: string;
	/** What their paths are like, without links. */
	readonly path: RegExp;
}

const PATH_MAX = 4096;
const MOST_LINKS = 40;

/** Nothing else can be in the tree, unless a link or ".." leads there. */
const MAY_BE_IN_TREE = /^\/+(?:dev|sys)(?:\/|$)/;
const HAS_DOTS = /\/\.\.?(?:\/|$)/;
const HAS_DEV_OR_SYS = /\/(?:dev|sys)(?:\/|$)/;
/** What /proc and /dev have for an fd, and for the directories that are the thread's own. */
const THREADS_OWN = /^(\/proc\/(?:self|thread-self|\d+(?:\/task\/\d+)?)\/(?:fd\/\d+|cwd|root)|\/dev\/fd\/\d+)\/(.*)$/s;
/** Of a process, not of the thread that asks. */
const THEIR_OWN_PROCESS = /^\/proc\/self(?=\/(?:status|fail-nth)$)/;
const MEMFD = /^\/memfd:ioasis:(.*) \(deleted\)$/;

const theirs = new NativeMemory(PATH_MAX);
const pathBytes = Buffer.from(theirs.bytes.buffer);

/** Whose view of the file system: a thread that we have stopped. */
export interface Opener extends Viewer {
	/** Whether a link that the path ends in is followed: O_NOFOLLOW, RESOLVE_NO_SYMLINKS. */
	readonly followsLinks: boolean;
	/** Whether the starting point is also where an absolute path starts: RESOLVE_IN_ROOT. */
	readonly staysBelow: boolean;
}

export interface FoundNode {
	readonly kind: "node";
	readonly path: string;
	readonly node: Node;
}

export type Found =
	| FoundNode
	/** It would have to be in the tree, and isn't. */
	| { readonly kind: "missing"; readonly path: string; readonly problem: NonNullable<Walk["problem"]> }
	/** One of a pattern, and not in the tree. */
	| { readonly kind: "pattern"; readonly path: string };

export class Paths {
	readonly #tree: () => FileTree;
	readonly #shadow: Shadow;
	readonly #patterns: readonly FilePattern[];
	readonly #devices: () => readonly string[];
	/** Names of files that are looked for also where links to directories may lead to them. */
	#names: ReadonlySet<string> = new Set();
	/** The devices that the names are of. */
	#named: readonly string[] | undefined;

	/** @param devices their paths; another list when there are others */
	constructor(
		devices: () => readonly string[],
		tree: () => FileTree,
		shadow: Shadow,
		patterns: readonly FilePattern[],
	) {
		this.#devices = devices;
		this.#tree = tree;
		this.#shadow = shadow;
		this.#patterns = patterns;
	}

	/** The last names of our devices and other files. */
	#isNamed(name: string): boolean {
		const devices = this.#devices();
		if (devices !== this.#named) {
			this.#named = devices;
			const names = devices.map((path) => posix.basename(path));
			this.#names = new Set([...names, ...this.#patterns.map((pattern) => pattern.name)]);
		}
		return this.#names.has(name);
	}

	/** Which of ours a path is. Most are none, and that should be found out quickly. */
	find(opener: Opener, given: string): Found | undefined {
		const view = new OurView(opener);
		const found = this.#findBy(view, opener, given);
		return found === undefined || !view.hasLooked ? found : this.#findBy(new TheirView(opener), opener, given);
	}

	#findBy(view: View, opener: Opener, given: string): Found | undefined {
		let path = given.replace(THEIR_OWN_PROCESS, () => `/proc/${processOf(opener.thread)}`);
		if (opener.staysBelow) path = path.replace(/^\/+/, "");
		for (let links = 0; links < MOST_LINKS; links++) {
			const found = this.#byName(view, opener, path);
			// A link of the host's own may lead to a device of the host's that isn't on this machine: it isn't ours to break.
			if (found !== undefined) return found.kind === "missing" && links > 0 ? undefined : found;
			if (!opener.followsLinks) return undefined;
			const target = view.readLink(path);
			if (target === undefined) return undefined;
			// A file of ours by its name in /proc/PID/fd: that opens it once more.
			const reopened = this.nameOf(target) ?? target;
			path = reopened.startsWith("/") ? reopened : `${posix.dirname(path)}/${reopened}`;
		}
		return undefined;
	}

	/** What a link of /proc leads to, of which only a program's name for it should be known. */
	linkInProc(opener: Opener, path: string): string | undefined {
		if (!/^\d+$|^\/proc\/|^\/dev\/fd\//.test(path)) return undefined;
		const target = readLink(asWeSeeIt(opener, path));
		const name = target === undefined ? undefined : this.nameOf(target);
		return name !== undefined && new TheirView(opener).readLink(path) === target ? name : undefined;
	}

	/** The path of what an fd of a thread refers to, if that is ours. */
	nameOfFd(thread: number, fd: number): string | undefined {
		const target = readLink(`/proc/${thread}/fd/${fd}`);
		return target === undefined ? undefined : this.nameOf(target);
	}

	/** The path by which a program knows a file of ours, from what the kernel calls it. */
	nameOf(path: string): string | undefined {
		return path.match(MEMFD)?.[1] ?? this.#shadow.treePath(path);
	}

	/** Without looking at a link that the path ends in, unless it is in the tree. */
	#byName(view: View, opener: Opener, path: string): Found | undefined {
		const absolute = this.#absolute(opener, path);
		if (absolute !== undefined && (MAY_BE_IN_TREE.test(absolute) || mayLeadToTree(absolute))) {
			const found = this.#inTree(view, opener, absolute);
			if (found !== undefined) return found;
		}
		const name = posix.basename(path);
		if (!this.#isNamed(name)) return undefined;
		const directory = view.canonical(posix.dirname(path));
		if (directory === undefined) return undefined;
		const canonical = posix.join(directory, name);
		if (this.#patterns.some((pattern) => pattern.path.test(canonical))) return { kind: "pattern", path: canonical };
		return MAY_BE_IN_TREE.test(canonical) ? this.#inTree(view, opener, canonical) : undefined;
	}

	#inTree(view: View, opener: Opener, absolute: string): Found | undefined {
		const tree = this.#tree();
		const { path, node, problem, isInside, assumed } = tree.walk(absolute, opener.followsLinks);
		if (assumed.some((directory) => !view.isDirectory(directory))) return undefined;
		if (problem !== undefined) return { kind: "missing", path, problem };
		if (node === undefined) return undefined;
		// What is above the tree's own is the host's, where it has that; but out of the tree the kernel wouldn't find the way.
		if (!isInside && !SHARED_DIRECTORIES.includes(path) && exists(AT_FDCWD, path)) return undefined;
		return { kind: "node", path, node };
	}

	/** The path from the opener's root; undefined where that is of no interest. */
	#absolute(opener: Opener, path: string): string | undefined {
		let rest = path;
		let base = "";
		if (!path.startsWith("/")) base = readLink(asWeSeeIt(opener, ".").slice(0, -"/.".length)) ?? "";
		else {
			const own = path.startsWith("/proc/") || path.startsWith("/dev/fd/") ? path.match(THREADS_OWN) : null;
			if (own === null) return path;
			rest = own[2];
			base = readLink(asWeSeeIt(opener, own[1])) ?? "";
		}
		if (!base.startsWith("/")) return undefined;
		const inTree = this.#shadow.treePath(base);
		if (inTree !== undefined) return `${inTree}/${rest}`;
		const seen = `${base}/${rest}`;
		if (!HAS_DEV_OR_SYS.test(seen) || MAY_BE_IN_TREE.test(seen)) return seen;
		const root = rootOf(opener.thread);
		return root !== "/" && isWithin(base, root) ? `${base.slice(root.length)}/${rest}` : seen;
	}
}

/** That of its first thread. */
export function processOf(thread: number): number {
	const directory = openDirectory(`/proc/${thread}`);
	const status = readStatus(directory);
	close(directory);
	return status?.process ?? thread;
}

/** A path from the opener's root, without links and "..", if it leads anywhere; as we see it. */
export function canonicalPath(opener: Opener, path: string): string | undefined {
	return new OurView(opener).canonical(path);
}

/** The same as the opener does. */
export function canonicalPathOf(opener: Opener, path: string): string | undefined {
	return new TheirView(opener).canonical(path);
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

function mayLeadToTree(path: string): boolean {
	return HAS_DOTS.test(path) && HAS_DEV_OR_SYS.test(path);
}
