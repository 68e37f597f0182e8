// Whether other processes' fds can be copied: pidfd_getfd(2). Docker's default profile forbids it to those without CAP_SYS_PTRACE.

import { close, pidfdGetfd, pidfdOpen } from "./libc.js";

/** Tried on ourselves: who may not do it there may do it nowhere. */
export function canCopyFds(): boolean {
	const pidfd = pidfdOpen(process.pid, 0);
	const copy = pidfd === -1 ? -1 : pidfdGetfd(pidfd, pidfd, 0);
	for (const fd of [pidfd, copy]) if (fd !== -1) close(fd);
	return copy !== -1;
}
