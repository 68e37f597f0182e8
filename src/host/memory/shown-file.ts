// A memfd that programs have in the place of a file of ours, to map it. memfd_create(2)
//
// Nobody can call mmap(2) for another process. So the program's own call goes on, after the number of its fd was made to refer
// to this memfd; and there it stays, because for us both are the same file. Each open of it that we hand out carries a
// lock, which ends with the last fd, copy and mapping: so we see whether anybody has it still, though we have it ourselves.
// "Open file description locks" in F_OFD_SETLK(2const)

import type { Backing } from "../../memory/address-space.js";
import { O_CLOEXEC } from "../linux/flags.js";
import { close, fcntl, memfdCreate, NativeMemory, openat } from "../linux/libc.js";
import { AT_FDCWD } from "../linux/stat.js";

const MFD_CLOEXEC = 1;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

const path = new NativeMemory(256);
/** struct flock: l_type and l_whence (s16), then, in words, from 2 on l_start (s64), l_len (s64; 0 is all) and l_pid. */
const lock = new NativeMemory(32);

/** @param what it shows @returns a new one, or -1 */
export function memfdNamed(what: string): number {
	return memfdCreate(path.setString(`ioasis:${what}`), MFD_CLOEXEC);
}

export class ShownFile implements Backing {
	readonly fd: number;
	/** What memfdNamed() was given. */
	readonly name: string;
	/** VM_IO and VM_PFNMAP, for check_vma_flags() in mm/gup.c. */
	readonly isDeviceMemory = true;

	/** @param fd ours from now on */
	constructor(fd: number, name: string) {
		this.fd = fd;
		this.name = name;
	}

	/** What a page of the file is, for whoever maps it for a device. */
	placeOf(page: number): { readonly backing: Backing; readonly page: number } {
		return { backing: this, page };
	}

	/** Devices don't reach it. */
	read(_at: number, _into: Uint8Array): number {
		return 0;
	}

	write(_at: number, _from: Uint8Array): number {
		return 0;
	}

	/**
	 * Opens it for a client.
	 * @param flags of open(2)
	 * @returns an fd, which has to be closed here as soon as the client has it; or -1
	 */
	open(flags: number): number {
		const fd = openat(AT_FDCWD, path.setString(`/proc/self/fd/${this.fd}`), flags | O_CLOEXEC);
		if (fd === -1) return -1;
		lock.bytes.fill(0);
		lock.words[0] = F_RDLCK;
		fcntl(fd, F_OFD_SETLK, lock.address);
		return fd;
	}

	/** Whether a client has it, open or mapped. */
	get isInUse(): boolean {
		lock.bytes.fill(0);
		lock.words[0] = F_WRLCK;
		return fcntl(this.fd, F_OFD_GETLK, lock.address) === 0 && (lock.words[0] & 0xffff) !== F_UNLCK;
	}

	/** Nobody has the file any more that it is shown for. */
	release(): void {
		close(this.fd);
	}
}
