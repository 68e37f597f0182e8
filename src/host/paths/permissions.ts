// What a program may do with the machine's files, which belong to whoever runs ioasis. path_resolution(7), "Permissions"

import type { Node } from "../../machine/file-tree.js";
import { close } from "../linux/libc.js";
import { openDirectory, readStatus } from "../linux/proc.js";
import { DEVICE_MODE } from "./shadow.js";

// access(2)
export const R_OK = 4;
export const W_OK = 2;
const X_OK = 1;
export const ANY_ACCESS = R_OK | W_OK | X_OK;

const CAP_DAC_OVERRIDE = 1;
const DIRECTORY_MODE = 0o755;
const LINK_MODE = 0o777;

/** @param wanted R_OK and so on */
export function permits(thread: number, node: Node, wanted: number): boolean {
	const directory = openDirectory(`/proc/${thread}`);
	const status = readStatus(directory);
	close(directory);
	if (status === undefined) return true;
	const mode = modeOf(node);
	if (status.capabilities & (1 << CAP_DAC_OVERRIDE)) return (wanted & X_OK) === 0 || (mode & 0o111) !== 0;
	const bits = status.uid === process.getuid?.() ? mode >> 6 : mode;
	return (wanted & ~bits) === 0;
}

/** Permission bits. */
export function modeOf(node: Node): number {
	switch (node.kind) {
		case "directory":
			return DIRECTORY_MODE;
		case "file":
			return node.mode;
		case "link":
			return LINK_MODE;
		case "device":
			return DEVICE_MODE;
	}
}
