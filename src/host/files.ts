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
import { Errno } from "../uapi/errno.js";
import { reportInternalError } from "./internal-error.js";
import {
	close,
	errno,
	errorName,
	fcntl,
	inotifyAddWatch,
	inotifyInit,
	memfdCreate,
	NativeMemory,
	openat,
	poll,
	read,
	succeed,
} from "./libc.js";
import { readFileAt } from "./proc.js";
import { AT_FDCWD } from "./stat.js";

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
export interface HeldFile {
	readonly file: OpenFile;
	readonly inode: number;
	readonly watch: number;
	released: boolean;
}

export class HandedFiles {
	readonly #inotify = succeed(inotifyInit(IN_NONBLOCK | IN_CLOEXEC), "inotify_init1");
	readonly #byInode = new Map<number, HeldFile>();
	readonly #byWatch = new Map<number, HeldFile>();
	readonly #path = new NativeMemory(256);
	readonly #events = new NativeMemory(256 * EVENT_WORDS * 4);
	/** Where every memfd is: the kernel's own tmpfs. */
	#mount = "";

	/** How many are open. */
	get count(): number {
		return this.#byInode.size;
	}

	/** The file of ours that the text of a /proc/PID/fdinfo/N is about, if it is one. */
	withInfo(text: Uint8Array, length: number): HeldFile | undefined {
		const place = placeIn(text, length);
		return place?.mount === this.#mount ? this.#byInode.get(place.inode) : undefined;
	}

	/**
	 * Makes the fd that a client will get. It has to be closed here as soon as the client has it, or can't have it:
	 * from now on the file is released when nobody has it any more.
	 * @param flags the client's flags of open(2)
	 * @throws Errno ENOMEM when we can have no more of them; the file is released then
	 */
	create(file: OpenFile, flags: number): number {
		const name = this.#path.setString(`ioasis:${file.path}`);
		const memfd = memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (memfd === -1) {
			file.release();
			throw new Errno("ENOMEM", `ioasis can't have more files open itself (${errorName(errno())})`);
		}
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
		const place = placeOf(fd);
		if (watch === -1 || place === undefined) {
			close(fd);
			file.release();
			throw new Errno("ENOMEM", "fs.inotify.max_user_watches allows no more open files");
		}
		this.#mount = place.mount;
		const held = { file, inode: place.inode, watch, released: false };
		this.#byInode.set(held.inode, held);
		this.#byWatch.set(watch, held);
		return fd;
	}

	/** Releases what has been closed since the last time. @returns whether that was anything */
	settle(): boolean {
		const before = this.#byInode.size;
		if (before === 0) return false;
		const { words, address, bytes } = this.#events;
		for (;;) {
			const length = read(this.#inotify, address, bytes.length);
			if (length <= 0) return this.#byInode.size < before;
			for (let at = 0; at < length / 4; at += EVENT_WORDS) {
				const mask = words[at + 1];
				if (mask & IN_DELETE_SELF) this.#release(this.#byWatch.get(words[at]));
				else if (mask & IN_Q_OVERFLOW) this.#releaseLost();
			}
		}
	}

	/** Waits for something to be closed. May return early. */
	wait(milliseconds: number): void {
		this.#events.words[0] = this.#inotify;
		this.#events.words[1] = POLLIN;
		poll(this.#events.address, 1, Math.ceil(milliseconds));
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
		held.released = true;
		try {
			held.file.release();
		} catch (error) {
			reportInternalError(error, `the release of ${held.file.path}`);
		}
	}

	/** More was closed at once than the queue holds (fs.inotify.max_queued_events), so look which watches are left. */
	#releaseLost(): void {
		const watches = readFileSync(`/proc/self/fdinfo/${this.#inotify}`, "latin1").matchAll(/^inotify wd:([0-9a-f]+)/gm);
		const alive = new Set(Array.from(watches, ([, wd]) => Number.parseInt(wd, 16)));
		for (const held of this.#byWatch.values()) if (!alive.has(held.watch)) this.#release(held);
	}
}

/** Which file an fd refers to. */
interface Place {
	readonly mount: string;
	readonly inode: number;
}

/** Of a file that we have open ourselves. */
function placeOf(fd: number): Place | undefined {
	const text = readFileAt(AT_FDCWD, `/proc/self/fdinfo/${fd}`);
	return text === undefined ? undefined : parsePlace(text);
}

function placeIn(bytes: Uint8Array, length: number): Place | undefined {
	return parsePlace(Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("latin1"));
}

/** proc_pid_fdinfo(5); the inode is there since Linux 5.14. */
function parsePlace(text: string): Place | undefined {
	const match = text.match(/^mnt_id:\t(\d+)\nino:\t(\d+)$/m);
	return match === null ? undefined : { mount: match[1], inode: Number(match[2]) };
}
