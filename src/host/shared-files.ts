// Files whose pages several mappings share, as backings: memfds, tmpfs, hugetlbfs, and whatever else is mapped with
// MAP_SHARED. One object per file, so that a page has one identity however it is reached: through an fd
// (IOMMU_IOAS_MAP_FILE) or through a mapping (IOMMU_IOAS_MAP), in whichever process.
//
// Linux pins the pages and needs the file no more. We need a way to its bytes later, so a backing has an fd of its own, a
// duplicate of the program's, and it keeps the file alive just as the pins would. Where a mapping is all there is, the fd comes
// from one of the mapping process's fds that shows the same file, or from /proc/PID/map_files (which takes
// CAP_CHECKPOINT_RESTORE, so usually root). Where neither is to be had, as for MAP_SHARED|MAP_ANONYMOUS without root, the bytes
// are reached through the process's mapping as long as that exists.
//
// The fd is closed when nobody refers to the backing any more; the garbage collector says so. It has no idea what an fd
// can hold, so whoever runs the loop calls it through collect() when files were closed that may have been the last user.

import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Backing } from "../memory/address-space.js";
import { Errno } from "../uapi/errno.js";
import {
	addressOf,
	close,
	errno,
	errors,
	fstatfs,
	mmap,
	munmap,
	NativeMemory,
	openat,
	pread,
	processVmReadv,
	processVmWritev,
	pwrite,
	readlinkat,
	statx,
} from "./libc.js";
