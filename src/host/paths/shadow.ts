// The machine's files as real ones, in a directory of our own: what a program opens in /sys is opened there, and handed over.
// Made when the first is asked for, so that who never looks pays nothing.
//
// A device's node there is one that anybody may make: a character device 0:0 (Linux 5.8). It can't be opened, and a listing
// shows it as what it is. Its number is put right where somebody asks for it.

import { chmodSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { FileTree, Node } from "../../machine/file-tree.js";
import { Errno } from "../../uapi/errno.js";
import { OwnDirectory } from "../files/own-directory.js";
import { mknodat, NativeMemory, statx } from "../linux/libc.js";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, Stat } from "../linux/stat.js";

/** The host's directories in which programs look for the machine's files by listing them: these have what both have. */
export const SHARED_DIRECTORIES: readonly string[] = ["/sys/module"];

const DIRECTORY_MODE = 0o755;
/** Devices are their owner's: whoever runs ioasis. */
export const DEVICE_MODE = 0o600;
const OWNER_WRITES = 0o200;
const S_IFCHR = 0o020000;

const name = new NativeMemory(4096);
const stat = new Stat();

export class Shadow {
	readonly #directory: OwnDirectory;
	readonly #tree: () => FileTree;
	/** What is there, once it is made. */
	#shown: FileTree | undefined;
	/** The same without links, as the kernel names it: bytes, one character each. */
	#canonical = "";
	readonly #nodes = new Stand();

	/** @param directory see OwnDirectory */
	constructor(tree: () => FileTree, directory: string) {
		this.#tree = tree;
		this.#directory = new OwnDirectory(directory);
	}

	get isMade(): boolean {
		return this.#directory.isMade;
	}

	/** Where it is, or will be. */
	get directory(): string {
		return this.#directory.path;
	}

	/** The real path of a path in the tree. */
	realPath(path: string): string {
		return this.directory + path;
	}

	/** The path in the tree of a real path, if it is one. */
	treePath(path: string): string | undefined {
		if (!this.isMade || !path.startsWith(this.#canonical)) return undefined;
		const rest = path.slice(this.#canonical.length);
		if (rest === "") return "/";
		return rest.startsWith("/") ? rest : undefined;
	}

	/** The path of the device that a file of ours stands for. */
	deviceAt(stat: Stat): string | undefined {
		return this.#nodes.deviceAt(stat);
	}

	/** @throws EIO where there is no room, or it isn't ours to write to */
	make(): void {
		if (this.isMade) {
			this.update();
			return;
		}
		const tree = this.#tree();
		try {
			this.#directory.make(() => {
				this.#canonical = Buffer.from(realpathSync(this.directory)).toString("latin1");
				this.#makeNode("", tree.root);
				for (const path of SHARED_DIRECTORIES) this.#addHosts(path, tree.walk(path, false).node);
			});
			this.#shown = tree;
		} catch (error) {
			throw new Errno(
				"EIO",
				`the machine's files can't be put into ${this.directory}, where TMPDIR has them: ${(error as Error).message}`,
				"tmpdir",
			);
		}
	}

	/** Shows what the machine has by now, where it is another tree. */
	update(): void {
		if (!this.isMade) return;
		const tree = this.#tree();
		if (tree === this.#shown) return;
		this.#change("", this.#shown!.root, tree.root);
		this.#shown = tree;
	}

	/** Puts into a file what is in it now, if that can change. */
	refresh(path: string, node: Node): void {
		if (node.kind !== "file" || typeof node.content === "string") return;
		try {
			writeFileSync(this.realPath(path), node.content, { flag: "r+" }); // Somebody may be reading it.
		} catch {
			// Who opens it will see why.
		}
	}

	remove(): void {
		this.#directory.remove();
	}

	/** Makes of what was there at a path what is there now. What is the same stays as it is: somebody may have it open. */
	#change(path: string, before: Node, now: Node): void {
		if (before.kind === "directory" && now.kind === "directory") {
			for (const [entry, child] of before.entries)
				if (!now.entries.has(entry)) this.#removeNode(`${path}/${entry}`, child);
			for (const [entry, child] of now.entries) {
				const known = before.entries.get(entry);
				if (known === undefined) this.#makeNode(`${path}/${entry}`, child);
				else this.#change(`${path}/${entry}`, known, child);
			}
		} else if (before.kind === "file" && now.kind === "file" && before.mode === now.mode) {
			// What its owner can't write, an ordinary user can't, and so puts another in its place.
			if (before.content !== now.content && !(now.mode & OWNER_WRITES)) rmSync(this.realPath(path));
			if (before.content !== now.content) this.#makeNode(path, now);
		} else if (!isSame(before, now)) {
			this.#removeNode(path, before);
			this.#makeNode(path, now);
		}
	}

	#removeNode(path: string, node: Node): void {
		if (node.kind === "directory")
			for (const [entry, child] of node.entries) this.#removeNode(`${path}/${entry}`, child);
		if (node.kind === "device") this.#nodes.remove(path);
		rmSync(this.realPath(path), { recursive: true, force: true });
	}

	#makeNode(path: string, node: Node): void {
		const real = this.realPath(path);
		switch (node.kind) {
			case "directory":
				if (path !== "") mkdirSync(real);
				chmodSync(real, DIRECTORY_MODE); // whatever the umask is
				for (const [entry, child] of node.entries) this.#makeNode(`${path}/${entry}`, child);
				break;
			case "file":
				writeFileSync(real, node.content);
				chmodSync(real, node.mode);
				break;
			case "link":
				symlinkSync(node.target, real);
				break;
			case "device":
				this.#makeDevice(path, real);
		}
	}

	/** Links to what the host has in a directory, and the machine hasn't. */
	#addHosts(path: string, node: Node | undefined): void {
		if (node?.kind !== "directory") return;
		let hosts: string[] = [];
		try {
			hosts = readdirSync(path);
		} catch {
			// It has none, or hides it.
		}
		for (const name of hosts)
			if (!node.entries.has(name)) symlinkSync(`${path}/${name}`, this.realPath(`${path}/${name}`));
	}

	#makeDevice(path: string, real: string): void {
		const address = name.setString(real);
		// For overlayfs 0:0 means something else, but root can make 0:1. Without either its kind in a listing is wrong, no more.
		const isMade = [0, 1].some((number) => mknodat(AT_FDCWD, address, S_IFCHR | DEVICE_MODE, number) === 0);
		if (!isMade) writeFileSync(real, "");
		chmodSync(real, DEVICE_MODE);
		if (statx(AT_FDCWD, name.setString(real), AT_SYMLINK_NOFOLLOW, Stat.MASK, stat.address) === 0)
			this.#nodes.add(stat, path);
	}
}

/** Of links and devices. */
function isSame(one: Node, other: Node): boolean {
	if (one.kind === "link" && other.kind === "link") return one.target === other.target;
	return one.kind === "device" && other.kind === "device" && one.major === other.major && one.minor === other.minor;
}

/** Files of one file system that stand for devices. */
class Stand {
	#major = -1;
	#minor = -1;
	readonly #paths = new Map<number, string>();

	add(stat: Stat, path: string): void {
		this.#major = stat.deviceMajor;
		this.#minor = stat.deviceMinor;
		this.#paths.set(stat.inode, path);
	}

	remove(path: string): void {
		for (const [inode, known] of this.#paths) if (known === path) this.#paths.delete(inode);
	}

	deviceAt(stat: Stat): string | undefined {
		const isHere = stat.deviceMajor === this.#major && stat.deviceMinor === this.#minor;
		return isHere ? this.#paths.get(stat.inode) : undefined;
	}
}
