// What a run takes of the system beside the kernel: a /proc of our own processes, and a place for files.

import { accessSync, constants, readlinkSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { Refusal } from "../failure.js";

/** Memory, as a rule, and there where a container has nothing else that can be written. */
const ELSEWHERE = "/dev/shm";

/** @throws Refusal */
export function checkPrerequisites(): void {
	checkProc();
	temporaryDirectory();
}

/** Who makes a call, and what its fds refer to, is read there. */
function checkProc(): void {
	let self: string | undefined;
	try {
		self = readlinkSync("/proc/self");
	} catch {
		throw new Refusal(
			"there is no /proc, where ioasis looks at the processes that it serves",
			"mount it: mount -t proc proc /proc",
		);
	}
	if (self !== String(process.pid))
		throw new Refusal(
			`/proc belongs to another PID namespace: it says that this is process ${self}, which is ${process.pid}`,
			"mount it anew, as `unshare --pid --fork --mount-proc` does",
		);
}

/**
 * Where files of ours may be put: TMPDIR, if that is set.
 * @throws Refusal
 */
export function temporaryDirectory(): string {
	const first = tmpdir();
	const problem = whyUnusable(first);
	if (problem === undefined) return first;
	const isChosen = (process.env.TMPDIR || process.env.TMP || process.env.TEMP) !== undefined;
	if (!isChosen && whyUnusable(ELSEWHERE) === undefined) return ELSEWHERE;
	throw new Refusal(
		`the machine's files can't be put into ${first}${isChosen ? ", which TMPDIR names" : ""}: ${problem}`,
		"set TMPDIR to a directory that can be written",
	);
}

function whyUnusable(directory: string): string | undefined {
	try {
		if (!statSync(directory).isDirectory()) return "it is not a directory";
		accessSync(directory, constants.W_OK | constants.X_OK);
		return undefined;
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		return code === "ENOENT" ? "there is no such directory" : `it can't be written (${code})`;
	}
}
