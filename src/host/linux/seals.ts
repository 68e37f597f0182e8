// Seals of a memfd. fcntl(2), "File Sealing"; memfd_add_seals() in mm/memfd.c
//
// Whoever seals a memfd against writing is told EBUSY while pages of it are pinned. The kernel doesn't know what is pinned here.

import { O_ACCMODE, O_RDONLY } from "./flags.js";
import { close, fcntl, pidfdGetfd } from "./libc.js";
import { statOf } from "./stat.js";

export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 0x01;
export const F_SEAL_SHRINK = 0x02;
export const F_SEAL_GROW = 0x04;
const F_SEAL_WRITE = 0x08;
const F_SEAL_EXEC = 0x20;
const F_ALL_SEALS = 0x3f;
const X_BITS = 0o111;

/**
 * Whether F_ADD_SEALS would forbid writes that are allowed now, as far as the kernel can tell.
 * @param pidfd of the process that has `fd`
 * @param flags of its open(2)
 */
export function sealsWriting(pidfd: number, fd: number, flags: number, seals: number): boolean {
	const mayImply = F_SEAL_WRITE | F_SEAL_EXEC;
	if ((flags & O_ACCMODE) === O_RDONLY || (seals & ~F_ALL_SEALS) !== 0 || (seals & mayImply) === 0) return false;
	const copy = pidfdGetfd(pidfd, fd, 0);
	if (copy === -1) return false;
	const has = fcntl(copy, F_GET_SEALS, 0);
	const isExecutable = ((statOf(copy)?.mode ?? 0) & X_BITS) !== 0;
	close(copy);
	const isMeant = (seals & F_SEAL_WRITE) !== 0 || isExecutable;
	return has !== -1 && (has & (F_SEAL_SEAL | F_SEAL_WRITE)) === 0 && isMeant;
}
