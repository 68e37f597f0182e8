// An eventfd that a program names by its fd. eventfd_ctx_fdget() in fs/eventfd.c.

import type { Caller } from "../files/caller.js";
import type { EventFd } from "../files/event-fd.js";
import { Errno } from "../uapi/errno.js";

/** @returns somebody's hold on it @throws EBADF, EINVAL for a file that is no eventfd */
export function eventFdOf(caller: Caller, fd: number): EventFd {
	const file = caller.file(fd);
	if (file === undefined) throw new Errno("EBADF", `fd ${fd}, which is to be an eventfd, is not open`, "fd");
	if (file.kind !== "eventfd") throw new Errno("EINVAL", `fd ${fd} is open, but is no eventfd`, "eventfd");
	return file.open();
}
