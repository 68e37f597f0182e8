// What the fds of a thread refer to, now. proc_pid_fdinfo(5), proc_pid_fd(5)
//
// A program closes and duplicates fds without us, so this is asked at every ioctl. The cheapest answer is to read
// /proc/TID/fdinfo/N once more through an fd that stays open: it shows the inode of what N refers to at the time of reading,
// and fails when N is closed or the thread is gone.

import { Errno } from "../../uapi/errno.js";
import type { HandedFiles, HeldFile } from "../files/files.js";
import { O_ACCMODE, O_CLOEXEC, O_NONBLOCK, O_PATH } from "../linux/flags.js";
import { close, errno, errors, NativeMemory, openat, pread, statx } from "../linux/libc.js";
import { openDirectory, readFileAt } from "../linux/proc.js";
import { AT_STATX_DONT_SYNC, Stat } from "../linux/stat.js";

/** So many fds of a thread are looked at in this way. */
const MOST_KEPT = 16;
/** Enough for pos, flags, mnt_id and ino, which come first. */
const INFO_BYTES = 128;

/** So many fds of ours it takes at most to get to know a thread of a new process, and which file an fd of it is. */
const ROOM = 6;

const info = new NativeMemory(INFO_BYTES);
const path = new NativeMemory(32);
/** "fd/N" of the fd that was looked at last, which is often the next one, too. */
const looked = { path: new NativeMemory(32), fd: -1 };
const stat = new Stat();

/** An fd of the thread, and what it was when we last looked. */
interface Descriptor {
	readonly fd: number;
	/** Our fd for its /proc/TID/fdinfo/N. */
	readonly info: number;
	/** What we read there, four bytes at a time. */
	readonly text: Uint32Array;
	length: number;
	file: HeldFile | undefined;
}

export class Descriptors {
	/** Our fd for /proc/TID. */
	directory: number;
	readonly #files: HandedFiles;
	readonly #kept = new Map<number, Descriptor>();
	#last: Descriptor | undefined;

	constructor(thread: number, files: HandedFiles) {
		this.directory = openDirectory(`/proc/${thread}`);
		this.#files = files;
	}

	/**
	 * Which of our files an fd is; undefined when it is none, is not open, or the thread is gone.
	 * @throws EMFILE when that can't be found out, because we have as many fds as we can have
	 */
	ourFile(fd: number): HeldFile | undefined {
		const last = this.#last;
		const descriptor = last !== undefined && last.fd === fd ? last : this.#keep(fd);
		if (descriptor === undefined) return undefined;
		this.#last = descriptor;
		const length = pread(descriptor.info, info.address, INFO_BYTES, 0);
		if (length <= 0) {
			this.#drop(descriptor);
			return undefined;
		}
		// What shows a device's registers is found at one place as long as it is mapped, whichever open of the device it is of then.
		if (!isSame(descriptor, length) || descriptor.file?.released) {
			descriptor.text.set(info.words);
			descriptor.length = length;
			descriptor.file = isNameOnly(textOf(descriptor)) ? undefined : this.#files.withInfo(info.bytes, length);
		}
		return descriptor.file?.released ? undefined : descriptor.file;
	}

	/** What open(2) was given for an fd that ourFile() has just found, O_CLOEXEC as it is now. */
	flagsOf(fd: number): number {
		const known = this.#kept.get(fd);
		return known === undefined ? 0 : flagsIn(textOf(known));
	}

	/** Whether an fd that ourFile() has just looked at is open, for more than its file's name: what fget() in fs/file.c finds. */
	isUsable(fd: number): boolean {
		const known = this.#kept.get(fd);
		return known !== undefined && !isNameOnly(textOf(known));
	}

	/** Looks at an fd that may be anything. @returns what statx(2) says of it; undefined when it is not open */
	stat(fd: number): Stat | undefined {
		if (fd < 0) return undefined;
		if (fd !== looked.fd) looked.path.setString(`fd/${fd}`);
		looked.fd = fd;
		const { directory } = this;
		return statx(directory, looked.path.address, AT_STATX_DONT_SYNC, Stat.MASK, stat.address) === 0 ? stat : undefined;
	}

	/** Whether an fd is an eventfd, which no other file says of itself. */
	isEventFd(fd: number): boolean {
		return /^eventfd-count:/m.test(this.infoOf(fd) ?? "");
	}

	/** All that /proc/TID/fdinfo/N says of an fd. */
	infoOf(fd: number): string | undefined {
		return readFileAt(this.directory, `fdinfo/${fd}`);
	}

	/** @returns an fd of ours for the regular file that an fd of the thread refers to, opened once more in the same way; or -1 */
	reopen(fd: number): number {
		const mode = this.flagsOf(fd) & O_ACCMODE;
		return openat(this.directory, path.setString(`fd/${fd}`), mode | O_NONBLOCK | O_CLOEXEC);
	}

	close(): void {
		for (const descriptor of this.#kept.values()) close(descriptor.info);
		this.#kept.clear();
		this.#last = undefined;
		if (this.directory !== -1) close(this.directory);
		this.directory = -1; // It may be asked still, by the call of a thread that has just been killed.
	}

	#keep(fd: number): Descriptor | undefined {
		const known = this.#kept.get(fd);
		if (known !== undefined || fd < 0) return known;
		const [oldest] = this.#kept.values();
		if (this.#kept.size >= MOST_KEPT) this.#drop(oldest);
		let own = this.#openInfo(fd);
		if (own === -1 && isOutOfFds()) {
			for (const descriptor of this.#kept.values()) this.#drop(descriptor);
			own = this.#openInfo(fd);
			if (own === -1 && isOutOfFds()) throw outOfFds;
		}
		if (own === -1) return undefined;
		const descriptor = { fd, info: own, text: new Uint32Array(INFO_BYTES / 4), length: 0, file: undefined };
		this.#kept.set(fd, descriptor);
		return descriptor;
	}

	#openInfo(fd: number): number {
		return openat(this.directory, path.setString(`fdinfo/${fd}`), O_CLOEXEC);
	}

	#drop(descriptor: Descriptor): void {
		close(descriptor.info);
		this.#kept.delete(descriptor.fd);
		if (this.#last === descriptor) this.#last = undefined;
	}
}

function textOf({ text, length }: Descriptor): string {
	return Buffer.from(text.buffer, 0, length).toString("latin1");
}

/** What open(2) was given, from /proc/TID/fdinfo/N. */
function flagsIn(text: string): number {
	return Number.parseInt(text.match(/^flags:\t(\d+)$/m)?.[1] ?? "0", 8);
}

/** An fd that was opened with O_PATH is EBADF to whoever wants to use its file. */
function isNameOnly(text: string): boolean {
	return (flagsIn(text) & O_PATH) !== 0;
}

/** Whether we can have the fds that it takes to look at a thread that is new to us. */
export function hasRoom(): boolean {
	const fds = Array.from({ length: ROOM }, () => openDirectory("/proc"));
	for (const fd of fds) if (fd !== -1) close(fd);
	return !fds.includes(-1);
}

/** Why a call is refused rather than left to the kernel, which would do something else with a file that may be ours. */
export const outOfFds = new Errno(
	"EMFILE",
	"ioasis has as many fds itself as its RLIMIT_NOFILE, or the system, allows",
	"fd-limit",
);

/** Whether that is why the last call failed. */
function isOutOfFds(): boolean {
	const problem = errno();
	return problem === errors.EMFILE || problem === errors.ENFILE;
}

/** What lies behind the end of the text may differ all the same: then it is only looked at once more. */
function isSame({ text, length }: Descriptor, newLength: number): boolean {
	if (length !== newLength) return false;
	const { words } = info;
	for (let i = 0; i * 4 < length; i++) if (text[i] !== words[i]) return false;
	return true;
}
