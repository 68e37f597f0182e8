// The machine's files as real ones, in a directory of our own: what a program opens in /sys is opened there, and handed over.
// Made when the first is asked for, so that who never looks pays nothing.
//
// A device's node there is one that anybody may make: a character device 0:0 (Linux 5.8). It can't be opened, and a listing
// shows it as what it is. Its number is put right where somebody asks for it.

import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import type { FileTree, Node } from "../../machine/file-tree.js";
import { Errno } from "../../uapi/errno.js";
import { OwnDirectory } from "../files/own-directory.js";
import { mknodat, NativeMemory, statx } from "../linux/libc.js";
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, Stat } from "../linux/stat.js";

const DIRECTORY_MODE = 0o755;
/** Devices are their owner's: whoever runs ioasis. */
export const DEVICE_MODE = 0o600;
const S_IFCHR = 0o020000;

const name = new NativeMemory(4096);
const stat = new Stat();

export class Shadow {
	readonly #directory: OwnDirectory;
	readonly #tree: () => FileTree;
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
		if (this.isMade) return;
		try {
			this.#directory.make(() => {
				this.#canonical = Buffer.from(realpathSync(this.directory)).toString("latin1");
				this.#makeNode("", this.#tree().root);
			});
		} catch (error) {
			throw new Errno(
				"EIO",
				`the machine's files can't be put into ${this.directory}, where TMPDIR has them: ${(error as Error).message}`,
			);
		}
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

	deviceAt(stat: Stat): string | undefined {
		const isHere = stat.deviceMajor === this.#major && stat.deviceMinor === this.#minor;
		return isHere ? this.#paths.get(stat.inode) : undefined;
	}
}
