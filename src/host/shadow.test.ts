// The machine's files as real ones.

import {
	existsSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { FileTree, READ_WRITE } from "../machine/file-tree.js";
import { Shadow } from "./shadow.js";

let parent: string;
beforeEach(() => {
	parent = mkdtempSync(join(tmpdir(), "ioasis-test-"));
});
afterEach(() => {
	vi.restoreAllMocks();
	rmSync(parent, { recursive: true });
});

function shadow(name = "ioasis-1-a"): Shadow {
	const tree = new FileTree();
	tree.addFile("/sys/toy/size", "1\n");
	tree.addFile("/sys/toy/bytes", Uint8Array.of(0, 255), READ_WRITE);
	tree.addLink("/sys/toys/toy", "/sys/toy");
	tree.addDevice("/dev/toy", 10, 1);
	return new Shadow(() => tree, join(parent, name));
}

test("there is nothing until somebody looks, and nothing afterwards", () => {
	const made = shadow();
	expect(readdirSync(parent)).toEqual([]);
	made.make();
	made.make();
	expect(readdirSync(parent)).toEqual(["ioasis-1-a"]);
	made.remove();
	made.remove();
	expect(readdirSync(parent)).toEqual([]);
});

test("files, links and devices are what they are in the tree, whatever the umask is", () => {
	const before = process.umask(0o077);
	const made = shadow();
	made.make();
	process.umask(before);
	const at = (path: string) => lstatSync(made.realPath(path));
	expect(readFileSync(made.realPath("/sys/toy/bytes"))).toEqual(Buffer.of(0, 255));
	expect(readlinkSync(made.realPath("/sys/toys/toy"))).toBe("../toy");
	expect(at("/dev/toy").isCharacterDevice()).toBe(true);
	expect(["/sys", "/sys/toy/size", "/sys/toy/bytes"].map((path) => at(path).mode & 0o777)).toEqual([
		0o755, 0o444, 0o644,
	]);
	made.remove();
});

test("a path in it has its name in the tree", () => {
	const made = shadow();
	expect(made.treePath(made.realPath("/sys/toy"))).toBeUndefined();
	made.make();
	expect(made.treePath(made.realPath("/sys/toy"))).toBe("/sys/toy");
	expect(made.treePath(made.directory)).toBe("/");
	expect(made.treePath(`${made.directory}b/sys`)).toBeUndefined();
	made.remove();
});

test("links on the way to the temporary directory make no difference", () => {
	symlinkSync(parent, join(parent, "link"));
	const made = shadow("link/ioasis-1-a");
	made.make();
	expect(made.treePath(join(parent, "ioasis-1-a", "sys"))).toBe("/sys");
	made.remove();
});

test("what was left by one that was killed is removed by the next, what is in use isn't", () => {
	const inUse = shadow("ioasis-2-b");
	inUse.make();
	mkdirSync(join(parent, "ioasis-3-c", "sys"), { recursive: true });
	mkdirSync(join(parent, "something-else"));
	const fresh = shadow("ioasis-4-d");
	fresh.make();
	expect(readdirSync(parent)).toContain("ioasis-3-c"); // Its lock may only be about to be taken.
	fresh.remove();
	const inTwoMinutes = Date.now() + 120_000;
	vi.spyOn(Date, "now").mockReturnValue(inTwoMinutes);
	fresh.make();
	expect(readdirSync(parent).sort()).toEqual(["ioasis-2-b", "ioasis-4-d", "something-else"]);
	fresh.remove();
	inUse.remove();
});

test("when it can't be made it is an error that says where, and nothing is half there", () => {
	const made = shadow("missing/ioasis-1-a");
	expect(() => made.make()).toThrow(expect.objectContaining({ code: "EIO" }));
	expect([made.isMade, existsSync(made.directory)]).toEqual([false, false]);
});
