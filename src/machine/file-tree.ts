// A tree of files that a machine shows: what path_resolution(7) needs to know of it, and no more.

export interface Directory {
	readonly kind: "directory";
	readonly entries: Map<string, Node>;
}

export interface RegularFile {
	readonly kind: "file";
	/** Permission bits. */
	readonly mode: number;
	/** Bytes may change. */
	readonly content: string | Uint8Array;
	/** What a write to it does; absent where it does nothing. @throws Errno */
	readonly store?: (text: string) => void;
}

export interface Link {
	readonly kind: "link";
	/** From the directory that the link is in. */
	readonly target: string;
}

export interface DeviceNode {
	readonly kind: "device";
	readonly major: number;
	readonly minor: number;
}

export type Node = Directory | RegularFile | Link | DeviceNode;

/** Where a path leads to. */
export interface Walk {
	/** Without links and "..", but for a last link that isn't followed. */
	readonly path: string;
	readonly node: Node | undefined;
	/** Why there is no node where the tree should have one. */
	readonly problem: "ENOENT" | "ENOTDIR" | "ELOOP" | undefined;
	/** Whether something that the tree owns was on the way, or is at the end. */
	readonly isInside: boolean;
	/** Paths outside of the tree that were taken for directories, because ".." comes after them. */
	readonly assumed: readonly string[];
}

/** Permission bits of a file that can be read, and of one that its owner can write. */
export const READ_ONLY = 0o444;
export const READ_WRITE = 0o644;
export const WRITE_ONLY = 0o200;

const MOST_LINKS = 40;

/** How far a walk has come. */
interface Place {
	/** "" for the root. */
	readonly path: string;
	readonly node: Node | undefined;
	readonly isOwned: boolean;
}

/**
 * Of some directories it has all that is in them: these it owns, and what isn't in the tree isn't there. Those above are only on
 * the way, and others have files in them, too.
 */
export class FileTree {
	readonly root: Directory = { kind: "directory", entries: new Map() };
	readonly #owned = new Set<string>();
	readonly #ownedBeginnings: string[] = [];

	/** Says that a path, and all below it, is what the tree says it is. */
	own(path: string): void {
		this.#owned.add(path);
	}

	/** The same for all paths that begin so. */
	ownAll(beginning: string): void {
		this.#ownedBeginnings.push(beginning);
	}

	addDirectory(path: string): Directory {
		let directory = this.root;
		for (const name of path.split("/").slice(1)) {
			const found = directory.entries.get(name) ?? { kind: "directory", entries: new Map() };
			if (found.kind !== "directory") throw new Error(`${path}: ${name} is no directory`);
			directory.entries.set(name, found);
			directory = found;
		}
		return directory;
	}

	/** @param store what a write to it does */
	addFile(path: string, content: string | Uint8Array, mode = READ_ONLY, store?: (text: string) => void): void {
		this.#add(path, store === undefined ? { kind: "file", mode, content } : { kind: "file", mode, content, store });
	}

	addDevice(path: string, major: number, minor: number): void {
		this.#add(path, { kind: "device", major, minor });
	}

	/** @param to an absolute path; the link goes there by the shortest way, as sysfs has it */
	addLink(path: string, to: string): void {
		this.#add(path, { kind: "link", target: relativePath(path, to) });
	}

	/** Where an absolute path leads to. What is outside of the tree is taken for directories. */
	walk(path: string, followsLast: boolean): Walk {
		const steps = path.split("/").reverse();
		const above: Place[] = [];
		let here: Place = { path: "", node: this.root, isOwned: false };
		let isInside = false;
		const assumed: string[] = [];
		const reached = (problem?: Walk["problem"]): Walk => ({
			path: here.path || "/",
			node: problem === undefined ? here.node : undefined,
			problem,
			isInside: isInside || problem !== undefined,
			assumed,
		});
		for (let links = 0; steps.length > 0; ) {
			const name = steps.pop()!;
			if (here.node === undefined && here.isOwned && name !== "") return reached("ENOENT");
			if (here.node !== undefined && here.node.kind !== "directory") return reached("ENOTDIR");
			if (name === "" || name === ".") continue;
			if (name === "..") {
				if (here.node === undefined) assumed.push(here.path);
				here = above.pop() ?? here;
				continue;
			}
			const next = this.#below(here, name);
			if (next.node?.kind === "link" && (followsLast || steps.length > 0)) {
				if (++links > MOST_LINKS) return reached("ELOOP");
				isInside = true;
				steps.push(...next.node.target.split("/").reverse());
				continue;
			}
			above.push(here);
			here = next;
			isInside ||= here.isOwned;
		}
		return reached(here.node === undefined && here.isOwned ? "ENOENT" : undefined);
	}

	#below({ path: above, node, isOwned }: Place, name: string): Place {
		const path = `${above}/${name}`;
		return {
			path,
			node: node?.kind === "directory" ? node.entries.get(name) : undefined,
			isOwned:
				isOwned || this.#owned.has(path) || this.#ownedBeginnings.some((beginning) => path.startsWith(beginning)),
		};
	}

	#add(path: string, node: Node): void {
		const slash = path.lastIndexOf("/");
		this.addDirectory(path.slice(0, slash)).entries.set(path.slice(slash + 1), node);
	}
}

/** From the directory that `from` is in to `to`. */
function relativePath(from: string, to: string): string {
	const there = to.split("/").slice(1);
	const here = from.split("/").slice(1, -1);
	let common = 0;
	while (common < here.length && here[common] === there[common]) common++;
	return [...here.slice(common).fill(".."), ...there.slice(common)].join("/");
}
