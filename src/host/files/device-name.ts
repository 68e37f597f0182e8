// A device of the machine that a program has opened by its name only: O_PATH in open(2). Nothing can be done with such an fd but to
// ask which file it is.
//
// An O_PATH fd of our own can't be handed over, and what a device's node leads to can't be opened otherwise; so it is an empty file.

import type { OpenFile } from "../../files/open-file.js";
import { Errno } from "../../uapi/errno.js";

export class DeviceName implements OpenFile {
	readonly path: string;

	/** @param path of the device */
	constructor(path: string) {
		this.path = path;
	}

	ioctl(): never {
		throw new Errno("EBADF", `the fd is a name of ${this.path} and no open file: it was opened with O_PATH`, "o-path");
	}

	release(): void {}
}
