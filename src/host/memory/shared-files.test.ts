import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Credentials } from "../linux/credentials.js";
import { F_GETFL, O_ACCMODE, O_RDONLY, O_RDWR } from "../linux/flags.js";
import { close, fcntl } from "../linux/libc.js";
import { SharedFile } from "./shared-files.js";

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const nobody: Credentials = {
	user: NOBODY,
	group: NOBODY,
	groups: [],
	real: { user: NOBODY, group: NOBODY },
	capabilities: [0, 0],
};

/** A file of tmpfs that its owner may write and others may read, opened in some way by somebody. */
function fileOpened(flags: "r" | "r+", rights?: Credentials): SharedFile {
	const directory = mkdtempSync("/dev/shm/ioasis-test-");
	const path = join(directory, "file");
	writeFileSync(path, new Uint8Array(4096));
	const file = new SharedFile(path, "key", openSync(path, flags), rights, undefined, new Set());
	onTestFinished(() => {
		file.close();
		rmSync(directory, { recursive: true });
	});
	return file;
}

/** What another fd of it is for; undefined where there is none. */
function modeAgain(file: SharedFile, isWritten: boolean): number | undefined {
	const fd = file.openAgain(isWritten);
	if (fd === -1) return undefined;
	const mode = fcntl(fd, F_GETFL, 0) & O_ACCMODE;
	close(fd);
	return mode;
}

test("another fd of a file is for what it is to be used for, and no more", () => {
	for (const flags of ["r", "r+"] as const) {
		const file = fileOpened(flags);
		expect([modeAgain(file, false), modeAgain(file, true)]).toEqual([O_RDONLY, O_RDWR]);
	}
});

test.skipIf(!isRoot)("there is none for writing where the program may only read it", () => {
	const file = fileOpened("r", nobody);
	expect([modeAgain(file, true), modeAgain(file, false)]).toEqual([undefined, O_RDONLY]);
});
