// The files that clients have open with us, and how we hear that one is closed for the last time.
//
// Each open is an empty memfd of its own, whose inode number says which open it is, whatever fd it has by now and in
// whichever process: dup(2), fork(2), SCM_RIGHTS and mmap(2) work on it without us. The program holds the only references.
// An inotify watch on it reports IN_DELETE_SELF when the last fd, the last copy and the last mapping are gone, before the
// close(2), munmap(2) or exit(2) that did it returns; that is the file's release. memfd_create(2), inotify(7)
//
// (IN_CLOSE_WRITE would say so too, but since Linux 6.14 it isn't sent for the fd that memfd_create() returns. An O_PATH fd,
// which a program can get by opening /proc/self/fd/N with that flag, delays the release; in Linux it would not.)

import { readFileSync } from "node:fs";
import type { OpenFile } from "../iommufd/caller.js";
import {
	close,
	fcntl,
	inotifyAddWatch,
	inotifyInit,
	memfdCreate,
	NativeMemory,
	openat,
	poll,
	read,
	statx,
	succeed,
} from "./libc.js";
import { AT_EMPTY_PATH, AT_FDCWD, Stat } from "./stat.js";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_SEAL_SEAL = 1;
const F_SEAL_SHRINK = 2;
const F_SEAL_GROW = 4;
const F_SETFL = 4;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_DELETE_SELF = 0x400;
const IN_Q_OVERFLOW = 0x4000;
const POLLIN = 1;

const O_ACCMODE = 3;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
/** What fcntl(F_SETFL) can set: O_APPEND, O_NONBLOCK, O_ASYNC. */
const STATUS_FLAGS = 0o2000 | 0o4000 | 0o20000;

/** sizeof(struct inotify_event): wd, mask, cookie, len. A watch on a file has no name behind it. */
const EVENT_WORDS = 4;

/** One open of one of our paths, as long as somebody has it. */
interface HeldFile {
	readonly file: OpenFile;
	readonly inode: number;
	readonly watch: number;
}

export class HandedFiles {
	readonly #inotify = succeed(inotifyInit(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1");
	readonly #byInode = new Map<number, HeldFile>();
	readonly #byWatch = new Map<number, HeldFile>();
	readonly #path = new NativeMemory(256);
	readonly #stat = new Stat();
	readonly #events = new NativeMemory(256 * EVENT_WORDS * 4);
	/** The device number of every memfd: that of the kernel's own tmpfs. */
	#deviceMajor = -1;
	#deviceMinor = -1;

	/** How many are open. */
	get count(): number {
		return this.#byInode.size;
	}

	/** The file that a stat is of, if it is one of ours. */
	at(stat: Stat): OpenFile | undefined {
		if (stat.deviceMinor !== this.#deviceMinor || stat.deviceMajor !== this.#deviceMajor) return undefined;
		return this.#byInode.get(stat.inode)?.file;
	}

	/**
	 * Makes the fd that a client will get. It has to be closed here as soon as the client has it, or can't have it:
	 * from now on the file is released when nobody has it any more.
	 * @param flags the client's flags of open(2)
	 * @throws SystemError EMFILE, ENFILE or ENOMEM; the file is not taken then
	 */
	create(file: OpenFile, flags: number): number {
		const memfd = succeed(memfdCreate(this.#path.setString(`ioasis:${file.path}`), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
		// What a client writes to the file is nothing, and takes no memory.
		fcntl(memfd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
		let fd = memfd;
		const link = this.#path.setString(`/proc/self/fd/${memfd}`);
		if ((flags & O_ACCMODE) !== O_RDWR) {
			// The client sees the flags in F_GETFL, and mmap(2) goes by them.
			fd = openat(AT_FDCWD, link, (flags & O_ACCMODE) | O_CLOEXEC);
			if (fd === -1) fd = memfd;
		}
		if (flags & STATUS_FLAGS) fcntl(fd, F_SETFL, flags & STATUS_FLAGS);
		const watch = inotifyAddWatch(this.#inotify, link, IN_DELETE_SELF);
		if (fd !== memfd) close(memfd);
		try {
			succeed(watch, "inotify_add_watch");
			succeed(statx(fd, this.#path.setString(""), AT_EMPTY_PATH, Stat.MASK, this.#stat.address), "statx");
		} catch (error) {
			close(fd);
			throw error;
		}
		this.#deviceMajor = this.#stat.deviceMajor;
		this.#deviceMinor = this.#stat.deviceMinor;
		const held = { file, inode: this.#stat.inode, watch };
		this.#byInode.set(held.inode, held);
		this.#byWatch.set(watch, held);
		return fd;
	}

	/** Releases what has been closed since the last time. */
	settle(): void {
		if (this.#byInode.size === 0) return;
		const { words, address, bytes } = this.#events;
		for (;;) {
			const length = read(this.#inotify, address, bytes.length);
			if (length <= 0) return;
			for (let at = 0; at < length / 4; at += EVENT_WORDS) {
				const mask = words[at + 1];
				if (mask & IN_DELETE_SELF) this.#release(this.#byWatch.get(words[at]));
				else if (mask & IN_Q_OVERFLOW) this.#releaseLost();
			}
		}
	}

	/** Waits for something to be closed. */
	wait(milliseconds: number): void {
		this.#events.words[0] = this.#inotify;
		this.#events.words[1] = POLLIN;
		poll(this.#events.address, 1, milliseconds);
	}

	/** Releases all that is left, whoever may have it. @returns what it was */
	abandon(): OpenFile[] {
		const left = [...this.#byInode.values()];
		for (const held of left) this.#release(held);
		return left.map((held) => held.file);
	}

	#release(held: HeldFile | undefined): void {
		if (held === undefined) return;
		this.#byInode.delete(held.inode);
		this.#byWatch.delete(held.watch);
		held.file.release();
	}

	/** More was closed at once than the queue holds (fs.inotify.max_queued_events), so look which watches are left. */
	#releaseLost(): void {
		const watches = readFileSync(`/proc/self/fdinfo/${this.#inotify}`, "latin1").matchAll(/^inotify wd:([0-9a-f]+)/gm);
		const alive = new Set(Array.from(watches, ([, wd]) => Number.parseInt(wd, 16)));
		for (const held of this.#byWatch.values()) if (!alive.has(held.watch)) this.#release(held);
	}
}
