// The files that clients have open with us, and how we hear that one is closed for the last time. Event queues are something
// else: see queues.ts.
//
// Each open is an empty memfd of its own, whose inode number says which open it is, whatever fd it has by now and in
// whichever process: dup(2), fork(2), SCM_RIGHTS and mmap(2) work on it without us. The program holds the only references.
// An inotify watch on it reports IN_DELETE_SELF when the last fd, the last copy and the last mapping are gone, before the
// close(2), munmap(2) or exit(2) that did it returns; that is the file's release. memfd_create(2), inotify(7)
//
// (IN_CLOSE_WRITE would say so too, but since Linux 6.14 it isn't sent for the fd that memfd_create() returns. An O_PATH fd,
// which a program can get by opening /proc/self/fd/N with that flag, delays the release; in Linux it would not.)

import { readFileSync, readSync, writeFileSync } from "node:fs";
import { allocation } from "../../faults/faults.js";
import type { Share } from "../../faults/memory-budget.js";
import {
	type DeviceMemory,
	isPositioned,
	isQueue,
	type MappableFile,
	type OpenFile,
	type ReadableFile,
} from "../../files/open-file.js";
import { PAGE_SIZE } from "../../memory/address-space.js";
import { MovableMemory } from "../../memory/movable-memory.js";
import { Errno } from "../../uapi/errno.js";
import { Refusal } from "../failure.js";
import { reportInternalError } from "../internal-error.js";
import { EPOLLERR, EPOLLIN, type Events } from "../linux/events.js";
import { F_SETFL, O_ACCMODE, O_APPEND, O_CLOEXEC, O_RDONLY, O_RDWR } from "../linux/flags.js";
import {
	close,
	errno,
	errorName,
	errors,
	fcntl,
	inotifyAddWatch,
	inotifyInit,
	memfdCreate,
	NativeMemory,
	openat,
	poll,
	read,
} from "../linux/libc.js";
import { readFileAt } from "../linux/proc.js";
import { F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK } from "../linux/seals.js";
import { AT_FDCWD, type Stat, statOf } from "../linux/stat.js";
import { FunctionMemory } from "../memory/function-memory.js";
import type { ShownFile } from "../memory/shown-file.js";
import { ShownMemory } from "../memory/shown-memory.js";
import { DeviceName } from "./device-name.js";
import { QueuePipe } from "./queues.js";
import type { StoredFile } from "./stored-file.js";

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const IN_DELETE_SELF = 0x400;
const IN_MODIFY = 2;
const IN_CLOSE_WRITE = 8;
const IN_CLOSE = 0x18;
const IN_Q_OVERFLOW = 0x4000;
const POLLIN = 1;

/** What fcntl(F_SETFL) can set: O_APPEND, O_NONBLOCK, O_ASYNC. */
const STATUS_FLAGS = 0o2000 | 0o4000 | 0o20000;

/** sizeof(struct inotify_event): wd, mask, cookie, len. A watch on a file has no name behind it. */
const EVENT_WORDS = 4;

/** A file of /sys that is open, and what is written to it where we aren't asked. */
interface StoredOpen {
	readonly held: HeldFile;
	readonly file: StoredFile;
	/** Ours, by which we read it. */
	readonly memfd: number;
	/** How much of it we have taken up. */
	taken: number;
}

/** What a file takes, in bytes, with what the engine has for it: a device's, a queue's. */
const FILE_BYTES = 4096;

/** One open of one of our paths, as long as somebody has it. */
export interface HeldFile {
	readonly file: OpenFile;
	/** What it is known by, see placeIn(). */
	readonly place: string;
	released: boolean;
	/** What it shows to those who have mapped something of it, from the first of them on. */
	shown: ShownFile | undefined;
	/** The place of that, at which it is found too. */
	shownPlace: string | undefined;
	/** Gives back what we have because of it. */
	forget(): void;
}

export class HandedFiles {
	readonly #inotify = startInotify();
	/** Tells that something was closed. */
	readonly #told: Events;
	readonly #budget: Share;
	readonly #held = new Set<HeldFile>();
	/** A file that shows memory can be found at two places. */
	readonly #byPlace = new Map<string, HeldFile>();
	/** Our fds for devices' names, by their paths. */
	readonly #nameFds = new Map<string, number>();
	/** The numbers of the mounts that those are on: that of all memfds, and that of all pipes. */
	readonly #mounts = new Set<string>();
	/** Those that nobody has but through what they show. */
	readonly #lingering = new Set<HeldFile>();
	readonly #byWatch = new Map<number, HeldFile>();
	/** Files of /sys, by their watches. */
	readonly #stored = new Map<number, StoredOpen>();
	/** Is told what was written to one of them, where we aren't asked. */
	whenStored: (file: StoredFile, text: Uint8Array) => void = () => {};
	readonly #path = new NativeMemory(256);
	/** Where all memfds are: the numbers of the device and of the mount. */
	#deviceMajor = -1;
	#deviceMinor = -1;
	#mount = "";
	readonly #events = new NativeMemory(256 * EVENT_WORDS * 4);
	/** What has been read of them, and not looked at yet: watches and masks. */
	readonly #unseen: { readonly watch: number; readonly mask: number }[] = [];

	/** @param budget what open files are charged to */
	constructor(events: Events, budget: Share) {
		this.#told = events;
		this.#budget = budget;
		events.add(this.#inotify, EPOLLIN, () => this.#readEvents());
	}

	/** How many are open. */
	get count(): number {
		return this.#held.size;
	}

	/** The file of ours that the text of a /proc/PID/fdinfo/N is about, if it is one. */
	withInfo(text: Uint8Array, length: number): HeldFile | undefined {
		const place = placeIn(Buffer.from(text.buffer, text.byteOffset, length).toString("latin1"));
		return place === undefined ? undefined : this.#byPlace.get(place);
	}

	/** The file of ours that something is about, if it is one; not a queue. */
	withStat(stat: Pick<Stat, "deviceMajor" | "deviceMinor" | "inode">): HeldFile | undefined {
		if (stat.deviceMajor !== this.#deviceMajor || stat.deviceMinor !== this.#deviceMinor) return undefined;
		return this.#byPlace.get(`${this.#mount}:${stat.inode}`);
	}

	/** Whether one of our files has this inode number; another file on another file system may have it, too. */
	hasInode(inode: number): boolean {
		for (const mount of this.#mounts) if (this.#byPlace.has(`${mount}:${inode}`)) return true;
		return false;
	}

	/**
	 * Makes the fd that a client will get. It has to be closed here as soon as the client has it, or can't have it:
	 * from now on the file is released when nobody has it any more.
	 * @param flags the client's flags of open(2)
	 * @throws Errno ENOMEM when we can have no more of them, or that is to fail; the file is released then
	 */
	create(file: OpenFile, flags: number): number {
		try {
			allocation("an open file");
			this.#budget.charge(FILE_BYTES);
		} catch (error) {
			file.release();
			throw error;
		}
		const isPipe = isQueue(file) && !isPositioned(file);
		const fd = isPipe ? this.#createQueue(file) : this.#createMemfd(file, flags);
		if (fd !== undefined) return fd;
		const problem = errorName(errno());
		this.#budget.uncharge(FILE_BYTES);
		file.release();
		throw new Errno("ENOMEM", `ioasis can't have more files open itself (${problem})`, "fd-limit");
	}

	/**
	 * An fd to hand over for a device that a program opens by its name only: see DeviceName. The same file as often as it is asked for.
	 * @returns -1 when we can have no more
	 */
	openName(path: string): number {
		let fd = this.#nameFds.get(path);
		if (fd === undefined) {
			fd = memfdCreate(this.#path.setString(`ioasis:${path}`), MFD_CLOEXEC);
			const place = placeOf(fd);
			if (place === undefined) return -1;
			this.#rememberMount(fd, place);
			this.#put(
				place,
				heldBy(new DeviceName(path), place, () => {}),
			);
			this.#nameFds.set(path, fd);
		}
		return openat(AT_FDCWD, this.#path.setString(`/proc/self/fd/${fd}`), O_RDONLY | O_CLOEXEC);
	}

	#createQueue(file: ReadableFile): number | undefined {
		const pipe = QueuePipe.create(file.writable);
		if (pipe === undefined) return undefined;
		const place = placeOf(pipe.theirs);
		if (place === undefined) {
			pipe.close();
			close(pipe.theirs);
			return undefined;
		}
		const held = this.#hold(file, place, () => {
			file.onReadableChange = undefined;
			this.#told.remove(pipe.ours);
			pipe.close();
		});
		this.#told.add(pipe.ours, EPOLLERR, () => this.#release(held));
		file.onReadableChange = () => {
			pipe.readable = file.readable;
		};
		return pipe.theirs;
	}

	#createMemfd(file: OpenFile, flags: number): number | undefined {
		const name = this.#path.setString(`ioasis:${file.path}`);
		const memfd = memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (memfd === -1) return undefined;
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
		const place = placeOf(fd);
		const watch = place === undefined ? -1 : inotifyAddWatch(this.#inotify, link, IN_DELETE_SELF);
		if (fd !== memfd) close(memfd);
		if (place === undefined || watch === -1) {
			close(fd); // errno() stays: ENOSPC for fs.inotify.max_user_watches
			return undefined;
		}
		this.#rememberMount(fd, place);
		const held = this.#hold(file, place, () => this.#byWatch.delete(watch));
		this.#byWatch.set(watch, held);
		return fd;
	}

	/**
	 * Makes the fd for a file of /sys that does something when it is written: of a memfd, in which lies what is written to it where we aren't asked.
	 * @param flags the client's flags of open(2)
	 * @returns an fd of ours, or -1
	 */
	createStored(file: StoredFile, flags: number): number {
		const memfd = memfdCreate(this.#path.setString(`ioasis:${file.path}`), MFD_CLOEXEC);
		if (memfd === -1) return -1;
		if (file.content.length > 0) writeFileSync(memfd, file.content);
		const link = this.#path.setString(`/proc/self/fd/${memfd}`);
		const fd = openat(AT_FDCWD, link, (flags & O_ACCMODE) | O_APPEND | O_CLOEXEC);
		const place = fd === -1 ? undefined : placeOf(fd);
		const watch = place === undefined ? -1 : inotifyAddWatch(this.#inotify, link, IN_MODIFY | IN_CLOSE_WRITE);
		if (place === undefined || watch === -1) {
			if (fd !== -1) close(fd);
			close(memfd);
			return -1;
		}
		this.#rememberMount(fd, place);
		const held = this.#hold(file, place, () => {
			this.#stored.delete(watch);
			close(memfd); // and with the last of it the watch goes
		});
		this.#stored.set(watch, { held, file, memfd, taken: file.content.length });
		return fd;
	}

	/** Takes up what was written to files of /sys. Who looks at one sees what came of it. */
	settleStored(): void {
		if (this.#stored.size > 0) this.#readEvents();
	}

	/** Everything that was written since the last time, as one text: who writes twice looks what came of it before. */
	#take(stored: StoredOpen): void {
		const text = readFrom(stored.memfd, stored.taken);
		if (text.length === 0) return;
		stored.taken += text.length;
		this.whenStored(stored.file, text);
	}

	/** Of one memfd, where all are. */
	#rememberMount(memfd: number, place: string): void {
		const stat = statOf(memfd);
		if (stat !== undefined) [this.#deviceMajor, this.#deviceMinor] = [stat.deviceMajor, stat.deviceMinor];
		this.#mount = mountOf(place);
	}

	#hold(file: OpenFile, place: string, forget: () => void): HeldFile {
		const held = heldBy(file, place, forget);
		this.#held.add(held);
		this.#put(place, held);
		return held;
	}

	#put(place: string, held: HeldFile): void {
		this.#byPlace.set(place, held);
		this.#mounts.add(mountOf(place));
	}

	/**
	 * Shows what an mmap(2) is about, which counts as mapped from now on.
	 * @param length whole pages
	 * @throws what the file throws, ENOMEM
	 */
	map(held: HeldFile, offset: number, length: number): ShownFile {
		const { backing, release } = (held.file as MappableFile).mmap(offset, length);
		const shown = held.shown ?? this.#show(held, backing);
		if (shown === undefined) {
			release();
			throw new Errno("ENOMEM", "ioasis can't have more files open itself", "fd-limit");
		}
		// A device doesn't want to know who has mapped it.
		if (backing instanceof MovableMemory && shown instanceof ShownMemory) shown.add({ backing, release }, offset);
		else release();
		return shown;
	}

	#show(held: HeldFile, backing: MovableMemory | DeviceMemory): ShownFile | undefined {
		const shown = backing instanceof FunctionMemory ? backing : ShownMemory.of(held.file);
		if (shown === undefined) return undefined;
		const place = placeOf(shown.fd);
		if (place === undefined) {
			shown.release();
			return undefined;
		}
		held.shown = shown;
		held.shownPlace = place;
		this.#put(place, held);
		// Only to be woken: isInUse says whether it was the last.
		inotifyAddWatch(this.#inotify, this.#path.setString(`/proc/self/fd/${shown.fd}`), IN_CLOSE);
		return shown;
	}

	/** Releases mappings that are gone. */
	settleMappings(): void {
		for (const { shown } of this.#held) if (shown instanceof ShownMemory) shown.dropUnmapped();
	}

	/** Releases what its mappings alone have kept, once they are gone. Of all else the events tell. */
	settle(): void {
		for (const held of this.#lingering) if (!held.shown?.isInUse) this.#release(held);
	}

	#readEvents(): void {
		const { words, address, bytes } = this.#events;
		for (;;) {
			const length = read(this.#inotify, address, bytes.length);
			if (length <= 0) return;
			for (let at = 0; at < length / 4; at += EVENT_WORDS) this.#unseen.push({ watch: words[at], mask: words[at + 1] });
			this.#lookAtUnseen();
		}
	}

	/** A release may take long, and who is served meanwhile looks at what comes after it. */
	#lookAtUnseen(): void {
		for (let event = this.#unseen.shift(); event !== undefined; event = this.#unseen.shift()) {
			const { watch, mask } = event;
			const stored = this.#stored.get(watch);
			if (stored !== undefined) {
				this.#take(stored);
				if (mask & IN_CLOSE_WRITE) this.#release(stored.held);
			} else if (mask & IN_DELETE_SELF) this.#gone(this.#byWatch.get(watch));
			else if (mask & IN_Q_OVERFLOW) this.#releaseLost();
		}
	}

	/** Waits for something to be closed. May return early. */
	wait(milliseconds: number): void {
		this.#events.words.set([this.#told.fd, POLLIN]);
		poll(this.#events.address, 1, Math.ceil(milliseconds));
	}

	/** Releases all that is left, whoever may have it. @returns what it was */
	abandon(): OpenFile[] {
		const left = [...this.#held];
		for (const held of left) this.#release(held);
		for (const fd of this.#nameFds.values()) close(fd);
		this.#nameFds.clear();
		return left.map((held) => held.file);
	}

	/** Nobody has the memfd any more that the file was opened as. */
	#gone(held: HeldFile | undefined): void {
		if (held === undefined) return;
		if (held.shown?.isInUse) this.#lingering.add(held);
		else this.#release(held);
	}

	#release(held: HeldFile): void {
		this.#budget.uncharge(FILE_BYTES);
		this.#held.delete(held);
		this.#lingering.delete(held);
		this.#byPlace.delete(held.place);
		if (held.shownPlace !== undefined) this.#byPlace.delete(held.shownPlace);
		held.shown?.release();
		held.released = true;
		held.forget();
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
		for (const [watch, held] of this.#byWatch) if (!alive.has(watch)) this.#gone(held);
	}
}

/** What is in a memfd from a position on, of a page at most. */
function readFrom(memfd: number, position: number): Uint8Array {
	const bytes = new Uint8Array(PAGE_SIZE);
	return bytes.subarray(0, readSync(memfd, bytes, 0, bytes.length, position));
}

function heldBy(file: OpenFile, place: string, forget: () => void): HeldFile {
	return { file, place, released: false, shown: undefined, shownPlace: undefined, forget };
}

/** @throws Refusal */
function startInotify(): number {
	const fd = inotifyInit(IN_NONBLOCK | IN_CLOEXEC);
	if (fd !== -1) return fd;
	const problem = errorName(errno());
	throw new Refusal(
		`this user can have no more inotify instances, by which ioasis hears of closed files: ${problem}`,
		"as root: sysctl fs.inotify.max_user_instances=1024 (all containers of the user count), and `ulimit -n 256` or more",
	);
}

/** Why the one who asked could not be given an fd, from the errno of that. */
export function notInstalled(problem: number): Errno {
	if (problem === errors.EMFILE)
		return new Errno("EMFILE", "the process has as many fds as RLIMIT_NOFILE allows", "fd-limit");
	if (problem === errors.ENOMEM) return new Errno("ENOMEM", "the kernel has no memory for another fd of the process");
	return new Errno("ENOENT", `the thread that made this call is gone (${errorName(problem)})`);
}

/** Which file an fd of ours refers to; undefined when that can't be read, because it takes one more fd: see errno(). */
function placeOf(fd: number): string | undefined {
	const text = readFileAt(AT_FDCWD, `/proc/self/fdinfo/${fd}`);
	return text === undefined ? undefined : placeIn(text);
}

/**
 * Which file an fd refers to, from its /proc/PID/fdinfo/N: a mount and an inode number, which is there since Linux 5.14.
 * proc_pid_fdinfo(5)
 */
function placeIn(info: string): string | undefined {
	const match = info.match(/^mnt_id:\t(\d+)\nino:\t(\d+)$/m);
	return match === null ? undefined : `${match[1]}:${match[2]}`;
}

function mountOf(place: string): string {
	return place.slice(0, place.indexOf(":"));
}
