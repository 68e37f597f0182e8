// What a program may do with the machine's files, which belong to whoever runs ioasis. path_resolution(7), "Permissions"

import type { Node } from "../../machine/file-tree.js";
import { credentialsOf } from "../linux/credentials.js";
import { DEVICE_MODE } from "./shadow.js";

// access(2)
export const R_OK = 4;
export const W_OK = 2;
const X_OK = 1;
export const ANY_ACCESS = R_OK | W_OK | X_OK;

const CAP_DAC_OVERRIDE = 1;
const DIRECTORY_MODE = 0o755;
const LINK_MODE = 0o777;

/**
 * @param wanted R_OK and so on
 * @param asReal whether it is the real user that counts, as for access(2) without AT_EACCESS; that one has capabilities as root only
 */
export function permits(thread: number, node: Node, wanted: number, asReal = false): boolean {
	const credentials = credentialsOf(thread);
	if (credentials === undefined) return true;
	const { groups, capabilities, real } = credentials;
	const { user, group } = asReal ? real : credentials;
	const mode = modeOf(node);
	const isAbove = (capabilities[0] & (1 << CAP_DAC_OVERRIDE)) !== 0 && (!asReal || user === 0);
	if (isAbove) return (wanted & X_OK) === 0 || (mode & 0o111) !== 0;
	return (wanted & ~bitsFor(mode, user, [group, ...groups])) === 0;
}

function bitsFor(mode: number, user: number, groups: readonly number[]): number {
	if (user === process.geteuid?.()) return mode >> 6;
	return groups.includes(process.getegid?.() ?? -1) ? mode >> 3 : mode;
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
