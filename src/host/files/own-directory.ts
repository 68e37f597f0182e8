// A directory of our own, in which programs find real files: made when the first is asked for, and locked as long as we live. So
// the next of us knows, and removes, what those left who were killed. flock(2)

import { lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { O_CLOEXEC, O_RDONLY } from "../linux/flags.js";
import { close, flock, NativeMemory, open, succeed } from "../linux/libc.js";

const LOCK_EX = 2;
const LOCK_NB = 4;
/** Whoever makes one has taken its lock by then, in milliseconds. */
const TIME_TO_LOCK = 60_000;
/** What all of them are called. */
const NAME = /^ioasis-\d+-/;

const name = new NativeMemory(4096);

export class OwnDirectory {
	/** Where it is, or will be. */
	readonly path: string;
	#lock = -1;

	/** @param path with a name that NAME matches */
	constructor(path: string) {
		this.path = path;
	}

	get isMade(): boolean {
		return this.#lock !== -1;
	}

	/**
	 * Makes it, with what is in it.
	 * @throws Error of the system call or of `fill`; nothing is left then, and it can be made later
	 */
	make(fill: () => void): void {
		removeAbandoned(dirname(this.path));
		mkdirSync(this.path, { mode: 0o700 });
		try {
			this.#lock = succeed(open(name.setString(this.path), O_RDONLY | O_CLOEXEC), "open");
			flock(this.#lock, LOCK_EX | LOCK_NB);
			fill();
		} catch (error) {
			this.#clear();
			throw error;
		}
	}

	remove(): void {
		if (this.isMade) this.#clear();
	}

	/** As far as it was made. */
	#clear(): void {
		if (this.isMade) close(this.#lock);
		this.#lock = -1;
		rmSync(this.path, { recursive: true, force: true }); // takes an fd or some
	}
}

function removeAbandoned(parent: string): void {
	try {
		for (const entry of readdirSync(parent)) if (NAME.test(entry)) removeIfAbandoned(join(parent, entry));
	} catch {
		// Somebody else's to read, or gone meanwhile.
	}
}

/** The kernel has let go of the lock of one who was killed. */
function removeIfAbandoned(directory: string): void {
	const stat = lstatSync(directory, { throwIfNoEntry: false });
	if (!stat?.isDirectory() || stat.uid !== process.getuid?.() || Date.now() - stat.ctimeMs < TIME_TO_LOCK) return;
	const fd = open(name.setString(directory), O_RDONLY | O_CLOEXEC);
	if (fd === -1) return;
	if (flock(fd, LOCK_EX | LOCK_NB) === 0) rmSync(directory, { recursive: true, force: true });
	close(fd);
}
